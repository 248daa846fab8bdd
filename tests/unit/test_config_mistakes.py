"""Every mistake: one line, naming the place, the type that was found, what was expected - and never the value."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.config import ConfigError, ProxyServerConfig

MARKER = "MARKER-fake-secret"
KEYS = {"access_key": "backend-fake-key", "secret_key": "backend-fake-secret"}
BUCKET = {"host": "store.example.test", "port": 443, **KEYS}
CLIENT_KEYS = [{"access_key": "client-fake-key", "secret_key": "client-fake-secret"}]


def allow(token: str, bucket: str) -> bool:
    return True


def problems(**written: Any) -> tuple[str, ...]:
    written = {"cos_map": {"demo": BUCKET}, "hmac_keystore": CLIENT_KEYS, "validator": allow, **written}
    with pytest.raises(ConfigError) as caught:
        ProxyServerConfig(**written)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


def the_problem(**written: Any) -> str:
    (line,) = problems(**written)
    return line


WRONG_BUCKET_FIELDS: list[tuple[str, object, str]] = [
    ("host", 7, "int"),
    ("host", "", "str"),
    ("host", "https://store.example.test/", "str"),
    ("host", "store.example.test\r\nx: y", "str"),
    ("port", "many", "str"),
    ("port", 0, "int"),
    ("port", 65536, "int"),
    ("port", True, "bool"),
    ("port", 44.5, "float"),
    ("region", 7, "int"),
    ("region", "", "str"),
    ("apikey", 7, "int"),
    ("apikey", "with blank", "str"),
    ("api_key", "", "str"),
    ("access_key", 7, "int"),
    ("accessKey", 7, "int"),
    ("secret_key", ["fake"], "list"),
    ("secretKey", "line\nbreak", "str"),
    ("ttl", -1, "int"),
    ("ttl", "soon", "str"),
    ("ttl", float("inf"), "float"),
    ("ttl", float("nan"), "float"),
    ("ttl", True, "bool"),
    ("time-to-live", -1, "int"),
    ("addressing_style", "subdomain", "str"),
    ("addressing_style", 1, "int"),
    ("is_tls_enabled", "perhaps", "str"),
    ("is_tls_enabled", 7, "int"),
    ("bucket", "", "str"),
    ("bucket", "a/b", "str"),
    ("bucket", 7, "int"),
    ("verify", "perhaps", "str"),
    ("verify", __file__, "str"),
    ("verify", 7, "int"),
]


@pytest.mark.parametrize(("field", "value", "kind"), WRONG_BUCKET_FIELDS, ids=str)
def test_a_wrong_field_of_a_bucket_gives_one_line_with_place_and_type(field: str, value: object, kind: str) -> None:
    rest = {k: v for k, v in BUCKET.items() if k.replace("_", "").lower() != field.replace("_", "").lower()}
    line = the_problem(cos_map={"good": BUCKET, "demo": {**rest, field: value}})
    assert line.startswith(f"cos_map['demo'].{field}: ")
    assert line.endswith(f", got {kind}")


WRONG_ARGUMENTS: list[tuple[str, object, str]] = [
    ("http_port", "many", "str"),
    ("http_port", -1, "int"),
    ("http_port", True, "bool"),
    ("https_port", 65536, "int"),
    ("threads", 0, "int"),
    ("threads", "many", "str"),
    ("verify", "perhaps", "str"),
    ("hmac_keystore", "client-fake-key", "str"),
    ("hmac_keystore", {"client-fake-key": "client-fake-secret"}, "dict"),
    ("hmac_keystore", 7, "int"),
    ("skip_signature_validation", "perhaps", "str"),
    ("max_presign_url_usage_attempts", 0, "int"),
    ("server_name", "line\nbreak", "str"),
    ("server_name", 7, "int"),
    ("listen_host", 7, "int"),
    ("domains", "osp.localhost", "str"),
    ("cos_map", ["demo"], "list"),
    ("cos_map", "demo", "str"),
    ("validator", "allow", "str"),
    ("validator", True, "bool"),
    ("hmac_fetcher", {"a": "b"}, "dict"),
    ("bucket_creds_fetcher", "fetch", "str"),
]


@pytest.mark.parametrize(("name", "value", "kind"), WRONG_ARGUMENTS, ids=str)
def test_a_wrong_argument_gives_one_line_with_name_and_type(name: str, value: object, kind: str) -> None:
    line = the_problem(**{name: value})
    assert line.startswith(f"{name}: ")
    assert line.endswith(f", got {kind}")


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ({"cos_map": {"demo": ["fake"]}}, "cos_map['demo']: expected a dict, got list"),
        ({"cos_map": {"demo": None}}, "cos_map['demo']: expected a dict, got NoneType"),
        ({"hmac_keystore": [*CLIENT_KEYS, "fake"]}, "hmac_keystore[1]: expected a dict, got str"),
        ({"hmac_keystore": [("fake", "fake")]}, "hmac_keystore[0]: expected a dict, got tuple"),
        ({"hmac_keystore": [{"access_key": "a"}]}, "hmac_keystore[0].secret_key: missing, expected a value"),
        ({"cos_map": None}, "cos_map: missing, expected a value"),
    ],
)
def test_the_line_says_where_and_what(written: Mapping[str, Any], place: str) -> None:
    assert the_problem(**written) == place


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ({"cos_map": {"demo": {**BUCKET, "hots": "x"}}}, "cos_map['demo'].hots: unknown field, did you mean 'host'?"),
        (
            {"cos_map": {"demo": {**BUCKET, "adressing_style": "path"}}},
            "cos_map['demo'].adressing_style: unknown field, did you mean 'addressing_style'?",
        ),
        (
            {"hmac_keystore": [{**CLIENT_KEYS[0], "bucket": ["x"]}]},
            "hmac_keystore[0].bucket: unknown field, did you mean 'buckets'?",
        ),
    ],
)
def test_an_unknown_field_comes_with_the_nearest_known_one(written: Mapping[str, Any], suggestion: str) -> None:
    assert the_problem(**written) == suggestion


def test_a_field_like_no_other_comes_with_all_that_are_known() -> None:
    line = the_problem(cos_map={"demo": {**BUCKET, "zzz": 1}})
    assert line.startswith("cos_map['demo'].zzz: unknown field; known are host, port, region")


def _none() -> None: ...
def _one(_a: object) -> None: ...
def _two(_a: object, _b: object) -> None: ...
def _three(_a: object, _b: object, _c: object) -> None: ...
def _four(_a: object, _b: object, _c: object, _d: object) -> None: ...
def _keyword(_a: object, _b: object, *, needed: object) -> None: ...


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("validator", _one),
        ("validator", _four),
        ("validator", _none),
        ("validator", _keyword),
        ("bucket_creds_fetcher", _one),
        ("bucket_creds_fetcher", _three),
        ("hmac_fetcher", _none),
        ("hmac_fetcher", _three),
    ],
)
def test_a_callable_that_takes_another_number_of_arguments_is_a_mistake(name: str, function: Any) -> None:
    assert the_problem(**{name: function}).startswith(f"{name}: expected a callable with ")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("validator", _two),
        ("validator", _three),
        ("bucket_creds_fetcher", _two),
        ("hmac_fetcher", _one),
        ("hmac_fetcher", lambda *a: None),
        ("hmac_fetcher", {}.get),
        ("validator", functools.partial(_three, object())),
    ],
)
def test_a_callable_that_takes_the_right_number_is_none(name: str, function: Any) -> None:
    ProxyServerConfig({"demo": BUCKET}, **{"hmac_keystore": CLIENT_KEYS, "validator": allow, name: function})


CONTRADICTIONS: list[tuple[Mapping[str, Any], str]] = [
    ({"cos_map": {"demo": {"host": "h", "access_key": "a"}}}, "cos_map['demo'].secret_key: missing"),
    ({"cos_map": {"demo": {"host": "h", "secret_key": "s"}}}, "cos_map['demo'].access_key: missing"),
    ({"cos_map": {"demo": {**BUCKET, "apikey": "k"}}}, "cos_map['demo']: both an API key and access_key/secret_key"),
    ({"cos_map": {"demo": {"host": "h"}}}, "cos_map['demo']: no credentials"),
    ({"cos_map": {"demo": {"host": "h", "port": 80, "apikey": "k"}}}, "cos_map['demo'].apikey: an IAM token would"),
    ({"hmac_keystore": CLIENT_KEYS * 2}, "hmac_keystore[1].access_key: listed before"),
    ({"hmac_keystore": None}, "hmac_keystore: no client keys"),
    ({"hmac_keystore": []}, "hmac_keystore: no client keys"),
    ({"hmac_keystore": [{"access_key": None, "secret_key": None}]}, "hmac_keystore: no client keys"),
    ({"validator": None}, "validator: missing"),
    ({"http_port": 6190, "https_port": 6190}, "https_port: the same as http_port"),
    ({"http_port": 0, "https_port": 0}, "https_port: the same as http_port"),
    ({"http_port": 6190, "admin_port": 6190}, "admin_port: the same as http_port"),
    ({"https_port": 6190, "admin_port": 6190}, "admin_port: the same as https_port"),
    ({"admin_port": 70000}, "admin_port: "),
    ({"admin_port": True}, "admin_port: expected a number"),
    ({"admin_port": 1, "admin_host": "a b"}, "admin_host: expected other characters"),
    ({"shutdown_grace": -1}, "shutdown_grace: "),
    ({"shutdown_grace": "long"}, "shutdown_grace: "),
    ({"client_certificates": "optional"}, "client_certificates: nothing to judge them by, expected client_ca_path"),
    ({"client_ca_path": __file__}, "client_ca_path: without a certificate of the server's own"),
    (
        {"client_ca_path": "/nowhere/ca.pem", "cert_path": __file__, "key_path": __file__},
        "client_ca_path: no such file",
    ),
    (
        {"client_ca_path": __file__, "cert_path": __file__, "key_path": __file__, "client_certificates": "maybe"},
        "client_certificates: ",
    ),
]


@pytest.mark.parametrize(("written", "expected"), CONTRADICTIONS, ids=[line for _, line in CONTRADICTIONS])
def test_a_contradiction_gives_one_line(written: Mapping[str, Any], expected: str) -> None:
    assert the_problem(**written).startswith(expected)


@pytest.mark.parametrize(("given_path", "missing"), [("cert_path", "key_path"), ("key_path", "cert_path")])
def test_certificate_and_key_go_together(given_path: str, missing: str, tmp_path: Path) -> None:
    (tmp_path / "pem").touch()
    assert the_problem(**{given_path: tmp_path / "pem"}).startswith(f"{missing}: missing")


def test_a_certificate_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    lines = problems(cert_path=tmp_path / "no-cert", key_path=tmp_path)
    assert [line.split(":")[0] for line in lines] == ["cert_path", "key_path"]


def test_all_wrong_fields_are_told_at_once() -> None:
    wrong = {**BUCKET, "port": "many", "ttl": -1, "zzz": 1}
    lines = problems(cos_map={"a": wrong, "b": wrong}, threads=0, validator=_one, hmac_fetcher="x")
    places = sorted(line.split(":")[0] for line in lines)
    fields = ["port", "ttl", "zzz"]
    assert places == sorted(
        [*(f"cos_map['{b}'].{f}" for b in "ab" for f in fields), "threads", "validator", "hmac_fetcher"]
    )


def test_wrong_fields_do_not_hide_contradictions_elsewhere() -> None:
    lines = problems(cos_map={"a": {**BUCKET, "port": "many"}, "b": {"host": "h", "access_key": "a"}})
    assert sorted(line.split(":")[0] for line in lines) == ["cos_map['a'].port", "cos_map['b'].secret_key"]


anything = st.recursive(
    st.just(MARKER) | st.just(MARKER.encode()) | st.integers() | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["host", "port"]), inner, max_size=2),
    max_leaves=4,
)
FIELDS = ["host", "port", "region", "apikey", "access_key", "secretKey", "ttl", "addressing_style", "verify", "bucket"]
ARGUMENTS = ["cos_map", "hmac_keystore", "http_port", "threads", "verify", "server_name", "domains", "cert_path"]
ARGUMENTS += ["validator", "bucket_creds_fetcher", "hmac_fetcher", "listen_host", "skip_signature_validation"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5),
    st.dictionaries(st.sampled_from(ARGUMENTS), anything, max_size=2),
    st.dictionaries(st.sampled_from(["access_key", "secretKey", "buckets", "x"]), anything, max_size=3),
)
def test_whatever_is_written_no_value_is_ever_shown(
    bucket: dict[str, Any], arguments: dict[str, Any], key: dict[str, Any]
) -> None:
    try:
        ProxyServerConfig(
            **{"cos_map": {"demo": bucket}, "hmac_keystore": [key], "validator": allow, **arguments}  # type: ignore[arg-type]
        )
    except ConfigError as error:
        assert "MARKER" not in f"{error} {error!r} {error.problems} {error.__cause__!r} {error.__context__!r}"


@given(st.sampled_from(["apikey", "keys"]), st.booleans())
def test_a_valid_configuration_shows_none_of_its_secrets(kind: str, partial: bool) -> None:
    secret = {"apikey": MARKER} if kind == "apikey" else {"access_key": "a", "secret_key": MARKER}
    fetcher = functools.partial(_three, MARKER) if partial else _two
    config = ProxyServerConfig(
        {"demo": {"host": "h", **secret}},
        hmac_keystore=[{"access_key": "a", "secret_key": MARKER, "buckets": ["*"]}],
        bucket_creds_fetcher=fetcher,
        validator=fetcher,
        hmac_fetcher=functools.partial(_two, MARKER) if partial else _one,
    )
    assert "MARKER" not in f"{config!r} {config} {config.settings!r} {config.settings.routes}"
