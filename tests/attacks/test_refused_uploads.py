"""Refusals on the head alone: at once, without 100 Continue, without the body, without memory."""

import re
import select
import socket
from pathlib import Path

import pytest

from support.raw import talk
from support.signing import signed

MIB = 2**20
HUGE = 200 * MIB
GROWTH_ALLOWED = 64 * MIB


def peak_memory(target):
    status = Path(f"/proc/{target.gateway.running.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def upload(target, path, length, **kwargs):
    return signed(target.port, "PUT", path, payload_hash="UNSIGNED-PAYLOAD", length=length, **kwargs)


def unsigned(target, path, length):
    return upload(target, path, length).without("authorization")


REFUSED = {
    "unsigned": lambda target: unsigned(target, target.path, HUGE),
    "wrong secret": lambda target: upload(target, target.path, HUGE, secret="wrong-fake-secret"),
    "denied": lambda target: upload(target, "/forbidden/key", HUGE),
    "unknown bucket": lambda target: upload(target, "/unknown/key", HUGE),
}


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.parametrize("expect", [True, False])
def test_the_refusal_comes_before_the_body(target, why, expect):
    request = REFUSED[why](target)
    if expect:
        request = request.plus("Expect", "100-continue")
    with talk(target.port) as connection:
        connection.send(request.head)  # and not one octet of the body
        assert connection.read_answer("PUT").status in (403, 404)
    target.assert_nothing_left()


def test_an_admitted_upload_that_expects_100_continue_gets_it(target):
    request = signed(target.port, "PUT", target.path, b"the body").plus("Expect", "100-continue")
    with talk(target.port) as connection:
        connection.send(request.head)
        assert connection.read_answer("PUT").status == 100
        connection.send(request.body)
        assert connection.read_answer("PUT").status == 200
    (seen,) = target.recorder.requests
    assert bytes(seen.body) == b"the body"
    assert seen.header("expect") is None


def test_a_refused_upload_ends_its_connection(target):
    """What follows on it could be the body as well as a request."""
    with talk(target.port) as connection:
        connection.send(upload(target, "/forbidden/key", 1000).head)
        assert connection.read_answer("PUT").headers["connection"] == "close"


@pytest.mark.parametrize("why", REFUSED)
def test_the_end_of_the_refusal_is_seen_while_the_client_is_still_sending(target, why):
    with talk(target.port) as connection:
        connection.send(REFUSED[why](target).head)
        assert connection.read_answer("PUT").status in (403, 404)
        assert connection.closed_by_peer()  # in one direction: the other is drained
        connection.socket.sendall(b"z" * MIB)
        connection.socket.sendall(b"z" * MIB)
    target.assert_nothing_left()


@pytest.mark.parametrize("why", REFUSED)
def test_a_huge_refused_upload_does_not_grow_the_gateway(target, why):
    before = peak_memory(target)
    piece = b"z" * MIB
    with talk(target.port) as connection:
        connection.send(REFUSED[why](target).head)
        for _ in range(HUGE // MIB):
            connection.send(piece)
    assert peak_memory(target) - before < GROWTH_ALLOWED
    target.assert_nothing_left()  # and the gateway is alive


def test_a_wrong_huge_body_does_not_grow_the_gateway(target):
    before = peak_memory(target)
    request = signed(target.port, "PUT", target.path, b"another", length=HUGE)
    with talk(target.port) as connection:
        connection.send(request.head)
        for _ in range(HUGE // MIB):
            connection.send(b"z" * MIB)
        assert connection.read_answer("PUT").code == "XAmzContentSHA256Mismatch"
    assert peak_memory(target) - before < GROWTH_ALLOWED


def test_a_store_that_does_not_read_holds_the_client_back(target):
    before = peak_memory(target)
    with talk(target.port) as connection:
        connection.send(upload(target, f"/demo/{target.prefix}never-reads", HUGE).head)
        sent = send_until_stuck(connection.socket, HUGE)
        assert sent < HUGE
        assert peak_memory(target) - before < GROWTH_ALLOWED


def test_a_client_that_does_not_read_holds_the_store_back(target):
    before = peak_memory(target)
    with talk(target.port) as connection:
        connection.send(signed(target.port, "GET", f"/demo/{target.prefix}sends-much").octets)
        seen = target.recorder.wait_for_request(target.prefix)
        assert seen.stuck.wait(60)
        assert peak_memory(target) - before < GROWTH_ALLOWED


def send_until_stuck(connection: socket.socket, most: int) -> int:
    """How much was taken before nothing more was for three seconds."""
    connection.setblocking(False)
    piece = b"z" * MIB
    sent = 0
    while sent < most and select.select([], [connection], [], 3)[1]:
        sent += connection.send(piece)
    connection.setblocking(True)
    return sent


def test_a_connection_can_be_used_again_after_a_refused_get(target):
    with talk(target.port) as connection:
        for path, status in [("/forbidden/key", 403), (target.path, 200), ("/unknown/key", 404), (target.path, 200)]:
            connection.send(signed(target.port, "GET", path).octets)
            assert connection.read_answer().status == status


def test_pipelined_requests_are_answered_in_order(target):
    good = signed(target.port, "GET", target.path)
    bad = signed(target.port, "GET", "/forbidden/key")
    put = signed(target.port, "PUT", target.path, b"body")
    with talk(target.port) as connection:
        connection.send(b"".join(request.octets for request in (bad, good, bad, put, good)))
        answers = [connection.read_answer(method) for method in ("GET", "GET", "GET", "PUT", "GET")]
    assert [answer.status for answer in answers] == [403, 200, 403, 200, 200]
    assert [seen.method for seen in target.recorder.requests] == ["GET", "PUT", "GET"]


def test_a_pipelined_request_behind_a_refused_upload_is_not_served(target):
    refused = signed(target.port, "PUT", "/forbidden/key", b"body")
    with talk(target.port) as connection:
        connection.send(refused.head + refused.body[:2])
        assert connection.read_answer("PUT").status == 403
        connection.send(refused.body[2:] + signed(target.port, "DELETE", target.path).octets)
        assert connection.closed_by_peer()
    target.assert_nothing_left()


def test_a_request_in_many_small_pieces_is_served(target):
    request = signed(target.port, "PUT", target.path, b"body")
    with talk(target.port) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in request.octets:
            connection.send(bytes([octet]))
        assert connection.read_answer("PUT").status == 200
    assert bytes(target.recorder.requests[0].body) == b"body"
