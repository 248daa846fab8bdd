from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from osp_gateway.backends.routes import ApiKey, BucketRoute, Endpoint
from osp_gateway.config import ConfigError, Listener, ProxyServerConfig, Settings
from osp_gateway.s3.address import AddressingStyle
from osp_gateway.sigv4.keys import KeyPair

KEYS = {"access_key": "backend-fake-key", "secret_key": "backend-fake-secret"}
BUCKET = {"host": "store.example.test", "port": 443, **KEYS}
CLIENT_KEYS = [{"access_key": "client-fake-key", "secret_key": "client-fake-secret"}]


def allow(token: str, bucket: str) -> bool:
    return True


def config(**written: Any) -> Settings:
    written.setdefault("cos_map", {"demo": BUCKET})
    written.setdefault("hmac_keystore", CLIENT_KEYS)
    written.setdefault("validator", allow)
    return ProxyServerConfig(**written).settings


def route(**fields: Any) -> BucketRoute:
    return config(cos_map={"demo": {**BUCKET, **fields}}).routes[0]


def problems(**written: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config(**written)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_a_bucket_becomes_a_route() -> None:
    assert route(region="eu-test-1", ttl=7, addressing_style="path", bucket="theirs", verify=False) == BucketRoute(
        pattern="demo",
        endpoint=Endpoint("store.example.test", 443, True),
        region="eu-test-1",
        style=AddressingStyle.PATH,
        backend_bucket="theirs",
        verify=False,
        ttl=7,
        credentials=KeyPair("backend-fake-key", "backend-fake-secret"),
    )


def test_what_a_bucket_does_not_say_has_a_default() -> None:
    assert config(cos_map={"demo": {"host": "store.example.test", **KEYS}}).routes[0] == BucketRoute(
        pattern="demo",
        endpoint=Endpoint("store.example.test", 443, True),
        ttl=300,
        verify=True,
        credentials=KeyPair("backend-fake-key", "backend-fake-secret"),
    )


@pytest.mark.parametrize(
    ("port", "tls", "expected"),
    [(443, None, True), (9000, None, False), (80, None, False), (9000, True, True), (443, False, False)],
)
def test_tls_goes_with_port_443_unless_it_is_said(port: int, tls: bool | None, expected: bool) -> None:
    endpoint = route(port=port, is_tls_enabled=tls).endpoint
    assert endpoint is not None
    assert endpoint.tls is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"accessKey": "a", "secretKey": "s"}, KeyPair("a", "s")),
        ({"access_key": "a", "secretKey": "s"}, KeyPair("a", "s")),
        ({"apikey": "k"}, ApiKey("k")),
        ({"api_key": "k"}, ApiKey("k")),
        ({"apikey": "k", "access_key": None, "secret_key": None}, ApiKey("k")),
    ],
)
def test_credentials_may_be_written_in_several_ways(written: Mapping[str, Any], expected: object) -> None:
    assert config(cos_map={"demo": {"host": "store.example.test", **written}}).routes[0].credentials == expected


@pytest.mark.parametrize("name", ["ttl", "time-to-live", "time_to_live"])
@pytest.mark.parametrize(("written", "expected"), [(0, 0), (1.5, 1.5), ("60", 60)])
def test_the_time_to_live_may_be_written_in_several_ways(name: str, written: object, expected: float) -> None:
    assert route(**{name: written}).ttl == expected


@pytest.mark.parametrize("field", ["region", "ttl", "addressing_style", "is_tls_enabled", "bucket", "verify"])
def test_a_field_that_is_none_is_a_field_that_is_not_given(field: str) -> None:
    assert route(**{field: None}) == route()


def test_an_argument_that_is_none_is_an_argument_that_is_not_given() -> None:
    names = ["http_port", "https_port", "threads", "verify", "skip_signature_validation", "hmac_fetcher", "domains"]
    names += ["max_presign_url_usage_attempts", "server_name", "cert_path", "key_path", "listen_host"]
    names += ["bucket_creds_fetcher"]
    assert config(**dict.fromkeys(names)) == config()


def test_a_client_key_that_is_not_set_at_all_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    unset = {"access_key": None, "secret_key": None}
    assert config(hmac_keystore=[unset, *CLIENT_KEYS]).keystore == {
        "client-fake-key": KeyPair("client-fake-key", "client-fake-secret")
    }
    assert "hmac_keystore[0]" in caplog.text


