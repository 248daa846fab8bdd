"""No secret that went through the gateway is in what it leaves behind: flow files, HAR, logs, comments, views."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from mitmproxy import http
from mitmproxy.contentviews import Metadata
from mitmproxy.io import FlowReader

from osp_gateway.mitm.views import VIEWS
from osp_gateway.redaction import IS_MARK
from support import forms
from support.aws_chunked import CRC32
from support.chunked_requests import Upload
from support.leaks import leaks, signatures_in
from support.processes import BACKEND_KEY, BACKEND_SECRET, BIN, CLIENT_SECRET, Store, config_for, gateway
from support.raw import ask
from support.raw_s3 import presigned_target, send, send_signed
from support.recorder import Answer, Recorded, Recorder
from support.signing import signed
from support.tee import Tee

TOKEN = "a-fake/session+token=that-is-long-enough"
TOKEN_KEY, TOKEN_SECRET = "client-with-fake-token", "another-client-fake-secret"
SSE_KEY = b"0123456789abcdefFEDCBA9876543210"
COOKIE = "a-fake-cookie-value"
BEARER = "a-fake.bearer.token"
IN_URLS = "a-fake-secret-in-odd-urls"
OWN_HEADER = "fake-internal-ticket"
FROM_STORE = {
    "set-cookie": "fake-cookie-from-the-store",
    "secret": "fake-secret-key-from-sts",
    "session": "fake-session-token-from-sts",
    "provided": "fake-signature-as-the-store-saw-it",
    "token": "fake-token-as-the-store-saw-it",
}
WEB_IDENTITY = "fake.web.identity-token"
CONFIGURED = (CLIENT_SECRET, TOKEN_SECRET, BACKEND_SECRET)
GIVEN = (TOKEN, SSE_KEY.decode(), COOKIE, BEARER, IN_URLS, OWN_HEADER, WEB_IDENTITY, *FROM_STORE.values())
VALIDATOR = """
def validator(token, bucket, request):
    return not request.key.startswith("denied/")
