"""Kept-alive connections that the store has closed: replaced, and a request tried again where that does no harm."""

from __future__ import annotations

import re
from collections import Counter
from weakref import WeakKeyDictionary

import pytest

from support import aws_chunked
from support.chunked_requests import Upload
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import talk
from support.raw_s3 import header_signature
from support.signing import signed
from support.upstream import Peer, Seen, Upstream, good, recording_upstream

CONFIG = f"""
from osp_gateway import ProxyServerConfig
STORE = dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False,
             access_key={BACKEND_KEY!r}, secret_key={BACKEND_SECRET!r})
config = ProxyServerConfig(
    cos_map={{{{'demo': STORE, 'same': {{{{**STORE, 'payload': 'same'}}}}}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
)
"""
KEPT = b"k" * 60_000
TOO_LONG = b"l" * 70_000


class Impatient:
    """A store that gives up used connections; the path's last segment says how.

    `closes`: instead of an answer; `always-closes`: also where the connection is new; `half`: after half a head;
    `interim`: after an interim response; `early`: before the body; `after-N`: behind the Nth answer on a connection.
    """

    def __init__(self) -> None:
        self.answers: WeakKeyDictionary[Peer, int] = WeakKeyDictionary()

    def __call__(self, upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        way = re.split(r"[?#]", seen.target)[0].rsplit("/", 1)[-1]
        used = self.answers.get(peer, 0)
        self.answers[peer] = used + 1
        if way == "always-closes" or (used and way == "early"):
            return False
        if used and way in ("closes", "half", "interim"):
            peer.read_body(seen)
            peer.send({"half": b"HTTP/1.1 200 O", "interim": b"HTTP/1.1 100 Continue\r\n\r\n"}.get(way, b""))
            return False
        going = good(upstream, peer, seen)
        most = re.fullmatch(r"after-(\d+)", way)
        return going and (most is None or used + 1 < int(most[1]))


@pytest.fixture(scope="module")
def recorder():
    with recording_upstream(Impatient()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(recorder, tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("retries"), CONFIG.format(port=recorder.port)) as process:
        yield process


@pytest.fixture
def talking(running, recorder, prefix):
    """A client whose connection to the store has been used before."""
    with talk(running.ports[0]) as connection:
        connection.send(signed(running.ports[0], "GET", f"/demo/{prefix}warm").octets)
        assert connection.read_answer().status == 200
        recorder.forget()
        yield connection


@pytest.fixture
def port(running):
    return running.ports[0]


def is_signed(seen: Seen) -> bool:
    """Whether botocore computes the signature that the request carries."""
    authorization = seen.header("authorization")
    return authorization.endswith(
        header_signature(seen.method, seen.target, seen.headers, authorization, BACKEND_KEY, BACKEND_SECRET)
    )


def targets(recorder: Upstream) -> list[tuple[str, str]]:
    return [(seen.method, seen.target) for seen in recorder.requests]


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("HEAD", b""), ("DELETE", b""), ("PUT", b""), ("PUT", b"small"), ("PUT", KEPT)]
)
@pytest.mark.parametrize("way", ["closes", "early"])
def test_a_request_that_met_a_closed_connection_is_tried_again(talking, recorder, port, prefix, method, body, way):
    talking.send(signed(port, method, f"/demo/{prefix}{way}", body).octets)
    assert talking.read_answer(method).status == 200
    assert targets(recorder) == [(method, f"/demo/{prefix}{way}")] * 2
    assert bytes(recorder.requests[-1].body) == body
    assert is_signed(recorder.requests[-1])


@pytest.mark.parametrize("mode", aws_chunked.MODES)
def test_an_aws_chunked_body_is_decoded_again(talking, recorder, port, prefix, mode):
    talking.send(Upload(mode, KEPT[:40_000]).request(port, f"/demo/{prefix}closes").octets)
    assert talking.read_answer("PUT").status == 200
    assert [bytes(seen.body) for seen in recorder.requests] == [KEPT[:40_000]] * 2


def test_signed_chunks_are_signed_again_behind_the_new_head(talking, recorder, port, prefix):
    talking.send(Upload(aws_chunked.HMAC, KEPT[:40_000]).request(port, f"/same/{prefix}closes").octets)
    assert talking.read_answer("PUT").status == 200
    assert len(recorder.requests) == 2
    last = recorder.requests[-1]
    assert is_signed(last)
    scope, seed = re.search(r"Credential=[^/]+/([^,]+),.*Signature=(\w+)", last.header("authorization")).groups()
    signer = aws_chunked.Signer(BACKEND_SECRET, seed, last.header("x-amz-date"), scope)
    chunks = aws_chunked.split(KEPT[:40_000], 8192)
    assert bytes(last.body) == aws_chunked.encode(aws_chunked.HMAC, chunks, signer=signer)


