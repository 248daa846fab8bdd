"""A gateway that signs with the credentials of a role: had from a token service, kept, and used until they end."""

from __future__ import annotations

import pytest

from support.credential_services import EXTERNAL_ID, ROLE, CredentialServices
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw_s3 import send_signed
from support.recorder import Recorder

CONFIG = f"""
from osp_gateway import ProxyServerConfig
STORE = dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False)
ROLE = dict(profile='source', role_arn={ROLE!r}, role_session_name='osp')
config = ProxyServerConfig(
    cos_map={{{{
        'demo': {{{{**STORE, **ROLE, 'external_id': {EXTERNAL_ID!r}}}}},
        'named': {{{{**STORE, 'credentials': 'role'}}}},
        'locked': {{{{**STORE, **ROLE, 'external_id': 'wrong-fake-id'}}}},
    }}}},
    backend_credentials={{{{'role': {{{{**ROLE, 'external_id': {EXTERNAL_ID!r}}}}}}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
)
"""


@pytest.fixture
def services():
    with CredentialServices().running() as running:
        yield running


@pytest.fixture
def recorder():
    with Recorder().running() as running:
        yield running


@pytest.fixture
def running(tmp_path, services, recorder):
    file = tmp_path / "credentials"
    file.write_text("[source]\naws_access_key_id = source-fake-key\naws_secret_access_key = source-fake-secret\n")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_ENDPOINT_URL_STS": services.url}
    with gateway(tmp_path / "gateway", CONFIG.format(port=recorder.port), env=env) as process:
        yield process


def test_a_role_is_assumed_once_and_its_session_token_is_signed(running, services, recorder):
    for _ in range(5):
        assert send_signed("GET", running.url, "/demo/key").status == 200
    assert len(services.asked) == 1
    for request in recorder.requests:
        assert request["x-amz-security-token"] == "temporary-fake-token"
        assert request.is_signed_by("temporary-fake-key-1", "temporary-fake-secret")
    assert send_signed("GET", running.url, "/named/key").status == 200
    assert len(services.asked) == 1, "the same source under two names"


def test_a_role_that_is_not_given_is_a_503_that_tells_nothing(running, services, recorder):
    answers = [send_signed("GET", running.url, "/locked/key") for _ in range(5)]
    assert {(answer.status, answer.code) for answer in answers} == {(503, "ServiceUnavailable")}
    assert recorder.requests == []
    assert len(services.asked) < 5, "it was not asked again at once"
    output = running.output()
    assert "the token service answered AccessDenied" in output
    for secret in ("wrong-fake-id", "source-fake-secret", ROLE):
        assert secret not in answers[0].body.decode()
    assert "wrong-fake-id" not in output
    assert "source-fake-secret" not in output
