"""Too many requests at a time, bodies that trickle, answers that nobody reads, requests that nobody wants any more."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.certificates import Certificate, certificate
from support.http2 import fields, http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, gateway
from support.raw import ask, talk
from support.signing import Raw, signed
from support.upstream import Peer, Seen, Upstream, by_path, recording_upstream

IN_FLIGHT = 3
MIN_RATE = 20_000
CONFIG = """
import os, time
from osp_gateway import ProxyServerConfig
ASKED, GO = {asked!r}, {go!r}
def validator(token, bucket, request):
    if request.key.endswith('/waits'):
        open(ASKED, 'w').close()
        while not os.path.exists(GO):
            time.sleep(0.01)
    return not request.key.endswith('/denied')
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={port}, is_tls_enabled=False, access_key='a', secret_key='b')}},
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=validator, read_timeout=2,
    limits=dict(requests_in_flight={in_flight}, requests_per_connection=2, min_rate={min_rate}),
    cert_path={chain!r}, key_path={private!r},
)
"""


class Slow:
    """A store that waits until it may answer, or reads a body slowly."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def __call__(self, upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        if seen.target.endswith("/held"):
            self.may_answer.wait(60)
        if seen.target.endswith("/read-slowly"):
            peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            while len(seen.body) + len(peer.buffer) < seen.length:
                time.sleep(0.05)
                peer.buffer += peer.connection.recv(64 * 1024)
        return by_path(upstream, peer, seen)


@dataclass
class Front:
    gateway: GatewayProcess
    recorder: Upstream
    slow: Slow
    cert: Certificate
    asked: Path
    go: Path
    prefix: str = ""

    @property
    def port(self) -> int:
        return self.gateway.ports[0]

    def request(self, method: str, key: str, body: bytes = b"", **more: object) -> Raw:
        return signed(self.port, method, f"/demo/{self.prefix}{key}", body, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Front]:
    folder, slow = tmp_path_factory.mktemp("pace"), Slow()
    cert = certificate(folder / "cert", "localhost")
    asked, go = folder / "asked", folder / "go"
    with recording_upstream(slow) as recorder:
        config = CONFIG.format(
            port=recorder.port,
            key=CLIENT_KEY,
            secret=CLIENT_SECRET,
            asked=str(asked),
            go=str(go),
            in_flight=IN_FLIGHT,
            min_rate=MIN_RATE,
            chain=str(cert.chain),
            private=str(cert.key),
        )
        with gateway(folder, config) as process:
            yield Front(process, recorder, slow, cert, asked, go)


@pytest.fixture
def front(running, prefix) -> Iterator[Front]:
    running.prefix = prefix
    running.slow.may_answer.clear()
    for path in (running.asked, running.go):
        path.unlink(missing_ok=True)
    yield running
    running.slow.may_answer.set()
    running.go.touch()


# How many


def test_a_request_too_many_is_told_to_slow_down_and_never_reaches_the_store(front):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(talk(front.port)) for _ in range(IN_FLIGHT)]
        for number, client in enumerate(clients):
            client.send(front.request("GET", f"{number}/held").octets)
            front.recorder.wait_for_request(f"{front.prefix}{number}/")
        answer = ask(front.port, front.request("GET", "too-many").octets)
        assert (answer.status, answer.code) == (503, "SlowDown")
        front.slow.may_answer.set()
        assert [client.read_answer().status for client in clients] == [200] * IN_FLIGHT
    assert ask(front.port, front.request("GET", "then").octets).status == 200
    assert not any("too-many" in seen.target for seen in front.recorder.requests)


def answered(front: Front) -> None:
    assert ask(front.port, front.request("GET", "key").octets).status == 200


def refused_on_its_head(front: Front) -> None:
    assert ask(front.port, front.request("PUT", "some/denied", b"b" * 100_000).octets).status == 403


def wrong_body(front: Front) -> None:
    request = front.request("PUT", "key", b"a" * 100_000)
    assert ask(front.port, request.but(body=b"b" * 100_000).octets).status == 400


def client_gone_in_the_body(front: Front) -> None:
    with talk(front.port) as client:
        client.send(front.request("PUT", "gone", b"a" * 100_000, payload_hash="UNSIGNED-PAYLOAD").octets[:50_000])
        seen = front.recorder.wait_for_request(f"{front.prefix}gone")
    assert seen.closed.wait(60)
    front.recorder.forget()


def client_gone_in_the_answer(front: Front) -> None:
    with talk(front.port) as client:
        client.send(front.request("GET", "sends-much").octets)
        client.read_some(1000)
    assert front.recorder.wait_for_request(f"{front.prefix}sends-much").closed.wait(60)
    front.recorder.forget()


