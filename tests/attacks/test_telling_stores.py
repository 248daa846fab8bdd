"""A store that refuses the gateway's credentials tells what they are: the client does not hear it."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator

import pytest

from support.leaks import leaks
from support.processes import BACKEND_KEY
from support.raw_s3 import send_signed
from support.recorder import Answer, Recorded, RecordedGateway, recorded_gateway

TOKEN = "fake-session-token-of-the-backend"


XML = ("Content-Type", "application/xml")


def document(request: Recorded) -> bytes:
    """What stores say, with all that they say."""
    authorization = request["authorization"]
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>Not ours.</Message>"
        f"<AWSAccessKeyId>{BACKEND_KEY}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 {authorization}</StringToSign>"
        f"<SignatureProvided>{authorization.rpartition('=')[2]}</SignatureProvided><Token-0>{TOKEN}</Token-0>"
        f"<CanonicalRequest>{request.raw_head.decode('latin-1')}</CanonicalRequest><RequestId>STORE</RequestId></Error>"
    ).encode()


def telling(request: Recorded) -> Answer:
    return Answer(403, (XML,), document(request))


def told_of(front: RecordedGateway) -> list[bytes]:
    """What the last request said that nobody else is to hear."""
    signature = re.search(r"Signature=([0-9a-f]{64})", front.recorder.requests[-1]["authorization"])
    assert signature is not None
    return [BACKEND_KEY.encode(), TOKEN.encode(), signature[1].encode()]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedGateway]:
    with recorded_gateway(tmp_path_factory.mktemp("telling")) as running:
        running.recorder.answer = telling
        yield running


@pytest.mark.parametrize("bucket", ["demo", "renamed", "virtual"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_client_learns_that_it_is_refused_and_no_more(front: RecordedGateway, bucket: str, method: str) -> None:
    answer = send_signed(method, front.url, f"/{bucket}/key", body=b"x" if method == "PUT" else b"")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert b"<Message>Not ours.</Message>" in answer.body
    assert b"<RequestId>STORE</RequestId>" in answer.body
    assert leaks(told_of(front), answer.body) == []
    assert b"backend-name" not in answer.body


def test_the_operator_is_told(front: RecordedGateway) -> None:
    send_signed("GET", front.url, "/demo/told")
    front.gateway.running.wait_for("GetObject demo: the store refuses the gateway's own signature or credentials")


def test_other_refusals_stay_as_they_are(front: RecordedGateway) -> None:
    refusal = b"<Error><Code>AccessDenied</Code><Message>No.</Message><Resource>/demo/key</Resource></Error>"
    front.recorder.answer = Answer(403, (XML,), refusal)
    try:
        answer = send_signed("GET", front.url, "/demo/key")
    finally:
        front.recorder.answer = telling
    assert (answer.body, answer.headers["content-length"]) == (refusal, str(len(refusal)))


@pytest.fixture
def answering(front: RecordedGateway) -> Iterator[RecordedGateway]:
    """A gateway whose store's answer a test may replace."""
    yield front
    front.recorder.answer = telling


CODERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("bucket", ["demo", "renamed"])
@pytest.mark.parametrize("coding", CODERS)
def test_a_compressed_document_tells_no_more(answering: RecordedGateway, coding: str, bucket: str) -> None:
    answering.recorder.answer = lambda request: Answer(
        403, (XML, ("Content-Encoding", coding)), CODERS[coding](document(request))
    )
    answer = send_signed("GET", answering.url, f"/{bucket}/key", {"Accept-Encoding": coding})
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert b"<Message>Not ours.</Message>" in answer.body
    assert "content-encoding" not in answer.headers
    assert leaks(told_of(answering), answer.body) == []


@pytest.mark.parametrize("kind", ["unknown coding", "broken", "bomb", "stacked"])
def test_a_document_that_cannot_be_looked_into_does_not_reach_the_client(answering: RecordedGateway, kind: str) -> None:
    made = {
        "unknown coding": lambda octets: ("br", octets),
        "broken": lambda octets: ("gzip", octets),
        "bomb": lambda octets: ("gzip", gzip.compress(octets + b"\0" * 50_000_000)),
        "stacked": lambda octets: ("gzip, gzip", gzip.compress(gzip.compress(octets))),
    }[kind]

    def store(request: Recorded) -> Answer:
        coding, body = made(document(request))
        return Answer(403, (XML, ("Content-Encoding", coding)), body)

    answering.recorder.answer = store
    answer = send_signed("GET", answering.url, "/demo/key")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "content-encoding" not in answer.headers
    assert len(answer.body) < 1000
    assert leaks(told_of(answering), answer.body) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 503])
def test_whatever_the_status(answering: RecordedGateway, status: int) -> None:
    answering.recorder.answer = lambda request: Answer(status, (XML,), document(request))
    answer = send_signed("PUT", answering.url, "/demo/key", body=b"x")
    assert (answer.status, answer.code) == (status, "SignatureDoesNotMatch")
    assert leaks(told_of(answering), answer.body) == []


def test_the_header_that_a_store_does_not_understand_is_not_quoted(answering: RecordedGateway) -> None:
    """`InvalidArgument`, "Unsupported Authorization Type": S3 quotes all of the header, a bearer token too."""

    def store(request: Recorded) -> Answer:
        body = (
            "<Error><Code>InvalidArgument</Code><Message>Unsupported Authorization Type</Message>"
            f"<ArgumentName>Authorization</ArgumentName><ArgumentValue>{request['authorization']}</ArgumentValue></Error>"
        )
        return Answer(400, (XML,), body.encode())

    answering.recorder.answer = store
    answer = send_signed("GET", answering.url, "/demo/key")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert b"<ArgumentName>Authorization</ArgumentName>" in answer.body
    assert leaks(told_of(answering), answer.body) == []


def test_a_head_has_the_heads_of_a_refusal_and_nothing_else(answering: RecordedGateway) -> None:
    answering.recorder.answer = lambda request: Answer(
        403, (XML, ("Content-Encoding", "gzip")), gzip.compress(document(request))
    )
    answer = send_signed("HEAD", answering.url, "/demo/key")
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_objects_with_a_coding_stay_as_they_are(answering: RecordedGateway, coding: str) -> None:
    """An object is nobody's refusal, whatever is in it."""
    octets = gzip.compress(b"<Error><StringToSign>an object</StringToSign></Error>")
    answering.recorder.answer = Answer(200, (XML, ("Content-Encoding", coding)), octets)
    answer = send_signed("GET", answering.url, "/demo/key")
    assert (answer.status, answer.body, answer.headers["content-encoding"]) == (200, octets, coding)