"""


def answer(request: Recorded) -> Answer:
    """A store that tells more than it should."""
    cookie = (("Set-Cookie", f"session={FROM_STORE['set-cookie']}; Path=/"),)
    if "sts" in request.path:
        body = (
            f"<R><SecretAccessKey>{FROM_STORE['secret']}</SecretAccessKey>"
            f"<ns:SessionToken x='y'><![CDATA[{FROM_STORE['session']}]]></ns:SessionToken></R>"
        )
        return Answer(200, (("Content-Type", "text/xml"), *cookie), body.encode())
    if "sees-all" in request.path:
        body = (
            f"<Error><Code>SignatureDoesNotMatch</Code><SignatureProvided>{FROM_STORE['provided']}</SignatureProvided>"
            f"<Token-0>{FROM_STORE['token']}</Token-0><StringToSign>{request['authorization']}</StringToSign></Error>"
        )
        return Answer(403, (("Content-Type", "application/xml"), *cookie), body.encode())
    return Answer(200, (("ETag", '"0123456789abcdef0123456789abcdef"'), *cookie))


@dataclass
class Left:
    """What a run has left behind, and what must not be in it."""

    flows: list[http.HTTPFlow]
    files: dict[str, bytes]
    secrets: set[bytes]
    cookies: list[str] = field(default_factory=list)
    sent_up: list[Recorded] = field(default_factory=list)

    def flow(self, part: str) -> http.HTTPFlow:
        return next(flow for flow in self.flows if part in flow.request.path)


def client_with_token(port: int, **config: Any) -> Any:
    session = boto3.session.Session(TOKEN_KEY, TOKEN_SECRET, TOKEN, region_name="us-east-1")
    config.setdefault("retries", {"max_attempts": 1})
    return session.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=Config(**config))


def with_boto3(port: int) -> None:
    s3 = client_with_token(port)
    s3.put_object(Bucket="demo", Key="boto3", Body=b"x")
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": SSE_KEY}
    s3.get_object(Bucket="demo", Key="customer", **customer)
    s3.get_object(Bucket="demo", Key="customer-again", **customer)
    s3.copy_object(
        Bucket="demo",
        Key="copied",
        CopySource="demo/boto3",
        CopySourceSSECustomerAlgorithm="AES256",
        CopySourceSSECustomerKey=SSE_KEY,
    )
    for key in ("denied/x", "sees-all"):
        with pytest.raises(ClientError):
            s3.get_object(Bucket="demo", Key=key)
    s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": "a"}]})
    new = client_with_token(port, signature_version="s3v4")
    url = new.generate_presigned_url("get_object", {"Bucket": "demo", "Key": "presigned-with-token"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(url).close()
    hidden = new.generate_presigned_url("get_object", {"Bucket": "demo", "Key": "hoisted", **customer})
    with pytest.raises(urllib.request.HTTPError):  # the customer's key is not sent as a header
        opener.open(hidden).close()


def with_sigv2(port: int) -> None:
    s3 = client_with_token(port, signature_version="s3")
    s3.get_object(Bucket="demo", Key="sigv2")
    old = client_with_token(port, signature_version="s3-query")
    url = old.generate_presigned_url("get_object", {"Bucket": "demo", "Key": "sigv2-query"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url):
        pass


def with_aws_cli(port: int, folder: Path) -> None:
    (folder / "file").write_bytes(b"from the command line")
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": TOKEN_KEY,
        "AWS_SECRET_ACCESS_KEY": TOKEN_SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    words = [BIN / "aws", "--endpoint-url", f"http://127.0.0.1:{port}", "s3", "cp", folder / "file", "s3://demo/cli"]
    subprocess.run(list(map(str, words)), env=environment, check=True, capture_output=True, timeout=120)


def with_raw_requests(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    extra = {"Cookie": f"a=1; session={COOKIE}", "x-internal-ticket": OWN_HEADER}
    referer = {"Referer": f"{url}{presigned_target('GET', url, '/demo/referred')}"}
    assert send_signed("GET", url, "/demo/cookie", {**extra, **referer}).status == 200
    send("GET", url, presigned_target("GET", url, "/demo/url"))
    send("GET", url, presigned_target("GET", url, "/demo/mangled").replace("?", "%3F"))
    send("GET", url, presigned_target("GET", url, "/demo/html").replace("&", "&amp;"))
    for spelling in (
        "?a=b%26X%2DAmz%2DSecurity%2DToken={}",
        "?X-Amz-Security-Token%3D{}",
        "?X-Amz-Security-Token[]={}",
        "%3FAWSAccessKeyId=KEY%26Signature={}",
        "?a=b&amp;Signature={}",
        "?x-internal-ticket={}",
        "?X_Internal_Ticket={}",
        "%3Fx-internal-ticket%3D{}",
    ):
        where = f"/demo/spelt{spelling.format(IN_URLS)}"
        send("GET", url, where, {"Authorization": "odd", "Referer": url + where, "User-Agent": f"agent ({where})"})
        send_signed("GET", url, "/demo/referred", {"Referer": url + where, "X_Amz_Security_Token": IN_URLS})
    send_signed("GET", url, f"/demo/ticket?x-internal-ticket={IN_URLS}")
    right = signed(port, "GET", "/demo/blanks")
    ask(port, right.with_changed("authorization", lambda value: value.replace(", ", " ")).octets)
    send("GET", url, "/demo/bearer", {"Authorization": f"Bearer {BEARER}"})
    send("GET", url, "/demo/odd", {"Authorization": BEARER})
    form = f"Action=AssumeRoleWithWebIdentity&WebIdentityToken={WEB_IDENTITY}&Version=2011-06-15".encode()
    send_signed("POST", url, "/", {"Content-Type": "application/x-www-form-urlencoded"}, form)
    send_signed("GET", url, "/demo/sts")
    wrong = signed(port, "GET", "/demo/wrong", secret="wrong-fake-secret", headers=(("Cookie", COOKIE),))
    ask(port, wrong.plus("x-amz-security-token", TOKEN).octets)
    ask(port, signed(port, "GET", "/demo/moved", host=f"other.example.test:{port}").octets)


def with_unreadable_heads(port: int) -> None:
    """Heads that are refused before there is a request."""
    good = signed(port, "GET", "/demo/unreadable", headers=(("Cookie", f"c={COOKIE}"),)).octets
    for octets in (
        good.replace(b"\r\nAuthorization: ", b"\r\nAuthorization : "),
        good.replace(b"SignedHeaders=", b"\r\n SignedHeaders="),
        good.replace(b"\r\nAuthorization: ", b"\r\nAuthorization\0: "),
        good.replace(b"\r\nAuthorization: ", b"\nx: y\rAuthorization: "),
        good.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\n " + BEARER.encode() + b"\r\n"),
        good.replace(b"/demo/unreadable", b"/demo/unre adable?X-Amz-Security-Token=" + TOKEN.encode()),
        good.replace(b"\r\nHost: ", b"\r\nContent-Length: x\r\nHost: "),
        b"Authorization: Bearer " + BEARER.encode() + b"\r\n" + good,
    ):
        assert octets != good
        with contextlib.suppress(ConnectionError):
            ask(port, octets)


def with_chunks(port: int) -> None:
    trailers = ((CRC32, base64.b64encode(b"\0" * 4).decode()),)
    good = Upload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"x" * 20_000).request(port, "/demo/chunks")
    assert ask(port, good.octets).status == 200
    signed_trailer = Upload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", b"y" * 9000)
    assert ask(port, signed_trailer.request(port, "/demo/trailer").octets).status == 200
    bad = Upload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", b"z" * 9000, trailers=trailers)
    assert ask(port, bad.request(port, "/demo/bad-checksum").octets).status == 400
    broken = Upload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"x" * 20_000).request(port, "/demo/broken")
    assert ask(port, broken.octets.replace(b"x\r\n0;", b"X\r\n0;")).status == 403


def with_forms(port: int) -> None:
    pair = forms.KeyPair(TOKEN_KEY, TOKEN_SECRET, TOKEN)
    for name, key in (("form", "form"), ("denied", "denied/form")):
        body = forms.form_body(forms.boto3_fields(key, pair=pair), b"a file")
        headers = {"Content-Type": forms.CONTENT_TYPE, "Host": f"127.0.0.1:{port}"}
        answered = send("POST", f"http://127.0.0.1:{port}", "/demo", headers, body)
        assert answered.status == (403 if name == "denied" else 200), answered.body


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("redaction")
    har = folder / "flows.har"
    token = f"dict(access_key={TOKEN_KEY!r}, secret_key={TOKEN_SECRET!r}, session_token={TOKEN!r})"
    options = {
        "hardump": str(har),
        "flow_detail": "4",
        "termlog_verbosity": "debug",
        "osp_redact_headers": "x-internal-ticket",
        "osp_preview": "1024",
    }
    with Recorder().running() as recorder:
        recorder.answer = answer
        config = config_for(
            Store(recorder.port, folder), validator=VALIDATOR, extra="allow_sigv2=True, explain_errors=True,"
        )
        config = config.replace("allow_sigv2=True,", f"allow_sigv2=True, access_log={str(folder / 'access.log')!r},")
        config = config.replace("hmac_keystore=[", f"hmac_keystore=[{token}, ")
        with gateway(folder, config, options=options) as front, Tee(front.ports[0]).running() as tee:
            with_boto3(tee.port)
            with_sigv2(tee.port)
            with_aws_cli(tee.port, folder)
            with_raw_requests(tee.port)
            with_unreadable_heads(tee.port)
            with_chunks(tee.port)
            with_forms(tee.port)
        sent = tee.octets
        upstream = [part for request in recorder.requests for part in request.all("authorization")]
    secrets = signatures_in(sent)
    assert len(secrets) > 25
    assert all(form.encode() in sent for form in (COOKIE, BEARER, IN_URLS, OWN_HEADER, TOKEN, WEB_IDENTITY))
    secrets |= {text.encode() for text in (*CONFIGURED, *GIVEN)}
    secrets |= {base64.b64encode(SSE_KEY), base64.b64encode(hashlib.md5(SSE_KEY, usedforsecurity=False).digest())}
    secrets |= {BACKEND_KEY.encode(), *(text.rpartition("Signature=")[2].encode() for text in upstream)}
    with front.flow_file.open("rb") as file:
        flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    files = {
        "flow file": front.flow_file.read_bytes(),
        "HAR": har.read_bytes(),
        "log": front.output().encode(),
        "access log": (folder / "access.log").read_bytes(),
    }
    return Left(flows, files, secrets, sent_up=recorder.requests)


@pytest.mark.parametrize("file", ["flow file", "HAR", "log", "access log"])
def test_nothing_secret_is_left_behind(left, file):
    assert len(left.files[file]) > 10_000
    assert leaks(left.secrets, left.files[file]) == []


def test_nothing_secret_is_in_any_view(left):
    texts = []
    for flow in left.flows:
        for message in (flow.request, flow.response):
            metadata = Metadata(flow=flow, http_message=message)
            texts += [view().prettify(message.raw_content or b"", metadata) for view in VIEWS]
    shown = "\n".join(texts).encode()
    assert b"Canonical request" in shown
    assert leaks(left.secrets, shown) == []
    # A cell folds what is long: the parts would not be found above.
    joined = re.sub(rb"[\s|]+", b"", shown)
    assert leaks(left.secrets, joined) == []


def test_the_search_finds_what_is_there(left):
    hidden = b"..." + base64.b64encode(b"xx" + CLIENT_SECRET.encode() + b"yy") + b"..."
    assert leaks(left.secrets, hidden) == [CLIENT_SECRET.encode()]


def test_the_har_is_a_har(left):
    entries = json.loads(left.files["HAR"])["log"]["entries"]
    assert len(entries) == len(left.flows)


def test_what_masks_leave_is_still_told(left):
    flow = left.flow("/demo/boto3")
    assert f"Credential={TOKEN_KEY}/" in flow.request.headers["authorization"]
    assert IS_MARK(flow.request.headers["authorization"].rpartition("Signature=")[2])
    assert flow.request.headers["x-amz-security-token"].startswith("redacted-")


def test_equal_secrets_are_equally_masked_and_others_are_not(left):
    name = "x-amz-server-side-encryption-customer-key"
    first, again = left.flow("/demo/customer").request.headers, left.flow("/demo/customer-again").request.headers
    assert first[name] == again[name]
    assert first[name] != first[name + "-md5"]
    assert first["authorization"] != again["authorization"]
    url = left.flow("/demo/presigned-with-token").request
    assert url.query["X-Amz-Security-Token"] == first["x-amz-security-token"]


def test_cookies_keep_their_names(left):
    assert re.fullmatch(
        r"a=redacted-\w+; session=redacted-\w+",
        left.flow("/demo/cookie").request.headers["cookie"],
    )
    assert re.fullmatch(r"session=redacted-\w+; Path=/", left.flow("/demo/cookie").response.headers["set-cookie"])


def test_masks_change_nothing_that_is_sent(left):
    by_path = {request.path: request for request in left.sent_up}
    assert by_path["/demo/customer"]["x-amz-server-side-encryption-customer-key"] == base64.b64encode(SSE_KEY).decode()
    assert by_path["/demo/cookie"]["x-internal-ticket"] == OWN_HEADER
    assert all(request.is_signed_by() for request in left.sent_up if request.get("authorization"))


def test_chunks_are_told_good_and_bad(left):
    good, broken = (left.flow(path).metadata["osp_request"]["chunks"] for path in ("/demo/chunks", "/demo/broken"))
    assert (good["count"], good["right"], good["complete"]) == (4, 4, True)
    assert broken["right"] < broken["count"]
    assert "signature" in broken["error"]
