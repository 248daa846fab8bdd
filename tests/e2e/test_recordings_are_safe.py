"""Recordings are committed: no secret is in any octet of one, however it is spelled."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
import pytest
from botocore.config import Config
from mitmproxy.io import FlowReader

from support.leaks import leaks
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw_s3 import presigned_target, send, send_signed
from support.recorder import Answer, Recorded, Recorder
from support.replays import error_of
from support.s3 import client

CUSTOMER_KEY = b"a-fake-key-of-a-customer-of-32-o"
SESSION_TOKEN = "fake/session+token=of-a-temporary-key"
COOKIE = "session=a-fake-cookie/of+somebody"
BEARER = "fake.bearer.token-of-somebody"
OTHER_TOKENS = {
    "x-amz-s3session-token": "fake-token-of-a-directory-bucket",
    "x-amz-mfa": "arn:aws:iam::1:mfa/fake 123456",
    "x-auth-token": "fake-token-of-swift",
    "x-api-key": "fake-key-of-an-api",
    "proxy-authorization": "Basic ZmFrZTpmYWtlLXByb3h5",
    "referer": "http://somewhere.test/?X-Amz-Signature=fakefakefakefake",
    "ibm-service-instance-id": "fake-id-of-an-instance",
}
REFUSAL = f"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message>
<AWSAccessKeyId>{BACKEND_KEY}</AWSAccessKeyId>
<StringToSign>AWS4-HMAC-SHA256 a-fake-string-to-sign</StringToSign>
<SignatureProvided>a-fake-signature-of-the-backend</SignatureProvided>
<CanonicalRequest>GET x-amz-security-token:{SESSION_TOKEN}</CanonicalRequest></Error>""".encode()
KEYS = {"temporary-fake-key": "temporary-fake-secret"}


