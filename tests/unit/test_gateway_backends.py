"""Buckets that are read-only, stand in for others, have templates for names, or credentials that botocore finds."""

from __future__ import annotations

from typing import Any

import pytest

from osp_gateway import ConfigError, Decision
from osp_gateway.outcomes import Forward, Refusal
from osp_gateway.s3.head import RequestHead
from support.botocore_requests import SERVICE, serialized
from support.heads import BACKEND, Bench, Validator, assert_botocore_agrees, header, presigned_head, signed_head
from support.heads import STORE as ANY_STYLE

STORE = {**ANY_STYLE, "addressing_style": "path"}
PLACE = {name: value for name, value in STORE.items() if name not in ("access_key", "secret_key")}
READS = {"Get", "Hea", "Lis", "Sel"}


def head_of(name: str) -> RequestHead:
    sent = serialized(name)
    headers = tuple((n, v) for n, values in sent.headers.items() for v in values if n.startswith("x-amz-"))
    bucket = sent.path.strip("/").split("/")[0]
    path = sent.path.replace(bucket, "demo", 1) if bucket else sent.path
    return signed_head(sent.method, path + (f"?{sent.query}" if sent.query else ""), headers)


@pytest.mark.parametrize(
    "name",
    [n for n in SERVICE.operation_names if n not in ("ListBuckets", "ListDirectoryBuckets", "WriteGetObjectResponse")],
)
async def test_nothing_but_reads_reaches_a_bucket_that_is_read_only(name):
    """Each operation of S3, as botocore writes it."""
    outcome = await Bench(cos_map={"demo": {**STORE, "read_only": True}}).admit(head_of(name))
    if isinstance(outcome, Forward):
        assert outcome.operation[:3] in READS
        assert outcome.operation in (name, f"{name}Configuration")
    else:
        assert isinstance(outcome, Refusal)
        assert outcome.error.code in ("AccessDenied", "NotImplemented", "InvalidArgument")
        assert name[:3] not in READS or outcome.error.code != "AccessDenied"


@pytest.mark.parametrize("presigned", [False, True])
async def test_a_bucket_that_is_read_only_can_be_copied_from_and_not_to(presigned):
    bench = Bench(cos_map={"demo": STORE, "frozen": {**STORE, "read_only": True}})

    def copy(target: str, source: str) -> RequestHead:
        if presigned:
            return presigned_head("PUT", target, query=(("x-amz-copy-source", source),))
        return signed_head("PUT", target, (("x-amz-copy-source", source),))

    await bench.forward(copy("/demo/k", "/frozen/k"))
    assert (await bench.refusal(copy("/frozen/k", "/demo/k"))).error.code == "AccessDenied"


async def test_who_may_not_read_learns_nothing_of_what_is_read_only():
    bench = Bench(cos_map={"demo": {**STORE, "read_only": True}}, validator=Validator(False))
    assert (await bench.refusal(signed_head("PUT", "/demo/k"))).error.reason != "the bucket is read-only"


# A bucket that stands in for others


async def test_authorizers_and_answers_have_the_clients_name_and_the_store_the_default_one():
    bench = Bench(cos_map={"main": STORE}, default_bucket="main")
    forward = await bench.forward(signed_head("GET", "/unheard-of/k"))
    assert bench.validator.asked[0].bucket == "unheard-of"
    assert forward.target == "/main/k"
    assert (forward.names.client_bucket, forward.names.backend_bucket) == ("unheard-of", "main")
    assert_botocore_agrees(forward)


async def test_the_default_bucket_keeps_its_own_rules():
    bench = Bench(cos_map={"main": {**STORE, "read_only": True, "prefix": "{name}/"}}, default_bucket="main")
    assert (await bench.forward(signed_head("GET", "/unheard-of/k"))).target == "/main/main/k"
    assert (await bench.refusal(signed_head("PUT", "/unheard-of/k"))).error.code == "AccessDenied"


async def test_the_fetcher_is_asked_about_the_bucket_that_is_configured():
    asked: list[tuple[str, str]] = []

    def fetch(token: str, bucket: str) -> Any:
        asked.append((token, bucket))
        return {"access_key": BACKEND.access_key, "secret_key": BACKEND.secret_key}

    bench = Bench(cos_map={"main": PLACE}, default_bucket="main", bucket_creds_fetcher=fetch)
    for name in ("one", "two", "main"):
        await bench.forward(signed_head("GET", f"/{name}/k"))
    assert [bucket for _, bucket in asked] == ["main"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_nobody_makes_or_deletes_the_default_bucket_by_another_name(method):
    bench = Bench(cos_map={"main": STORE}, default_bucket="main")
    assert (await bench.refusal(signed_head(method, "/unheard-of"))).error.code == "AccessDenied"


@pytest.mark.parametrize("target", ["/", "/*", "/.hidden/k", "/%2e%2e/k"])
async def test_what_is_no_name_has_no_default(target):
    bench = Bench(cos_map={"main": STORE}, default_bucket="main")
    outcome = await bench.admit(signed_head("GET", target))
    assert not isinstance(outcome, Forward)


async def test_configured_names_and_patterns_come_first():
    cos_map = {"main": STORE, "logs-*": {**STORE, "bucket": "all-logs"}}
    forward = await Bench(cos_map=cos_map, default_bucket="main").forward(signed_head("GET", "/logs-a/k"))
    assert forward.target == "/all-logs/k"


# Templates


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ({"bucket": "prod-{name}"}, "/prod-team-a/k"),
        ({"bucket": "{name}"}, "/team-a/k"),
        ({"bucket": "shared", "prefix": "teams/{name}/"}, "/shared/teams/team-a/k"),
    ],
)
async def test_a_glob_has_templates(entry, target):
    forward = await Bench(cos_map={"team-*": {**STORE, **entry}}).forward(signed_head("GET", "/team-a/k"))
    assert forward.target == target
    assert_botocore_agrees(forward)


