"""botocore's own providers against services on loopback: metadata, containers, roles, web identity, SSO, profiles."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, ProfileNotFound

from osp_gateway.backends.chain import ChainCredentials, ChainFailure, obtain_by_botocore
from osp_gateway.backends.routes import ChainSource
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair
from support.credential_services import CONTAINER_TOKEN, EXTERNAL_ID, ROLE, SSO_TOKEN, WEB_TOKEN, CredentialServices


@pytest.fixture
def services():
    with CredentialServices().running() as running:
        yield running


@pytest.fixture
def aws(tmp_path, monkeypatch, services):
    """The AWS configuration: `config` and `credentials` are written by the test; no service but ours can be found."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", services.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", services.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text("")
    (tmp_path / "credentials").write_text(
        "[source]\naws_access_key_id = source-fake-key\naws_secret_access_key = source-fake-secret\n"
    )
    return tmp_path


def is_temporary(obtained):
    left = obtained.expires_at - time.time()
    assert obtained.pair.access_key.startswith("temporary-fake-key")
    assert obtained.pair.session_token == "temporary-fake-token"
    return 3000 < left <= 3600


def test_a_profile_of_the_credentials_file(aws):
    obtained = obtain_by_botocore(ChainSource(profile="source"))
    assert obtained.pair == KeyPair("source-fake-key", "source-fake-secret")
    assert obtained.expires_at is None


def test_the_environment(aws, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "env-fake-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-fake-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env-fake-token")
    assert obtain_by_botocore(ChainSource()).pair == KeyPair("env-fake-key", "env-fake-secret", "env-fake-token")


def test_an_instance_by_metadata_of_version_2(aws, monkeypatch, services):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", services.url)
    assert is_temporary(obtain_by_botocore(ChainSource()))
    assert [(method, path) for method, path, _, _ in services.asked][:1] == [("PUT", "/latest/api/token")]


def test_a_container(aws, monkeypatch, services):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{services.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN)
    assert is_temporary(obtain_by_botocore(ChainSource()))


@pytest.mark.parametrize(
    "source",
    [{"profile": "source"}, {"pair": KeyPair("source-fake-key", "source-fake-secret")}],
    ids=lambda s: next(iter(s)),
)
def test_a_role_that_wants_an_external_id(aws, services, source):
    wanted = ChainSource(**source, role_arn=ROLE, external_id=EXTERNAL_ID, session_name="osp@night")
    assert is_temporary(obtain_by_botocore(wanted))
    _, _, headers, form = services.asked[-1]
    assert (form["ExternalId"], form["RoleSessionName"]) == (EXTERNAL_ID, "osp@night")
    assert "/us-east-1/sts/" in headers["authorization"]


def test_a_role_is_assumed_in_the_region_that_is_said(aws, services):
    obtain_by_botocore(ChainSource(profile="source", role_arn=ROLE, external_id=EXTERNAL_ID, region="eu-west-3"))
    assert "/eu-west-3/sts/" in services.asked[-1][2]["authorization"]


def test_a_role_without_its_external_id_is_not_had(aws):
    with pytest.raises(ClientError):
        obtain_by_botocore(ChainSource(profile="source", role_arn=ROLE))


def test_a_profile_that_assumes_a_role(aws):
    (aws / "config").write_text(
        f"[profile night]\nrole_arn = {ROLE}\nsource_profile = source\nexternal_id = {EXTERNAL_ID}\n"
        "region = eu-west-3\n"
    )
    assert is_temporary(obtain_by_botocore(ChainSource(profile="night")))


def test_web_identity(aws, monkeypatch):
    (aws / "token").write_text(WEB_TOKEN)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(aws / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert is_temporary(obtain_by_botocore(ChainSource()))


def test_sso(aws, monkeypatch):
    start = "https://fake.example/start"
    (aws / "config").write_text(
        f"[profile people]\nsso_start_url = {start}\nsso_region = us-east-1\nsso_account_id = 123456789012\n"
        "sso_role_name = fake-role\n"
    )
    cache = aws / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(cache))  # of the home at import
    expires = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = hashlib.sha1(start.encode()).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps({"accessToken": SSO_TOKEN, "expiresAt": expires}))
    assert is_temporary(obtain_by_botocore(ChainSource(profile="people")))


def test_each_look_up_is_a_new_one(aws, services):
    """Nothing of botocore's own caches stands between a service and the next renewal."""
    source = ChainSource(profile="source", role_arn=ROLE, external_id=EXTERNAL_ID)
    first, second = obtain_by_botocore(source), obtain_by_botocore(source)
    assert first.pair.access_key != second.pair.access_key


def test_nothing_is_found(aws):
    with pytest.raises(ChainFailure):
        obtain_by_botocore(ChainSource())
    with pytest.raises(ProfileNotFound):
        obtain_by_botocore(ChainSource(profile="not-there"))


async def test_a_service_that_fails_is_told_by_its_code_alone(aws, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(S3Error) as caught:
        await ChainCredentials().get(ChainSource(profile="source", role_arn=ROLE, external_id="wrong-fake-id"))
    assert "the token service answered AccessDenied" in caught.value.reason
    for secret in ("wrong-fake-id", "source-fake-secret"):
        assert secret not in caplog.text
        assert secret not in caught.value.reason


async def test_what_a_service_gives_is_not_logged_at_any_level(aws, caplog):
    logging.getLogger("botocore").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        pair = await ChainCredentials().get(ChainSource(profile="source", role_arn=ROLE, external_id=EXTERNAL_ID))
    assert pair.secret_key == "temporary-fake-secret"
    assert "temporary-fake-secret" not in caplog.text
    assert "temporary-fake-token" not in caplog.text
    assert EXTERNAL_ID not in caplog.text
