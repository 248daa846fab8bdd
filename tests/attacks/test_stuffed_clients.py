"""Too many requests at once, bodies that crawl, answers that nobody reads: bounded, and others are served."""

from __future__ import annotations

import contextlib
import re
import struct
import threading

import pytest

from support.certificates import certificate
from support.http2 import fields, http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask, talk
from support.signing import signed
from support.upstream import Peer, Seen, Upstream, by_path, recording_upstream

PER_CONNECTION, IN_ALL = 3, 5
CONFIG = f"""
import asyncio
from osp_gateway import ProxyServerConfig
async def validator(token, bucket, request):
    if request.key.startswith("thinks/"):
        await asyncio.sleep(1)
    return True
config = ProxyServerConfig(
    cos_map={{{{'demo': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=validator, cert_path={{chain!r}}, key_path={{key!r}}, {{extra}}
)
"""


class Store:
    """Answers requests for `held/` when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def __call__(self, upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        if "/held/" in seen.target:
            peer.read_body(seen)
            self.go_on.wait(60)
        if "/endless/" in seen.target:
            return endless(peer)
        return by_path(upstream, peer, seen)


def endless(peer: Peer) -> bool:
    """Sends until the connection is cut off."""
    peer.connection.settimeout(60)
    with contextlib.suppress(OSError):
        peer.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
        for _ in range(200):
            peer.connection.sendall(b"z" * 2**20)
    return False


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("cert"), "localhost")


@pytest.fixture(scope="module")
def behaviour():
    return Store()


@pytest.fixture(scope="module")
def recorder(behaviour):
    with recording_upstream(behaviour) as upstream:
        yield upstream
        behaviour.go_on.set()


def running_with(recorder, cert, folder, extra):
    config = CONFIG.format(port=recorder.port, chain=str(cert.chain), key=str(cert.key), extra=extra)
    return gateway(folder, config)


@pytest.fixture(scope="module")
def crowded(recorder, cert, tmp_path_factory):
    extra = f"limits=dict(requests_per_connection={PER_CONNECTION}, requests_in_flight={IN_ALL})"
    with running_with(recorder, cert, tmp_path_factory.mktemp("crowded"), extra) as process:
        yield process


@pytest.fixture(scope="module")
def paced(recorder, cert, tmp_path_factory):
    extra = "read_timeout=2, limits=dict(min_rate=1000)"
    with running_with(recorder, cert, tmp_path_factory.mktemp("paced"), extra) as process:
        yield process


@pytest.fixture
def clear(behaviour):
    behaviour.go_on.clear()
    yield behaviour.go_on
    behaviour.go_on.set()


def get(osp, target):
    return signed(osp.ports[0], "GET", target)


def hold(osp, recorder, path, connection):
    """One request that stays under way."""
    connection.send(get(osp, f"/demo/held/{path}").octets)
    recorder.wait_for_request(f"/held/{path}")


def test_requests_over_the_limit_of_a_connection_are_told_to_slow_down(crowded, recorder, cert, clear, prefix):
    with http2(crowded.ports[0], cert.client_context(["h2"])) as h2:
        held = [h2.start(fields(get(crowded, f"/demo/held/{prefix}{n}")), end=True) for n in range(PER_CONNECTION)]
        for n in range(PER_CONNECTION):
            recorder.wait_for_request(f"/held/{prefix}{n}")
        h2.h2.remote_settings.max_concurrent_streams = 1000
        answer = h2.ask(get(crowded, f"/demo/{prefix}excess"))
        assert (answer.status, answer.code) == (503, "SlowDown")
        clear.set()
        assert [h2.answer(number).status for number in held] == [200] * PER_CONNECTION
        assert h2.ask(get(crowded, f"/demo/{prefix}after")).status == 200
    assert not [seen for seen in recorder.requests if seen.target.endswith("excess")]
    crowded.running.wait_for(rf"{PER_CONNECTION + 1} requests in flight on one connection")


def test_a_client_that_opens_far_too_many_loses_its_connection(crowded, cert, clear, prefix):
    with http2(crowded.ports[0], cert.client_context(["h2"])) as h2:
        h2.h2.remote_settings.max_concurrent_streams = 1000
        h2.h2.remote_settings.initial_window_size = 0
        for n in range(200):
            h2.start(fields(get(crowded, f"/demo/held/{prefix}{n}")), end=True)
        while not h2.closed:
            h2._receive()


def leave_in_the_middle(connection):
    connection.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close with a reset
    connection.close()


@pytest.mark.parametrize("end", ["answered", "client leaves", "wrong body", "cut by store", "refused", "bad chunk"])
def test_the_place_of_a_request_is_free_after_its_end(crowded, recorder, clear, prefix, end):
    """As many times as there are places: a single one that stayed taken would show."""
    port = crowded.ports[0]
    for n in range(2 * IN_ALL):
        with talk(port) as connection:
            if end == "client leaves":
                hold(crowded, recorder, f"{prefix}{n}", connection)
                leave_in_the_middle(connection)
            elif end == "wrong body":
                request = signed(port, "PUT", f"/demo/{prefix}{n}", b"body").but(body=b"BODY")
                connection.send(request.octets)
                assert connection.read_answer("PUT").status == 400
            elif end == "cut by store":
                connection.send(get(crowded, f"/demo/{prefix}{n}/cut").octets)
                assert b"200" in connection.read_some(15)
            elif end == "refused":
                connection.send(signed(port, "GET", f"/demo/{prefix}{n}", secret="wrong-fake-secret").octets)
                assert connection.read_answer().status == 403
            elif end == "bad chunk":
                request = signed(port, "PUT", f"/demo/{prefix}{n}", b"", payload_hash="UNSIGNED-PAYLOAD")
                request = request.without("content-length").plus("Transfer-Encoding", "chunked")
                connection.send(request.head + b"x\r\n")
                assert connection.read_answer("PUT").status in (400, 411)
            else:
                connection.send(get(crowded, f"/demo/{prefix}{n}").octets)
                assert connection.read_answer().status == 200
    clear.set()
    deadline = [ask(port, get(crowded, f"/demo/{prefix}last").octets).status for _ in range(50)]
    assert deadline[-1] == 200


def test_requests_over_the_limit_in_all_are_told_to_slow_down(crowded, recorder, clear, prefix):
    held = [talk(crowded.ports[0]) for _ in range(IN_ALL)]
    connections = [each.__enter__() for each in held]
    try:
        for n, connection in enumerate(connections):
            hold(crowded, recorder, f"{prefix}{n}", connection)
        with talk(crowded.ports[0]) as one_more:
            one_more.send(get(crowded, f"/demo/{prefix}excess").octets)
            answer = one_more.read_answer()
            assert (answer.status, answer.code) == (503, "SlowDown")
            clear.set()
            assert [connection.read_answer().status for connection in connections] == [200] * IN_ALL
            one_more.send(get(crowded, f"/demo/{prefix}after").octets)
            assert one_more.read_answer().status == 200
    finally:
        for each in held:
            each.__exit__(None, None, None)


def cancel(h2, request, at_once):
    """Head and reset, in one piece or two."""
    if at_once:
        number = h2.h2.get_next_available_stream_id()
        h2.h2.send_headers(number, fields(request), end_stream=True)
    else:
        number = h2.start(fields(request), end=True)
    h2.h2.reset_stream(number, 8)
    h2._flush()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_cancelled_request_does_not_reach_the_store(crowded, recorder, cert, prefix, at_once):
    """As often as there are places in all: one that stayed taken once the verdict is there would show."""
    with http2(crowded.ports[0], cert.client_context(["h2"])) as h2:
        for n in range(IN_ALL):
            cancel(h2, get(crowded, f"/demo/thinks/{prefix}{n}"), at_once)
            assert h2.ask(get(crowded, f"/demo/thinks/{prefix}{n}/wanted")).status == 200
    reached = [seen.target for seen in recorder.requests if prefix in seen.target]
    assert reached == [f"/demo/thinks/{prefix}{n}/wanted" for n in range(IN_ALL)]


def test_a_body_that_crawls_is_given_up(paced, recorder, prefix):
    """A byte now and then is progress, but not enough of it."""
    port = paced.ports[0]
    request = signed(port, "PUT", f"/demo/{prefix}crawls", b"", payload_hash="UNSIGNED-PAYLOAD", length=10_000)
    with talk(port) as connection:
        connection.send(request.head)
        connection.socket.settimeout(0.2)
        while True:
            connection.send(b"x")
            try:
                answer = connection.read_answer("PUT")
            except TimeoutError:
                continue
            break
    assert (answer.status, answer.code) == (400, "RequestTimeout")
    assert not [seen for seen in recorder.requests if prefix in seen.target and seen.complete]
    paced.running.wait_for(rf"{prefix}crawls[^\n]*the body comes too slowly")


def test_a_store_that_does_not_read_is_not_blamed_on_the_client(paced, prefix):
    """It is 503, the client may try again; and its connection is not stuck with the store's."""
    port = paced.ports[0]
    body = b"z" * (32 * 2**20)
    request = signed(port, "PUT", f"/demo/{prefix}never-reads", body, payload_hash="UNSIGNED-PAYLOAD")
    with talk(port) as connection:
        sending = threading.Thread(target=connection.send, args=(request.octets,), daemon=True)
        sending.start()
        answer = connection.read_answer("PUT")
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    sending.join(60)
    assert not sending.is_alive()
    assert ask(port, get(paced, f"/demo/{prefix}good").octets).status == 200


def test_a_client_that_never_reads_its_answer_is_cut_off(paced, recorder, prefix):
    with talk(paced.ports[0]) as connection:
        connection.send(get(paced, f"/demo/endless/{prefix}").octets)
        assert recorder.wait_for_request(prefix).closed.wait(60)
        with pytest.raises((ConnectionError, AssertionError)):
            connection.read_answer()
    paced.running.wait_for("the client does not read its answer")


def test_a_stream_that_is_never_read_is_cut_off_and_others_are_served(paced, recorder, cert, prefix):
    with http2(paced.ports[0], cert.client_context(["h2"])) as h2:
        h2.h2.increment_flow_control_window(2**24)
        number = h2.start(fields(get(paced, f"/demo/endless/{prefix}")), end=True)
        assert recorder.wait_for_request(prefix).closed.wait(60)
        assert h2.reset_code(number) is not None
        assert h2.ask(get(paced, f"/demo/{prefix}good")).body == b"from the store"


def test_nothing_was_a_fault_of_the_gateways(crowded, paced):
    for each in (crowded, paced):
        assert not re.search("Traceback|crashed|failed inside", each.output())