async def test_a_name_that_would_be_too_long_is_no_bucket():
    bench = Bench(cos_map={"t*": {**STORE, "bucket": "p" * 100 + "{name}"}})
    assert (await bench.refusal(signed_head("GET", "/t" + "x" * 200 + "/k"))).error.code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prefix", "team-a"),
        ("prefix", "/team-a/"),
        ("prefix", "a/../b/"),
        ("prefix", "./"),
        ("prefix", "a//"),
        ("prefix", "a%2F/"),
        ("prefix", "a+/"),
        ("prefix", "a\\/"),
        ("prefix", "a\n/"),
        ("prefix", "{other}/"),
        ("prefix", "x" * 600 + "/"),
        ("bucket", "prod-{other}"),
        ("bucket", "-x"),
        ("bucket", "a/b"),
        ("role_arn", "role"),
        ("external_id", "x"),
        ("credentials", "unknown"),
        ("read_only", "perhaps"),
    ],
)
def test_wrong_fields_are_mistakes(field, value):
    with pytest.raises(ConfigError) as caught:
        Bench(cos_map={"demo": {**STORE, field: value}})
    assert all(line.startswith("cos_map['demo']") for line in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(("default", "buckets"), [("other", ["demo"]), ("lo*", ["lo*"]), ("demo", ["demo", "*"])])
def test_a_default_bucket_must_be_one_that_is_configured_by_name(default, buckets):
    with pytest.raises(ConfigError, match="default_bucket: "):
        Bench(cos_map=dict.fromkeys(buckets, STORE), default_bucket=default)


# Credentials


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    file = tmp_path / "credentials"
    file.write_text(
        f"[night]\naws_access_key_id = {BACKEND.access_key}\naws_secret_access_key = {BACKEND.secret_key}\n"
        "aws_session_token = fake-session-token\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))


@pytest.mark.parametrize(
    "config",
    [
        {"cos_map": {"demo": {**PLACE, "profile": "night"}}},
        {
            "cos_map": {"demo": {**PLACE, "credentials": "nightly"}},
            "backend_credentials": {"nightly": {"profile": "night"}},
        },
    ],
    ids=["of the bucket", "by name"],
)
async def test_a_profile_signs_and_its_session_token_goes_along(profiles, config):
    forward = await Bench(**config).forward()
    assert header(forward, "x-amz-security-token") == "fake-session-token"
    signed = (header(forward, "authorization") or "").partition("SignedHeaders=")[2]
    assert "x-amz-security-token" in signed
    assert f"Credential={BACKEND.access_key}/" in (header(forward, "authorization") or "")


async def test_the_environment_signs(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", BACKEND.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", BACKEND.secret_key)
    assert_botocore_agrees(await Bench(cos_map={"demo": {**PLACE, "credentials": "botocore"}}).forward())


async def test_where_nothing_is_found_the_backend_is_not_asked():
    refusal = await Bench(cos_map={"demo": {**PLACE, "profile": "not-there"}}).refusal()
    assert refusal.error.code == "ServiceUnavailable"
    assert b"not-there" not in refusal.body


async def test_an_authorizer_can_choose_a_profile(profiles):
    def authorizer(request: Any) -> Decision:
        return Decision(True, "yes", credentials="nightly")

    forward = await Bench(
        cos_map={"demo": STORE}, backend_credentials={"nightly": {"profile": "night"}}, authorizer=authorizer
    ).forward()
    assert header(forward, "x-amz-security-token") == "fake-session-token"


@pytest.mark.parametrize(
    "entry",
    [
        {"profile": "a", "apikey": "fake"},
        {"profile": "a", "access_key": "fake", "secret_key": "fake"},
        {"credentials": "botocore", "apikey": "fake"},
        {"external_id": "x", "profile": "a"},
    ],
)
def test_credentials_that_contradict_each_other_are_a_mistake(entry):
    with pytest.raises(ConfigError):
        Bench(cos_map={"demo": {**PLACE, **entry}})
    with pytest.raises(ConfigError):
        Bench(cos_map={"demo": STORE}, backend_credentials={"x": entry})
