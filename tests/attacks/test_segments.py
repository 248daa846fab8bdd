"""However a request is cut into TCP segments, the answers and what the store sees are the same."""

import itertools
import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.aws_chunked import MODES
from support.chunked_requests import Upload, in_http_chunks
from support.raw import talk
from support.signing import signed

DATA = bytes(range(256)) * 4
VARYING = re.compile(rb"[0-9a-f]{64}|\d{8}T\d{6}Z|Credential=[^,]+|<(RequestId|HostId)>[^<]*")
"""What differs between two runs of one request: signatures, times, identifiers."""


def chunked(target, mode, **more):
    return Upload(mode, DATA, chunk=300).request(target.port, target.path, **more)


def broken(target, mode):
    request = chunked(target, mode)
    return request.but(body=request.body.replace(DATA[40:60], DATA[41:61], 1))


def put(target, **more):
    return signed(target.port, "PUT", target.path, DATA, **more)


def get(target):
    return signed(target.port, "GET", target.path)


CONVERSATIONS = {
    "get": lambda t: (get(t).octets, 1),
    "put": lambda t: (put(t).octets, 1),
    "unsigned payload": lambda t: (put(t, payload_hash="UNSIGNED-PAYLOAD").octets, 1),
    "http chunks": lambda t: (in_http_chunks(chunked(t, MODES[0]), 100).octets, 1),
    "wrong hash": lambda t: (put(t).but(body=DATA[::-1]).octets, 1),
    "refused": lambda t: (put(t, secret="wrong-fake-secret").octets, 1),
    "bad head": lambda t: (b"GET " + t.path.encode() + b" HTTP/1.1\r\nHost : x\r\n\r\n", 1),
    "two lengths": lambda t: (put(t).plus("Content-Length", "7").octets, 1),
    "pipelined": lambda t: (get(t).octets + put(t).octets + get(t).octets, 3),
    **{f"chunked {mode}": lambda t, mode=mode: (chunked(t, mode).octets, 1) for mode in MODES},
    **{f"broken {mode}": lambda t, mode=mode: (broken(t, mode).octets, 1) for mode in MODES},
}


def outcome(target, octets, answers, cuts):
    """Statuses, codes and bodies of the answers, and the requests that the store has seen in full."""
    target.recorder.forget()
    places = [0, *sorted({cut % len(octets) for cut in cuts} - {0}), len(octets)]
    with talk(target.port) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in itertools.pairwise(places):
            connection.send(octets[start:end])
        got = [connection.read_answer() for _ in range(answers)]
    seen = [
        (request.method, request.target, VARYING.sub(b"", bytes(request.body)))
        for request in target.recorder.requests
        if request.complete
    ]
    return [(answer.status, answer.code, VARYING.sub(b"", answer.body)) for answer in got], seen


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_segments_do_not_matter(target, kind):
    octets, answers = CONVERSATIONS[kind](target)
    whole = outcome(target, octets, answers, ())
    good = not kind.startswith(("broken", "wrong", "refused", "bad", "two"))
    assert all((status == 200) == good for status, _, _ in whole[0])
    assert len(whole[1]) == (answers if good else 0)

    @settings(max_examples=50, suppress_health_check=list(HealthCheck))
    @given(cuts=st.lists(st.integers(1, len(octets) - 1), max_size=25))
    def same(cuts):
        assert outcome(target, octets, answers, cuts) == whole

    same()
