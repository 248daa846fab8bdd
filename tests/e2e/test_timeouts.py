"""Nobody waits for ever: backends that accept and say nothing, clients that stop in the middle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from support.certificates import Certificate, certificate
from support.http2 import http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, gateway
from support.raw import ask, talk
from support.signing import signed


class Silent:
    """Accepts connections, answers with what it is given, and then says nothing more."""

    def __init__(self, says: bytes = b"") -> None:
        self.says = says
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            if self.says:
                connection.recv(65536)
                connection.sendall(self.says)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"


@pytest.fixture(scope="module")
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


@pytest.fixture(scope="module")
def halting() -> Iterator[Silent]:
    server = Silent(HALF)
    yield server
    server.close()


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("cert"), "localhost")


@pytest.fixture(scope="module")
def impatient(
    silent: Silent, halting: Silent, cert: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = f"""
from osp_gateway import ProxyServerConfig
KEYS = dict(host='127.0.0.1', access_key='a', secret_key='b')
config = ProxyServerConfig(
    cos_map={{
        'silent': {{**KEYS, 'port': {silent.port}, 'is_tls_enabled': False}},
        'silent-tls': {{**KEYS, 'port': {silent.port}, 'is_tls_enabled': True}},
        'halting': {{**KEYS, 'port': {halting.port}, 'is_tls_enabled': False}},
    }},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
    connect_timeout=1, read_timeout=2,
    cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},
)
"""
    with gateway(tmp_path_factory.mktemp("impatient"), config) as running:
        yield running


@pytest.mark.parametrize("bucket", ["silent", "silent-tls"])
@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"body")])
def test_a_backend_that_never_answers_is_given_up(impatient, bucket, method, body):
    answer = ask(impatient.ports[0], signed(impatient.ports[0], method, f"/{bucket}/key", body).octets)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")


def test_a_backend_that_stops_in_the_middle_is_not_taken_for_a_whole_answer(impatient):
    port = impatient.ports[0]
    with talk(port) as client:
        client.send(signed(port, "GET", "/halting/key").octets)
        with pytest.raises((EOFError, ConnectionError, AssertionError)):
            client.read_answer()


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"body")])
def test_a_backend_that_never_answers_an_http2_client_is_given_up(impatient, cert, method, body):
    port = impatient.ports[0]
    with http2(port, cert.client_context(["h2"])) as connection:
        answer = connection.ask(signed(port, method, "/silent/key", body))
    assert answer is not None
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")


def test_a_backend_that_stops_in_the_middle_resets_the_stream_of_an_http2_client(impatient, cert):
    port = impatient.ports[0]
    with http2(port, cert.client_context(["h2"])) as connection:
        answer = connection.ask(signed(port, "GET", "/halting/key"))
        assert answer is not None
        assert answer.body == b"half of it"
        (stream,) = connection.streams.values()
        assert stream.reset
        assert not stream.ended
        assert not connection.closed


def test_a_client_that_stops_in_the_middle_is_given_up(impatient):
    port = impatient.ports[0]
    with talk(port) as client:
        client.send(signed(port, "PUT", "/silent/key", b"a body").octets[:-1])
        answer = client.read_answer()
    assert (answer.status, answer.code) == (400, "RequestTimeout")
