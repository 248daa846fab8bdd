"""Tokens from real clients to a store that keeps what it was sent, with an issuer that publishes its keys."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.processes import CLIENT_KEY, CLIENT_SECRET, Store, config_for, gateway
from support.raw import Answer, ask
from support.recorder import Answer as Answered
from support.recorder import Recorder
from support.serving import HERE, serving
from support.signing import Raw
from support.tokens import AUDIENCE, ISSUER, SECRET_KEY, claims, jwk_of, jwks, mint, rsa_key

PROGRAMS = ("mitmdump", "osp")
NO_CHECK = ssl.create_default_context()
NO_CHECK.check_hostname = False
NO_CHECK.verify_mode = ssl.CERT_NONE


@dataclass
class Setup:
    port: int
    store: Recorder
    issuer: Recorder
    log: Any
    flows: Path | None

    def s3(self, key: str, secret: str, token: str | None = None) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def bearer(
        self,
        token: str,
        method: str = "GET",
        target: str = "/demo/alice/key",
        *,
        tls: bool = False,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Answer:
        pairs = (("Host", f"127.0.0.1:{self.port}"), ("Authorization", f"Bearer {token}"), *headers)
        if body:
            pairs = (*pairs, ("Content-Length", str(len(body))))
        return ask(self.port, Raw(method, target, pairs, body).octets, tls=NO_CHECK if tls else None)

    def assert_untold(self, token: str) -> None:
        """Neither the store nor the log has seen anything of a token."""
        seen = self.log() + "".join(
            r.raw_head.decode("latin-1") + r.body.decode("latin-1") for r in self.store.requests
        )
        for part in token.split("."):
            assert part not in seen
        assert "bearer ey" not in seen.lower()


def issuer_of(recorder: Recorder, **more: Any) -> dict[str, Any]:
    grants = [
        {
            "claim": "groups",
            "value": "staff",
            "buckets": ["demo"],
            "prefixes": ["${sub}/"],
            "actions": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"],
        },
    ]
    return {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "algorithms": ["RS256"],
        "jwks_url": f"http://127.0.0.1:{recorder.port}/jwks",
        "secret_key": SECRET_KEY,
        "grants": grants,
        **more,
    }


@pytest.fixture(scope="module", params=PROGRAMS)
def setup(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp(request.param)
    with Recorder().running() as store, Recorder().running() as issuer:
        issuer.answer = Answered(body=jwks(jwk_of(rsa_key(), "one")))
        jwt = issuer_of(issuer, bearer="tls" if request.param == "mitmdump" else "any")
        text = config_for(Store(store.port, folder), extra=f"jwt={jwt!r}, admin_port=0, {HERE}")
        text = text.replace("validator=validator", "validator=None")
        if request.param == "mitmdump":
            with gateway(folder, text) as running:
                yield Setup(running.ports[0], store, issuer, running.output, running.flow_file)
        else:
            with serving(folder, text) as running:
                yield Setup(running.port, store, issuer, running.output, None)


@pytest.fixture(autouse=True)
def clean(setup: Setup) -> None:
    setup.store.clear()


def token(sub: str = "alice", number: int = 0, kid: str = "one", **changes: Any) -> str:
    said = claims(time.time(), **{"sub": sub, "groups": ["staff"], **changes})
    return mint(said, rsa_key(number), headers={"kid": kid})


def clients(setup: Setup, text: str) -> dict[str, Any]:
    return {
        "access key": setup.s3(text, SECRET_KEY),
        "session token": setup.s3(CLIENT_KEY, CLIENT_SECRET, text),
        "session token, shared secret": setup.s3("anything", SECRET_KEY, text),
    }


WAYS = ["access key", "session token", "session token, shared secret"]


@pytest.mark.parametrize("way", WAYS)
def test_boto3_comes_with_a_token(setup: Setup, way: str) -> None:
    text = token()
    s3 = clients(setup, text)[way]
    s3.put_object(Bucket="demo", Key="alice/key", Body=b"hello")
    s3.list_objects_v2(Bucket="demo", Prefix="alice/")
    put, listed = setup.store.requests
    assert (put.method, put.target, put.body) == ("PUT", "/demo/alice/key", b"hello")
    for sent in (put, listed):
        assert sent.is_signed_by()
        assert sent.get("x-amz-security-token") is None
    setup.assert_untold(text)


@pytest.mark.parametrize("way", WAYS)
def test_a_presigned_url_carries_a_token(setup: Setup, way: str) -> None:
    text = token()
    url = clients(setup, text)[way].generate_presigned_url("get_object", {"Bucket": "demo", "Key": "alice/key"})
    target = url.removeprefix(f"http://127.0.0.1:{setup.port}")
    answer = ask(setup.port, Raw("GET", target, (("Host", f"127.0.0.1:{setup.port}"),)).octets)
    assert answer.status == 200
    assert setup.store.only.target == "/demo/alice/key"
    assert setup.store.only.is_signed_by()
    setup.assert_untold(text)


@pytest.mark.parametrize("way", WAYS)
def test_claims_are_the_limit(setup: Setup, way: str) -> None:
    s3 = clients(setup, token())[way]
    for call in (
        lambda: s3.get_object(Bucket="demo", Key="bob/key"),
        lambda: s3.get_object(Bucket="demo", Key="alice/../bob/key"),
        lambda: s3.list_objects_v2(Bucket="demo"),
        lambda: s3.list_objects_v2(Bucket="demo", Prefix="bob/"),
        lambda: s3.put_object(Bucket="demo", Key="alice/key", Body=b"", ACL="public-read"),
        lambda: s3.delete_bucket(Bucket="demo"),
        lambda: s3.copy_object(Bucket="demo", Key="alice/copy", CopySource="demo/bob/key"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] in ("AccessDenied", "InvalidURI")
    assert setup.store.requests == []


def test_a_batch_deletes_what_is_the_bearers_own(setup: Setup) -> None:
    s3 = setup.s3(token(), SECRET_KEY)
    setup.store.answer = Answered(
        body=b'<?xml version="1.0"?><DeleteResult><Deleted><Key>alice/a</Key></Deleted></DeleteResult>'
    )
    answer = s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": "alice/a"}, {"Key": "bob/b"}]})
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("bob/b", "AccessDenied")]
    assert b"bob" not in setup.store.only.body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": int(time.time()) - 300}, "ExpiredToken"),
        ({"aud": "someone-elses"}, "InvalidToken"),
        ({"number": 1}, "InvalidToken"),
    ],
)
def test_an_sdk_raises_what_aws_would_make_it_raise(setup: Setup, way: str, changes: dict[str, Any], code: str) -> None:
    text = token(**changes)
    with pytest.raises(ClientError) as caught:
        clients(setup, text)[way].get_object(Bucket="demo", Key="alice/key")
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert not any(part in str(caught.value.response) for part in text.split("."))
    assert setup.store.requests == []
    setup.assert_untold(text)


def test_another_secret_is_a_wrong_signature(setup: Setup) -> None:
    text = token()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch") as caught:
        setup.s3(text, "other-fake-secret").get_object(Bucket="demo", Key="alice/key")
    assert not any(part in str(caught.value.response) for part in text.split("."))
    setup.assert_untold(text)


def test_a_bearer_needs_no_signature(setup: Setup) -> None:
    text = token()
    tls = setup.flows is not None
    answer = setup.bearer(text, "PUT", body=b"hello", tls=tls)
    assert answer.status == 200
    sent = setup.store.only
    assert (sent.method, sent.target, sent.body) == ("PUT", "/demo/alice/key", b"hello")
    assert sent.is_signed_by()
    assert setup.bearer(text, target="/demo/bob/key", tls=tls).code == "AccessDenied"
    assert setup.bearer(text[:-5] + "AAAAA", tls=tls).code == "InvalidToken"
    assert len(setup.store.requests) == 1
    setup.assert_untold(text)


def test_a_bearer_in_the_clear_is_refused_unless_that_is_wanted(setup: Setup) -> None:
    answer = setup.bearer(token())
    assert (answer.status, answer.code) == ((403, "AccessDenied") if setup.flows else (200, ""))


def test_the_body_of_a_bearer_is_what_it_says(setup: Setup) -> None:
    tls = setup.flows is not None
    stated = (("x-amz-content-sha256", "0" * 64),)
    answer = setup.bearer(token(), "PUT", body=b"hello", tls=tls, headers=stated)
    assert answer.code == "XAmzContentSHA256Mismatch"
    chunked = (
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "5"),
    )
    assert (
        setup.bearer(
            token(), "PUT", body=b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n", tls=tls, headers=chunked
        ).code
        == "InvalidRequest"
    )
    assert setup.store.requests == []


def test_keys_are_rotated_and_the_issuer_may_be_away(tmp_path: Path) -> None:
    """A gateway of its own: the issuer is asked at most every ten seconds, and here it was not asked yet."""
    with Recorder().running() as store, Recorder().running() as issuer:
        issuer.answer = Answered(body=jwks(jwk_of(rsa_key(1), "two"), jwk_of(rsa_key(), "one")))
        jwt = issuer_of(issuer, bearer="any")
        text = config_for(Store(store.port, tmp_path), extra=f"jwt={jwt!r}, admin_port=0, {HERE}")
        with serving(tmp_path, text.replace("validator=validator", "validator=None")) as running:
            here = Setup(running.port, store, issuer, running.output, None)
            assert here.bearer(token()).status == 200
            issuer.answer = Answered(500)
            assert here.bearer(token(number=1, kid="two")).status == 200
            assert here.bearer(token(number=2, kid="three")).code == "InvalidToken"
            assert {request.target for request in issuer.requests} == {"/jwks"}
            assert len(issuer.requests) == 1
            assert "Authorization" not in issuer.requests[0].raw_head.decode()
            before = len(store.requests)
            running.reload(text)  # without its keys, and with an issuer that is away
            refused = here.bearer(token())
            assert (refused.status, refused.code) == (503, "ServiceUnavailable")
            assert len(store.requests) == before