def store_cuts_its_answer(front: Front) -> None:
    with talk(front.port) as client, pytest.raises(ConnectionError):
        client.send(front.request("GET", "some/cut").octets)
        client.read_answer()


def store_hangs_up(front: Front) -> None:
    assert ask(front.port, front.request("GET", "some/closes-at-once").octets).status == 503


def no_http(front: Front) -> None:
    assert ask(front.port, b"GET /demo/key HTTP/1.1\r\nHost : a\r\n\r\n").status == 400


def http2_stream_reset(front: Front) -> None:
    with http2(front.port, front.cert.client_context(["h2"])) as connection:
        number = connection.start(fields(front.request("GET", "sends-much")), end=True)
        seen = front.recorder.wait_for_request(f"{front.prefix}sends-much")
        connection.h2.reset_stream(number)
        connection._flush()
        assert seen.closed.wait(60)
    front.recorder.forget()


WAYS = [
    answered,
    refused_on_its_head,
    wrong_body,
    client_gone_in_the_body,
    client_gone_in_the_answer,
    store_cuts_its_answer,
    store_hangs_up,
    no_http,
    http2_stream_reset,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_whatever_way_a_request_ends_its_place_is_free_again(front, way):
    for _ in range(IN_FLIGHT + 1):
        way(front)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(talk(front.port)) for _ in range(IN_FLIGHT)]
        for number, client in enumerate(clients):
            client.send(front.request("GET", f"{number}/held").octets)
            front.recorder.wait_for_request(f"{front.prefix}{number}/")
        front.slow.may_answer.set()
        assert [client.read_answer().status for client in clients] == [200] * IN_FLIGHT


def test_an_http2_client_is_told_how_many_streams_it_may_open(front):
    with http2(front.port, front.cert.client_context(["h2"])) as connection:
        assert connection.ask(front.request("GET", "key")).status == 200
        assert connection.h2.remote_settings.max_concurrent_streams == 2


# How fast


def test_a_body_that_trickles_is_given_up(front):
    request = front.request("PUT", "trickles", b"t" * 100_000)
    stop = threading.Event()
    with talk(front.port) as client:
        client.send(request.head)

        def trickle() -> None:
            for octet in request.body:
                if stop.wait(0.1):
                    break
                client.send(bytes([octet]))

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            answer = client.read_answer()
        finally:
            stop.set()
            thread.join()
    assert (answer.status, answer.code) == (400, "RequestTimeout")
    assert not any(seen.complete for seen in front.recorder.requests if front.prefix in seen.target)


def test_a_slow_store_is_not_the_clients_fault(front):
    body = b"s" * 6_000_000  # some five seconds at the store's pace
    assert ask(front.port, front.request("PUT", "some/read-slowly", body).octets).status == 200
    (seen,) = [seen for seen in front.recorder.requests if front.prefix in seen.target]
    assert bytes(seen.body) == body


def test_a_client_that_never_reads_its_answer_is_cut_off(front):
    with talk(front.port) as client:
        client.send(front.request("GET", "sends-much").octets)
        assert front.recorder.wait_for_request(f"{front.prefix}sends-much").closed.wait(60)
        front.gateway.running.wait_for("does not read its answer")
    answered(front)


def test_an_http2_client_that_gives_no_window_is_cut_off(front):
    with http2(front.port, front.cert.client_context(["h2"])) as connection:
        number = connection.start(fields(front.request("GET", "sends-much")), end=True)
        assert front.recorder.wait_for_request(f"{front.prefix}sends-much").closed.wait(60)
        connection.reset_code(number)
        assert connection.streams[number].reset or connection.closed
    answered(front)


# No longer wanted


def test_what_was_cancelled_while_its_verdict_was_awaited_never_reaches_the_store(front):
    with http2(front.port, front.cert.client_context(["h2"])) as connection:
        number = connection.start(fields(front.request("PUT", "some/waits", b"x")), end=False)
        deadline = time.monotonic() + 60
        while not front.asked.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert front.asked.exists()
        connection.h2.reset_stream(number)
        connection._flush()
        connection.h2.ping(b"12345678")
        connection._flush()
        connection._receive()  # whatever came before the ping was read
        front.go.touch()
        assert connection.ask(front.request("GET", "after")).status == 200
    assert [seen.target for seen in front.recorder.requests if front.prefix in seen.target] == [
        f"/demo/{front.prefix}after"
    ]
