"""The environment of programs under test: whatever they were told before, they talk to the gateway, and to no store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROFILE: Final = "default"
LOOPBACK: Final = ("127.0.0.1", "localhost")
_ENDPOINTS: Final = (
    "AWS_ENDPOINT_URL",
    # An SDK asks for that of the service first.
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_S3_CONTROL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT",  # Rust's object_store
    "S3_ENDPOINT_URL",  # s5cmd
)
_PROFILES: Final = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_NOT_OURS: Final = (
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ACCOUNT_ID",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""What belongs to other credentials. Laid over an environment, a mapping can take nothing out of it: these are empty,
which SDKs take for not there, and only where they are there, as not all do (object_store sends an empty token)."""


def variables(
    url: str, access_key: str, secret_key: str, region: str, folder: Path, around: Mapping[str, str]
) -> dict[str, str]:
    """What to lay over an environment.

    Args:
        url: the gateway's.
        access_key: of its client.
        secret_key: of its client.
        region: to sign for.
        folder: where files of ours can be: those in the home directory may name another endpoint, or real keys.
        around: the environment.
    """
    return {
        **dict.fromkeys(_ENDPOINTS, url),
        **dict.fromkeys((name for name in _NOT_OURS if name in around), ""),
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_USE_FIPS_ENDPOINT": "false",
        "AWS_USE_DUALSTACK_ENDPOINT": "false",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ALLOW_HTTP": "true",  # object_store
        **_files(access_key, secret_key, region, folder),
        # An empty one is a profile that is not there, for some; others warn where there are a profile and keys.
        **dict.fromkeys((name for name in _PROFILES if name in around), PROFILE),
        **without_proxy(around),
    }


def _files(access_key: str, secret_key: str, region: str, folder: Path) -> dict[str, str]:
    """With the same keys, as some SDKs prefer a profile to the keys beside it."""
    config, credentials = folder / "aws-config", folder / "aws-credentials"
    config.write_text(f"[{PROFILE}]\nregion = {region}\n", encoding="utf-8")
    keys = f"aws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n" if access_key else ""
    credentials.write_text(f"[{PROFILE}]\n{keys}", encoding="utf-8")
    return {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}


def without_proxy(around: Mapping[str, str]) -> dict[str, str]:
    """No proxy is asked for the gateway; for other hosts everything is as it was."""
    listed = [name.strip() for way in ("no_proxy", "NO_PROXY") for name in around.get(way, "").split(",")]
    names = "*" if "*" in listed else ",".join(dict.fromkeys([*filter(None, listed), *LOOPBACK]))
    return {"no_proxy": names, "NO_PROXY": names}