CONFIG = f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{{{'*': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False,
        access_key={BACKEND_KEY!r}, secret_key={BACKEND_SECRET!r})}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r}),
        dict(access_key='temporary-fake-key', secret_key='temporary-fake-secret', session_token={SESSION_TOKEN!r})],
    validator=lambda token, bucket: True, explain_errors=True, allow_anonymous=True,
)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[bytes, set[str | bytes]]:
    """A recording of requests with secrets in all places, and the secrets."""
    folder = tmp_path_factory.mktemp("safe")
    file = folder / "session.osp"
    secrets: set[str | bytes] = {
        BACKEND_SECRET, CLIENT_SECRET, *KEYS.values(), CUSTOMER_KEY, SESSION_TOKEN, COOKIE, BEARER, BACKEND_KEY,
        base64.b64encode(CUSTOMER_KEY), hashlib.md5(CUSTOMER_KEY).digest(), *OTHER_TOKENS.values(),
    }  # fmt: skip
    with Recorder().running() as store:
        headers = (
            ("ETag", '"a"'),
            ("Set-Cookie", COOKIE),
            ("x-amz-security-token", SESSION_TOKEN),
            ("X-Echo-Authorization", "a-fake-echo-of-something"),
        )

        def answers(asked: Recorded) -> Answer:
            if "store-refuses" in asked.target:
                return Answer(403, (("Content-Type", "application/xml"),), REFUSAL)
            return Answer(headers=headers, body=b"answer" if asked.method == "GET" else b"")

        store.answer = answers
        options = {"osp_record": str(file)}
        with gateway(folder, CONFIG.format(port=store.port), options=options) as running:
            url = running.url
            sse = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER_KEY}
            s3 = client(url)
            s3.meta.events.register("before-sign.s3", lambda request, **_: request.headers.add_header("cookie", COOKIE))
            s3.put_object(Bucket="demo", Key="everyday", Body=b"body")
            error_of(s3.put_object, Bucket="demo", Key="sse-c", Body=b"body", **sse)
            s3.get_object(Bucket="demo", Key="sse-c", **sse)["Body"].read()
            error_of(s3.get_object, Bucket="demo", Key="store-refuses")
            source = {f"CopySource{name}": value for name, value in sse.items()}
            error_of(s3.copy_object, Bucket="demo", Key="copy", CopySource="demo/sse-c", **source, **sse)
            send_signed("GET", url, "/demo/tokens", {**OTHER_TOKENS, "cookie": COOKIE})
            presigned = presigned_target("GET", url, "/demo/presigned")
            send("GET", url, presigned)
            link = _temporary(url).generate_presigned_url("get_object", Params={"Bucket": "demo", "Key": "temporary"})
            send("GET", url, link.removeprefix(url))
            _temporary(url).get_object(Bucket="demo", Key="temporary")["Body"].read()
            for target in (presigned, link):
                query = dict(parse_qsl(urlsplit(target).query))
                secrets.add(query["X-Amz-Signature"])
            for wrong in (client(url, secret="wrong-fake-secret"), client(url, key="unknown-fake-key")):
                error_of(wrong.get_object, Bucket="demo", Key="wrong")
            send("GET", url, presigned.replace("/presigned", "/another"))
            send("GET", url, "/demo/v2?AWSAccessKeyId=x&Expires=9999999999&Signature=fake%2Fsignature%3D")
            send("GET", url, presigned + "&X-Amz-Security-Token=" + quote(SESSION_TOKEN, safe=""))
            send("GET", url, presigned.replace("X-Amz-Signature", "x-amz-signature"))
            hoisted = quote(base64.b64encode(CUSTOMER_KEY).decode(), safe="")
            for name in ("X-Amz-Server-Side-Encryption-Customer-Key", "x-amz-server-side-encryption-customer-key"):
                send("GET", url, presigned_target("GET", url, f"/demo/hoisted?{name}={hoisted}"))
            send("GET", url, presigned_target("GET", url, "/demo/hoisted?X-Amz-Mfa=fake%20123456"))
            send("GET", url, "/demo/bearer", {"authorization": f"Bearer {BEARER}"})
        secrets |= {
            "fake 123456",
            "a-fake-echo-of-something",
            "fake/signature=",
            "a-fake-string-to-sign",
            "a-fake-signature-of-the-backend",
        }
        for request in store.requests:
            authorization = request.get("authorization") or ""
            secrets |= {found[1] for found in re.finditer(r"Signature=([0-9a-f]{64})", authorization)}
    with running.flow_file.open("rb") as flows:
        content = flows.read()
    secrets |= {found[1].decode() for found in re.finditer(rb"[sS]ignature=([0-9a-f]{64})", content)}
    return file.read_bytes(), secrets


def _temporary(url: str):
    (key, secret) = next(iter(KEYS.items()))
    session = boto3.session.Session(key, secret, SESSION_TOKEN, "us-east-1")
    return session.client("s3", endpoint_url=url, config=Config(signature_version="s3v4", retries={"max_attempts": 0}))


def test_all_requests_are_in_the_recording(recorded):
    content, secrets = recorded
    for name in (b"everyday", b"sse-c", b"copy", b"tokens", b"presigned", b"temporary", b"store-refuses", b"hoisted"):
        assert b"/demo/" + name in content, name
    assert sum(isinstance(secret, str) and len(secret) == 64 for secret in secrets) > 10


def test_no_secret_is_in_any_octet_of_it(recorded):
    content, secrets = recorded
    assert leaks(secrets, content) == []


@pytest.mark.parametrize(
    "part",
    [
        b"Signature=",
        b"SignatureProvided",
        b"signature=",
        b"Credential",
        b"StringToSign",
        b"set-cookie",
        b"authorization:",
    ],
)
def test_nothing_is_in_it_that_goes_with_a_secret(recorded, part):
    assert part not in recorded[0]


def test_a_customers_key_becomes_another_that_fits_its_md5(recorded):
    name = "x-amz-server-side-encryption-customer-key"
    flows = [flow for flow in FlowReader(io.BytesIO(recorded[0])).stream() if name in flow.request.headers]
    assert len(flows) == 3
    keys = {flow.request.headers[name] for flow in flows}
    assert len(keys) == 1
    key = base64.b64decode(keys.pop())
    assert len(key) == 32
    md5 = base64.b64encode(hashlib.md5(key).digest()).decode()
    assert {flow.request.headers[f"{name}-md5"] for flow in flows} == {md5}
