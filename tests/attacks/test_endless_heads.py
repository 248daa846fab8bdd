"""What a client sends before there is anything to decide about is bounded."""

from __future__ import annotations

import socket

import pytest

from support.raw import talk
from support.signing import signed

MEGABYTE = 1024 * 1024


def send_until_refused(connection: socket.socket, piece: bytes, most: int) -> int:
    """How much of an endless stream the other side takes before it hangs up."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    except (ConnectionError, TimeoutError):
        pass
    return sent


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX-Endless: ", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9])
def test_a_head_without_end_is_refused(target, start):
    with talk(target.port) as client:
        client.send(start + b"x" * 100_000)
        answer = client.read_answer()
        assert (answer.status, answer.code) == (400, "RequestHeaderSectionTooLarge")
    target.assert_nothing_left()


def test_many_small_fields_without_end_are_refused(target):
    with socket.create_connection(("127.0.0.1", target.port), 30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert send_until_refused(connection, b"X-Field: value\r\n" * 1000, 64 * MEGABYTE) < 64 * MEGABYTE
    target.assert_nothing_left()


def test_a_large_but_bounded_head_is_taken(target):
    request = signed(target.port, "GET", target.path, headers=(("x-amz-meta-large", "x" * 30_000),))
    assert target.ask(request).status == 200


def test_requests_sent_ahead_without_end_are_cut_off(target):
    request = signed(target.port, "GET", f"/stored/{target.prefix}key").octets  # not at the recorder: others look there
    with socket.create_connection(("127.0.0.1", target.port), 10) as connection:
        connection.settimeout(10)
        assert send_until_refused(connection, request * 200, 256 * MEGABYTE) < 256 * MEGABYTE