@pytest.mark.parametrize(
    "half", [{"access_key": "a", "secret_key": None}, {"access_key": None, "secret_key": "s"}, {"access_key": "a"}]
)
def test_a_client_key_that_is_half_set_is_a_mistake(half: Mapping[str, Any]) -> None:
    assert len(problems(hmac_keystore=[half])) == 1


def test_client_keys_and_their_buckets_are_read() -> None:
    keys = [
        {"access_key": "a", "secret_key": "fake-1", "buckets": ["logs-*", "demo"]},
        {"accessKey": "b", "secretKey": "fake-2"},
    ]
    settings = config(hmac_keystore=keys)
    assert settings.keystore == {"a": KeyPair("a", "fake-1"), "b": KeyPair("b", "fake-2")}
    assert settings.key_buckets == {"a": ("logs-*", "demo")}


def test_with_buckets_for_the_keys_no_validator_is_needed() -> None:
    settings = config(hmac_keystore=[{**CLIENT_KEYS[0], "buckets": ["*"]}], validator=None)
    assert settings.validator is None


@pytest.mark.parametrize("key", [None, []])
def test_with_a_fetcher_no_client_keys_are_needed(key: object) -> None:
    assert config(hmac_keystore=key, hmac_fetcher=lambda _: None).keystore == {}


@pytest.mark.parametrize(
    ("written", "listeners"),
    [
        ({}, ()),
        ({"http_port": 6190}, (Listener(6190, False),)),
        ({"https_port": 6191}, (Listener(6191, True),)),
        ({"http_port": 6190, "https_port": 0}, (Listener(6190, False), Listener(0, True))),
        ({"http_port": "6190"}, (Listener(6190, False),)),
    ],
)
def test_ports_become_listeners(written: Mapping[str, Any], listeners: tuple[Listener, ...]) -> None:
    assert config(**written).listeners == listeners


def test_the_certificate_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    for name, path in zip(("TLS_CERT_PATH", "TLS_KEY_PATH"), paths, strict=True):
        path.touch()
        monkeypatch.setenv(name, str(path))
    settings = config()
    assert [settings.cert_path, settings.key_path] == paths


def test_a_certificate_that_is_given_comes_before_the_environments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TLS_CERT_PATH", str(tmp_path / "other"))
    monkeypatch.setenv("TLS_KEY_PATH", str(tmp_path / "other"))
    (tmp_path / "pem").touch()
    assert config(cert_path=tmp_path / "pem", key_path=str(tmp_path / "pem")).cert_path == tmp_path / "pem"


def test_iams_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBM_IAM_URL", "http://127.0.0.1:1/identity/token")
    assert config().iam_url == "http://127.0.0.1:1/identity/token"


def test_iams_address_is_ibms_unless_it_is_set() -> None:
    assert config().iam_url.startswith("https://iam.cloud.ibm.com")


@pytest.mark.parametrize(
    ("everywhere", "here", "expected"),
    [(None, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_a_buckets_own_verify_comes_first(everywhere: bool | None, here: bool | None, expected: bool) -> None:
    assert config(verify=everywhere, cos_map={"demo": {**BUCKET, "verify": here}}).routes[0].verify is expected


@pytest.mark.parametrize(("given", "stored"), [(None, ("osp.localhost",)), (["S3.Example.Test"], ("s3.example.test",))])
def test_domains_are_compared_in_lower_case(given: list[str] | None, stored: tuple[str, ...]) -> None:
    assert config(domains=given).domains == stored


def _three(token: str, bucket: str, request: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("validator", "expected"),
    [
        (allow, False),
        (_three, True),
        (lambda token, bucket, request=None: True, True),
        (lambda *arguments: True, True),
    ],
)
def test_a_validator_that_takes_three_arguments_gets_the_request(validator: Any, expected: bool) -> None:
    assert config(validator=validator).validator_takes_request is expected


SKIP = "skip_signature_validation"


def test_switching_signature_checks_off_is_warned_of_loudly(caplog: pytest.LogCaptureFixture) -> None:
    config(skip_signature_validation=True)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert any(SKIP in record.getMessage() and "ANYONE" in record.getMessage() for record in warnings)


def test_without_it_there_is_no_such_warning(caplog: pytest.LogCaptureFixture) -> None:
    config()
    assert SKIP not in caplog.text


def test_without_signature_checks_no_client_keys_are_needed() -> None:
    assert config(skip_signature_validation=True, hmac_keystore=None).skip_signature_validation


def test_the_configuration_shows_itself_without_secrets() -> None:
    assert repr(ProxyServerConfig({"demo": BUCKET}, validator=allow, hmac_keystore=CLIENT_KEYS)) == (
        "ProxyServerConfig(1 buckets)"
    )
