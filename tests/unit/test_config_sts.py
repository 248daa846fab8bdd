"""`sts`, `presign` and `revoked_keys`: what is taken, and how mistakes are told."""

from __future__ import annotations

from typing import Any

import pytest

from osp_gateway.access.revocation import Revoked
from osp_gateway.config import ConfigError, ProxyServerConfig, Settings
from support.heads import CLIENT, STORE
from support.sts import ISSUER, JWT, READER, SECRET

KEYS = [{"access_key": CLIENT.access_key, "secret_key": CLIENT.secret_key}]
TRUSTING = {"principals": ["*"]}
FEDERATED = {"web_identity": {"iss": ISSUER, "sub": "alice"}}


def settings(**config: Any) -> Settings:
    config.setdefault("validator", lambda token, bucket: True)
    return ProxyServerConfig(cos_map={"demo": STORE}, hmac_keystore=KEYS, **config).settings


def problems(**config: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(**config)
    return list(caught.value.problems)


def test_a_role_as_it_is_written() -> None:
    policy = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    written = {
        "principals": "client-*",
        "web_identity": {"iss": ISSUER, "sub": ["a", "b"]},
        "external_id": "Fake-Id",
        "max_duration": 7200,
        "policy": policy,
        "buckets": ["demo"],
        "tags": ["team"],
        "claims": ["groups"],
    }
    found = settings(sts={"secret": SECRET, "account": "123456789012", "roles": {READER: written}}, jwt=JWT)
    assert found.sts is not None
    role = found.sts.roles[READER]
    assert (role.principals, role.external_ids, role.max_seconds) == (("client-*",), ("Fake-Id",), 7200)
    assert role.web_identity == {"iss": (ISSUER,), "sub": ("a", "b")}
    assert (role.tags, role.claims) == (("team",), ("groups",))
    assert role.policy == '{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'
    assert found.key_buckets == {READER: ("demo",)}
    assert found.sts.account == "123456789012"


def test_the_secret_may_be_several_and_is_not_told() -> None:
    found = settings(sts={"secret": [SECRET, SECRET[::-1]]})
    assert found.sts is not None
    assert found.sts.secrets == (SECRET, SECRET[::-1])
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("sts", "line"),
    [
        ({}, "sts.secret: missing"),
        ({"secret": "short"}, "sts.secret[0]: "),
        ({"secret": []}, "sts.secret: missing"),
        ({"secret": SECRET, "role": {}}, "sts.role: unknown field, did you mean 'roles'?"),
        ({"secret": SECRET, "roles": {"reader": TRUSTING}}, "sts.roles['reader']: "),
        ({"secret": SECRET, "roles": {READER: {}}}, f"sts.roles['{READER}']: nobody may take it on"),
        ({"secret": SECRET, "roles": {READER: {"principals": []}}}, f"sts.roles['{READER}']: nobody may take it on"),
        (
            {"secret": SECRET, "roles": {READER: {**TRUSTING, "max_duration": 0}}},
            f"sts.roles['{READER}'].max_duration: ",
        ),
        ({"secret": SECRET, "roles": {READER: {**TRUSTING, "max_duration": True}}}, f"sts.roles['{READER}'].max_dur"),
        ({"secret": SECRET, "roles": {READER: {**TRUSTING, "max_duration": 43_201}}}, f"sts.roles['{READER}'].max_dur"),
        ({"secret": SECRET, "roles": {READER: {**TRUSTING, "max_duration": 899}}}, f"sts.roles['{READER}'].max_dur"),
        ({"secret": SECRET, "roles": {READER: {**TRUSTING, "external_id": ""}}}, f"sts.roles['{READER}'].external_id"),
        ({"secret": SECRET, "roles": {READER: {**TRUSTING, "external_id": []}}}, f"sts.roles['{READER}'].external_id"),
        ({"secret": SECRET, "roles": {READER: {**FEDERATED, "external_id": "ab"}}}, f"sts.roles['{READER}'].external"),
        (
            {"secret": SECRET, "roles": {READER: {**TRUSTING, "policy": "{}"}}},
            f"sts.roles['{READER}'].policy: Statement: ",
        ),
        (
            {"secret": SECRET, "roles": {READER: {**TRUSTING, "policy": {}}}},
            f"sts.roles['{READER}'].policy: Statement: ",
        ),
        ({"secret": SECRET, "roles": {READER: {"web_identity": {"sub": "a"}}}}, f"sts.roles['{READER}'].web_identity"),
        ({"secret": SECRET, "roles": {READER: {"web_identity": {"iss": "a"}}}}, f"sts.roles['{READER}'].web_identity"),
        (
            {"secret": SECRET, "roles": {READER: {"web_identity": {"iss": "a", "sub": []}}}},
            f"sts.roles['{READER}'].web",
        ),
        ({"secret": SECRET, "account": "1"}, "sts.account: "),
        ({"secret": SECRET, "min_duration": 901}, "sts.min_duration: "),
        ({"secret": SECRET, "max_duration": 129_601}, "sts.max_duration: "),
        ({"secret": SECRET, "max_duration": 899}, "sts.max_duration: expected no less than min_duration"),
    ],
    ids=str,
)
def test_a_mistake_in_sts_is_one_line(sts: dict[str, Any], line: str) -> None:
    (problem,) = problems(sts=sts, jwt=JWT)
    assert problem.startswith(line)
    assert SECRET not in problem


