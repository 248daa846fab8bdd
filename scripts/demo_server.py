"""The configuration of the demo: what an operator would write, small enough to read in a minute."""

import os

from osp_gateway import AccessRequest, ProxyServerConfig

BACKEND = {
    "host": "127.0.0.1",
    "port": int(os.environ["DEMO_BACKEND_PORT"]),
    "region": "us-east-1",
    "ttl": 300,
}


def fetch_credentials(token: str, bucket: str) -> dict[str, str]:
    """The backend's keys. The client never sees them."""
    return {
        "access_key": os.environ["DEMO_BACKEND_ACCESS_KEY"],
        "secret_key": os.environ["DEMO_BACKEND_SECRET_KEY"],
    }


def may(token: str, bucket: str, request: AccessRequest) -> bool:
    """Everything but what lies under `private/`."""
    return not request.key.startswith("private/")


config = ProxyServerConfig(
    cos_map={os.environ.get("DEMO_BUCKET", "demo"): BACKEND},
    bucket_creds_fetcher=fetch_credentials,
    validator=may,
    hmac_keystore=[
        {"access_key": os.environ["DEMO_ACCESS_KEY"], "secret_key": os.environ["DEMO_SECRET_KEY"]},
    ],
)
