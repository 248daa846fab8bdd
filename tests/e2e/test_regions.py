"""A bucket in another region than configured: found by what the store answers, remembered, and never elsewhere."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import pytest

from support import aws_chunked
from support.chunked_requests import Upload
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask
from support.recorder import Answer, Recorder
from support.signing import signed

CONFIG = f"""
import socket
from osp_gateway import ProxyServerConfig
resolve = socket.getaddrinfo
def to_loopback(host, *rest, **named):
    known = isinstance(host, str) and host.endswith('.amazonaws.com')
    return resolve('127.0.0.1' if known else host, *rest, **named)
socket.getaddrinfo = to_loopback
STORE = dict(port={{port}}, is_tls_enabled=False, access_key={BACKEND_KEY!r}, secret_key={BACKEND_SECRET!r})
config = ProxyServerConfig(
    cos_map={{{{'*': {{{{**STORE, 'host': 's3.us-east-1.amazonaws.com'}}}},
              'own-*': {{{{**STORE, 'host': '127.0.0.1'}}}}}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
)
"""
THERE = "eu-west-3"
LONG = b"l" * 70_000
XML = ("Content-Type", "application/xml")


def document(code: str, **texts: str) -> bytes:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    return f"<Error><Code>{code}</Code><Message>m</Message>{inner}</Error>".encode()


REDIRECT = Answer(301, (("x-amz-bucket-region", THERE), XML), document("PermanentRedirect"))
ANSWERS = {
    "301, header": REDIRECT,
    "301, endpoint": Answer(301, (XML,), document("PermanentRedirect", Endpoint=f"b.s3-{THERE}.amazonaws.com")),
    "307, location": Answer(307, (("Location", f"https://b.s3.{THERE}.amazonaws.com/key"),), b""),
    "307, endpoint": Answer(307, (XML,), document("TemporaryRedirect", Endpoint=f"b.s3.{THERE}.amazonaws.com")),
    "400, region": Answer(400, (XML,), document("AuthorizationHeaderMalformed", Region=THERE)),
    "400, header": Answer(400, (("x-amz-bucket-region", THERE),), b""),
}


@dataclass
class Aws:
    """A recorder that has every bucket in `THERE`."""

    recorder: Recorder
    port: int
    bucket: str

    def elsewhere(self, answer: Answer) -> None:
        def decide(request):
            return Answer(body=b"from there") if f"/{THERE}/s3/" in request["authorization"] else answer

        self.recorder.answer = decide

    def ask(self, method="GET", body=b"", query="", bucket=None):
        return ask(self.port, signed(self.port, method, f"/{bucket or self.bucket}/key{query}", body).octets)

    @property
    def hosts(self):
        return [request["host"] for request in self.recorder.requests]

    def host(self, region):
        return f"{self.bucket}.s3.{region}.amazonaws.com:{self.recorder.port}"


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    with Recorder().running() as recorder:
        config = CONFIG.format(port=recorder.port)
        with gateway(tmp_path_factory.mktemp("regions"), config) as running:
            yield recorder, running.ports[0]


@pytest.fixture
def aws(serving):
    recorder, port = serving
    recorder.clear()
    return Aws(recorder, port, f"b{uuid.uuid4().hex}")


@pytest.mark.parametrize("form", ANSWERS)
def test_the_store_says_where_the_bucket_is_and_the_request_goes_there(aws, form):
    aws.elsewhere(ANSWERS[form])
    answer = aws.ask()
    assert (answer.status, answer.body) == (200, b"from there")
    assert aws.hosts == [aws.host("us-east-1"), aws.host(THERE)]
    assert aws.recorder.requests[-1].is_signed_by()


def test_the_region_is_remembered(aws):
    aws.elsewhere(REDIRECT)
    assert [aws.ask().status for _ in range(4)] == [200] * 4
    assert aws.hosts == [aws.host("us-east-1")] + [aws.host(THERE)] * 4


@pytest.mark.parametrize(
    ("method", "body", "query"),
    [
        ("HEAD", b"", ""),
        ("DELETE", b"", ""),
        ("PUT", b"small", ""),
        ("PUT", b"k" * 60_000, ""),
        ("POST", b"", "?uploads"),
        ("POST", b"<CompleteMultipartUpload/>", "?uploadId=some"),
    ],
)
def test_a_request_of_any_method_is_followed_with_its_body(aws, method, body, query):
    aws.elsewhere(REDIRECT)
    assert aws.ask(method, body, query).status == 200
    assert aws.hosts == [aws.host("us-east-1"), aws.host(THERE)]
    last = aws.recorder.requests[-1]
    assert (last.method, last.body) == (method, body)
    assert last.is_signed_by()


def test_signed_chunks_are_signed_for_the_other_region(aws):
    aws.elsewhere(REDIRECT)
    data = b"c" * 20_000
    assert ask(aws.port, Upload(aws_chunked.HMAC, data).request(aws.port, f"/{aws.bucket}/key").octets).status == 200
    last = aws.recorder.requests[-1]
    scope, seed = re.search(r"Credential=[^/]+/([^,]+),.*Signature=(\w+)", last["authorization"]).groups()
    assert f"/{THERE}/" in scope
    signer = aws_chunked.Signer(BACKEND_SECRET, seed, last["x-amz-date"], scope)
    assert last.body == aws_chunked.encode(aws_chunked.HMAC, aws_chunked.split(data, 8192), signer=signer)


def test_a_body_too_long_to_be_sent_again_finds_its_way_at_the_clients_next_try(aws):
    aws.elsewhere(REDIRECT)
    answer = aws.ask("PUT", LONG)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert aws.ask("PUT", LONG).status == 200
    assert aws.hosts == [aws.host("us-east-1"), aws.host(THERE)]
    assert aws.recorder.requests[-1].body == LONG


def test_another_store_is_asked_at_its_own_address_in_the_other_region(aws):
    aws.elsewhere(ANSWERS["400, region"])
    assert aws.ask(bucket=f"own-{aws.bucket}").status == 200
    assert aws.hosts == [f"127.0.0.1:{aws.recorder.port}"] * 2
    assert aws.recorder.requests[-1].is_signed_by()


ELSEWHERE = {
    "another host": Answer(307, (("Location", "http://127.0.0.1:1/stolen"),), b""),
    "another name": Answer(307, (("Location", f"http://s3.{THERE}.amazonaws.com.evil.test/"),), b""),
    "an endpoint": Answer(301, (XML,), document("PermanentRedirect", Endpoint="127.0.0.1:1")),
    "a host for a region": Answer(301, (("x-amz-bucket-region", "evil.test/"),), b""),
    "China": Answer(301, (("x-amz-bucket-region", "cn-north-1"),), b""),
    "where it was": Answer(301, (("x-amz-bucket-region", "us-east-1"),), b""),
}


@pytest.mark.parametrize("form", ELSEWHERE)
def test_an_answer_that_leads_out_of_the_endpoints_family_is_not_followed(aws, form):
    aws.elsewhere(ELSEWHERE[form])
    answer = aws.ask()
    assert (answer.status, answer.body) == (ELSEWHERE[form].status, ELSEWHERE[form].body)
    assert aws.hosts == [aws.host("us-east-1")]


def test_a_store_that_sends_in_circles_is_followed_once(aws):
    def circle(request):
        away = "us-west-2" if f"/{THERE}/s3/" in request["authorization"] else THERE
        return Answer(301, (("x-amz-bucket-region", away),), b"")

    aws.recorder.answer = circle
    assert aws.ask().status == 301
    assert aws.hosts == [aws.host("us-east-1"), aws.host(THERE)]


@pytest.mark.parametrize(
    "body", [document("MalformedXML"), b"", b"no XML", document("MalformedXML") + b" " * 40_000], ids=range(4)
)
def test_a_refusal_that_is_not_about_a_region_reaches_the_client_as_it_is(aws, body):
    aws.elsewhere(Answer(400, (XML, ("x-more", "kept")), body))
    answer = aws.ask()
    assert (answer.status, answer.body, answer.headers["x-more"]) == (400, body, "kept")
    assert len(aws.recorder.requests) == 1
