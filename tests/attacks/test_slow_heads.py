"""Clients that hold connections without asking for anything, in a gateway whose limits are small."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from support.certificates import Certificate, certificate
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, gateway
from support.raw import Talk, ask, talk
from support.signing import signed
from support.upstream import Upstream, recording_upstream

CONFIG = """
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={port}, is_tls_enabled=False,
                           access_key='recorder-fake-key', secret_key='recorder-fake-secret')}},
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=lambda token, bucket: True,
    cert_path={chain!r}, key_path={private!r},
    read_timeout={read_timeout}, limits={limits},
)
"""


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("front"), "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def recorder() -> Iterator[Upstream]:
    with recording_upstream() as upstream:
        yield upstream


@contextlib.contextmanager
def limited(
    tmp_path_factory: pytest.TempPathFactory,
    recorder: Upstream,
    cert: Certificate,
    read_timeout: float,
    **limits: float,
) -> Iterator[GatewayProcess]:
    config = CONFIG.format(
        port=recorder.port,
        key=CLIENT_KEY,
        secret=CLIENT_SECRET,
        chain=str(cert.chain),
        private=str(cert.key),
        read_timeout=read_timeout,
        limits=limits,
    )
    with gateway(tmp_path_factory.mktemp("limited"), config) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory, recorder, cert):
    """Heads have 0.3 s; connections may be idle for a minute between requests."""
    with limited(tmp_path_factory, recorder, cert, 60, head_timeout=0.3) as running:
        yield running


@pytest.fixture(scope="module")
def idle_hasty(tmp_path_factory, recorder, cert):
    """The other way round."""
    with limited(tmp_path_factory, recorder, cert, 0.3, head_timeout=60) as running:
        yield running


@pytest.fixture(scope="module")
def full(tmp_path_factory, recorder, cert):
    """Three connections for an address."""
    with limited(tmp_path_factory, recorder, cert, 60, connections_per_address=3) as running:
        yield running


HALVES = [b"GET", b"GET / HTTP/1.1\r\nHost: h\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r", b"\r\n\r\n"]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("tls", [False, True])
def test_a_head_that_stops_in_the_middle_is_answered_and_closed(hasty, cert, half, tls):
    with talk(hasty.ports[0], cert.client_context() if tls else None) as connection:
        connection.send(half)
        answer = connection.read_answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (400, "RequestTimeout", "close")
        with contextlib.suppress(OSError):  # the end of a TLS stream without close_notify
            assert connection.closed_by_peer()


def test_a_head_that_comes_octet_by_octet_is_cut_off(hasty):
    with talk(hasty.ports[0]) as connection:
        connection.send(b"GET / HTTP/1.1\r\nX-A: ")
        connection.socket.settimeout(0.02)
        received = b""
        for _ in range(3000):
            connection.send(b"x")
            with contextlib.suppress(TimeoutError):
                received = connection.socket.recv(65536)
                break
        assert b"<Code>RequestTimeout</Code>" in received


@pytest.mark.parametrize("octets", [b"", b"G", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_a_connection_that_does_not_begin_is_closed_without_an_answer(hasty, octets):
    with talk(hasty.ports[0]) as connection:
        connection.send(octets)
        assert connection.closed_by_peer()
    if octets:
        hasty.running.wait_for(r"127\.0\.0\.1: connection closed: no TLS handshake or request came in time")


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_connection_without_a_request_is_closed_after_its_handshake(hasty, cert, alpn):
    connection = Talk(hasty.ports[0], cert.client_context([alpn]))
    with contextlib.suppress(OSError):
        while connection.socket.recv(65536):
            pass
    connection.close()
    hasty.running.wait_for(r"connection closed: no request came")


def test_between_requests_the_time_for_heads_does_not_run(hasty):
    """The second connection is opened after the first became idle, and is closed by the clock before it."""
    port = hasty.ports[0]
    with talk(port) as kept:
        kept.send(signed(port, "GET", "/demo/key").octets)
        assert kept.read_answer().status == 200
        for _ in range(3):
            with talk(port) as silent:
                silent.send(b"GET")
                assert silent.read_answer().code == "RequestTimeout"
        kept.send(signed(port, "GET", "/demo/key").octets)
        assert kept.read_answer().status == 200


def test_a_connection_that_stays_idle_is_closed_in_the_end(idle_hasty):
    port = idle_hasty.ports[0]
    with talk(port) as connection:
        connection.send(signed(port, "GET", "/demo/key").octets)
        assert connection.read_answer().status == 200
        assert connection.closed_by_peer()


def test_slow_clients_do_not_delay_others(idle_hasty):
    port = idle_hasty.ports[0]
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(talk(port)).send(b"GET / HTTP/1.1\r\nX-A: ")
        assert ask(port, signed(port, "GET", "/demo/key").octets).status == 200


def test_an_address_has_only_so_many_connections(full):
    port = full.ports[0]
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(talk(port))
            connection.send(signed(port, "GET", "/demo/key").octets)
            assert connection.read_answer().status == 200
        for _ in range(3):
            with talk(port) as further:
                assert further.closed_by_peer()
        full.running.wait_for(r"127\.0\.0\.1 has 3 connections open, further ones are closed \(1 since")
        connection.send(signed(port, "GET", "/demo/key").octets)
        assert connection.read_answer().status == 200
    assert full.output().count("further ones are closed") == 1
    assert admitted_again(port)


def admitted_again(port: int) -> bool:
    """The gateway learns of the ends of connections in its own time."""
    for _ in range(1000):
        with contextlib.suppress(OSError), talk(port) as connection:
            connection.send(signed(port, "GET", "/demo/key").octets)
            return connection.read_answer().status == 200
    return False