def test_a_body_that_is_still_on_its_way_goes_on_behind_what_was_sent_again(talking, recorder, port, prefix):
    request = signed(port, "PUT", f"/demo/{prefix}early", KEPT, payload_hash="UNSIGNED-PAYLOAD")
    talking.send(request.head + KEPT[:30_000])
    assert recorder.wait_for_request(prefix).ended.wait(60)
    talking.send(KEPT[30_000:])
    assert talking.read_answer("PUT").status == 200
    assert [bytes(seen.body) for seen in recorder.requests[1:]] == [KEPT]


UPLOADED = "?uploadId=some"


@pytest.mark.parametrize(
    ("method", "query", "body", "headers"),
    [
        ("POST", UPLOADED, b"<CompleteMultipartUpload/>", ()),
        ("POST", "?uploads", b"", ()),
        ("PUT", "", TOO_LONG, ()),
        ("PUT", "", b"small", (("If-None-Match", "*"),)),
        ("PUT", "", b"small", (("If-Match", '"e"'),)),
    ],
    ids=["complete", "create", "long", "only-new", "only-that"],
)
def test_what_may_have_been_processed_and_cannot_be_repeated_is_not(
    talking, recorder, port, prefix, method, query, body, headers
):
    talking.send(signed(port, method, f"/demo/{prefix}closes{query}", body, headers).octets)
    answer = talking.read_answer(method)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert [seen.method for seen in recorder.requests] == [method]


@pytest.mark.parametrize("way", ["half", "interim"])
def test_once_an_octet_of_a_response_has_come_nothing_is_tried_again(talking, recorder, port, prefix, way):
    talking.send(signed(port, "GET", f"/demo/{prefix}{way}").octets)
    assert talking.read_answer().status == 503
    assert len(recorder.requests) == 1


def test_a_request_is_tried_again_once(talking, recorder, port, prefix):
    talking.send(signed(port, "GET", f"/demo/{prefix}always-closes").octets)
    assert talking.read_answer().status == 503
    assert len(recorder.requests) == 2
    talking.send(signed(port, "GET", f"/demo/{prefix}good").octets)
    assert talking.read_answer().status == 200


def test_on_a_new_connection_nothing_is_tried_again(running, recorder, port, prefix):
    recorder.forget()
    with talk(port) as connection:
        connection.send(signed(port, "GET", f"/demo/{prefix}always-closes").octets)
        assert connection.read_answer().status == 503
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("PUT", ""), ("POST", UPLOADED)])
def test_a_connection_that_was_closed_while_idle_costs_nothing(running, recorder, port, prefix, method, query):
    """Found closed before anything is written: then even a POST goes out on another one."""
    recorder.forget()
    with talk(port) as connection:
        for number in range(10):
            connection.send(signed(port, "GET", f"/demo/{prefix}{number}/after-1").octets)
            assert connection.read_answer().status == 200
            closing = recorder.wait_for_request(f"{prefix}{number}/after-1")
            assert closing.closed.wait(60)
            connection.send(signed(port, method, f"/demo/{prefix}{number}/then{query}", b"").octets)
            assert connection.read_answer(method).status == 200
    assert len(recorder.requests) == 20


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_none_of_many_requests_fails_where_the_store_closes_its_connections(running, recorder, port, prefix, most):
    recorder.forget()
    with talk(port) as connection:
        for number in range(200):
            method = ("GET", "PUT", "HEAD", "DELETE")[number % 4]
            connection.send(signed(port, method, f"/demo/{prefix}{number}/after-{most}").octets)
            assert connection.read_answer(method).status == 200, number
    answered = Counter(seen.target for seen in recorder.requests)
    assert len(answered) == 200
    assert max(answered.values()) <= 2


def test_nothing_is_logged_as_a_failure_of_the_gateways_own(talking, running, port, prefix):
    talking.send(signed(port, "GET", f"/demo/{prefix}closes").octets)
    assert talking.read_answer().status == 200
    assert "failed inside the gateway" not in running.output()
    assert "crashed" not in running.output()
