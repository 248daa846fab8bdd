"""A store that refuses the gateway's credentials tells what they are: the client does not hear it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from support.leaks import leaks
from support.processes import BACKEND_KEY
from support.raw_s3 import send_signed
from support.recorder import Answer, Recorded, RecordedGateway, recorded_gateway

TOKEN = "fake-session-token-of-the-backend"


def telling(request: Recorded) -> Answer:
    """What stores say, with all that they say."""
    authorization = request["authorization"]
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>Not ours.</Message>"
        f"<AWSAccessKeyId>{BACKEND_KEY}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 {authorization}</StringToSign>"
        f"<SignatureProvided>{authorization.rpartition('=')[2]}</SignatureProvided><Token-0>{TOKEN}</Token-0>"
        f"<CanonicalRequest>{request.raw_head.decode('latin-1')}</CanonicalRequest><RequestId>STORE</RequestId></Error>"
    )
    return Answer(403, (("Content-Type", "application/xml"),), body.encode())


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
    signature = re.search(r"Signature=([0-9a-f]{64})", front.recorder.requests[-1]["authorization"])
    assert signature is not None
    assert leaks([BACKEND_KEY.encode(), TOKEN.encode(), signature[1].encode()], answer.body) == []
    assert b"backend-name" not in answer.body


def test_the_operator_is_told(front: RecordedGateway) -> None:
    send_signed("GET", front.url, "/demo/told")
    front.gateway.running.wait_for("GetObject demo: the store refuses the gateway's own signature or credentials")


def test_other_refusals_stay_as_they_are(front: RecordedGateway) -> None:
    document = b"<Error><Code>AccessDenied</Code><Message>No.</Message><Resource>/demo/key</Resource></Error>"
    front.recorder.answer = Answer(403, (("Content-Type", "application/xml"),), document)
    try:
        answer = send_signed("GET", front.url, "/demo/key")
    finally:
        front.recorder.answer = telling
    assert (answer.body, answer.headers["content-length"]) == (document, str(len(document)))