def test_web_identities_need_somebody_who_verifies_them() -> None:
    (problem,) = problems(sts={"secret": SECRET, "roles": {READER: FEDERATED}})
    assert problem == f"sts.roles['{READER}'].web_identity: nobody verifies the tokens, expected jwt"


def test_a_client_key_must_not_be_called_like_a_role() -> None:
    keys = [{"access_key": READER, "secret_key": "fake-secret"}]
    with pytest.raises(ConfigError, match="a client key in hmac_keystore has this name"):
        ProxyServerConfig(
            cos_map={"demo": STORE},
            hmac_keystore=keys,
            validator=lambda token, bucket: True,
            sts={"secret": SECRET, "roles": {READER: TRUSTING}},
        )


def test_patterns_listed_with_roles_are_enough_to_decide() -> None:
    role = {**TRUSTING, "buckets": ["demo"]}
    assert settings(validator=None, sts={"secret": SECRET, "roles": {READER: role}}).validator is None
    (problem,) = problems(validator=None, sts={"secret": SECRET, "roles": {READER: TRUSTING}})
    assert problem.startswith("validator: missing")


def test_presign_and_the_older_name_of_its_count() -> None:
    found = settings(presign={"max_lifetime": 3600, "max_uses": 2})
    assert (found.max_presign_lifetime, found.max_presign_uses) == (3600, 2)
    assert settings(max_presign_url_usage_attempts=3).max_presign_uses == 3
    (problem,) = problems(presign={"max_uses": 2}, max_presign_url_usage_attempts=2)
    assert problem.startswith("max_presign_url_usage_attempts: the same as presign.max_uses")


@pytest.mark.parametrize(
    "presign",
    [
        {"max_lifetime": 0},
        {"max_lifetime": 604_801},
        {"max_lifetime": True},
        {"max_uses": 0},
        {"max_use": 1},
        {"max_uses": "x"},
    ],
    ids=str,
)
def test_a_mistake_in_presign_is_one_line(presign: dict[str, Any]) -> None:
    (problem,) = problems(presign=presign)
    assert problem.startswith(f"presign.{next(iter(presign))}: ")


def test_revoked_keys_as_they_are_written() -> None:
    written = [
        "old-*",
        {"key": READER, "issued_before": "2026-01-01T12:00:00Z"},
        {"issued_before": "2026-01-01T13:00:00+01:00"},
    ]
    noon = 1_767_268_800.0
    assert settings(revoked_keys=written).revoked == (Revoked("old-*"), Revoked(READER, noon), Revoked("*", noon))


@pytest.mark.parametrize(
    "entry",
    [
        "",
        7,
        {},
        {"keys": "x"},
        {"issued_before": "yesterday"},
        {"issued_before": "2026-01-01T12:00:00"},
        {"issued_before": 0},
    ],
    ids=str,
)
def test_a_mistake_in_revoked_keys_is_one_line(entry: Any) -> None:
    (problem,) = problems(revoked_keys=[entry])
    assert problem.startswith("revoked_keys[0]")
