"""HTTP/2: heads over the limits are refused on their streams, floods end the connection."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import hyperframe.frame as frames
import pytest
from h2.errors import ErrorCodes
from mitmproxy.proxy.layers.http._http2 import Http2Connection

from osp_gateway.mitm.downstream_http2 import MAX_CANCELLED, MAX_IDLE_FRAMES
from support.certificates import Certificate, certificate
from support.http2 import Http2, fields, http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, gateway
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
)
"""


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("front"), "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def recorder() -> Iterator[Upstream]:
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def front(tmp_path_factory, recorder, cert) -> Iterator[GatewayProcess]:
    config = CONFIG.format(
        port=recorder.port, key=CLIENT_KEY, secret=CLIENT_SECRET, chain=str(cert.chain), private=str(cert.key)
    )
    with gateway(tmp_path_factory.mktemp("http2"), config) as running:
        yield running


@pytest.fixture
def connection(front, cert) -> Iterator[Http2]:
    with http2(front.ports[0], cert.client_context(["h2"])) as opened:
        yield opened


def good(front: GatewayProcess, key: str = "key"):
    return signed(front.ports[0], "GET", f"/demo/{key}", scheme="https")


@pytest.fixture
def only_key():
    """A key of the test's own: whatever else the connection sends up must not be there."""
    return uuid.uuid4().hex


def wait_for_the_end(connection: Http2) -> None:
    while not connection.closed:
        connection._receive()


def flood(connection: Http2, octets: bytes) -> None:
    connection._flush()
    with contextlib.suppress(OSError):
        connection.socket.sendall(octets)
    wait_for_the_end(connection)


HEADS = {
    "too large": ([("x-a", "x" * 70_000)], (400, "RequestHeaderSectionTooLarge")),
    "too many fields": ([(f"x-{n}", "b") for n in range(201)], (400, "RequestHeaderSectionTooLarge")),
    "two lengths": ([("content-length", "0"), ("content-length", "0")], (400, "InvalidRequest")),
}


def assert_lives_and_sent_nothing(front: GatewayProcess, connection: Http2, recorder: Upstream, key: str) -> None:
    """Of the requests for `key`, the store sees this one only."""
    answer = connection.ask(good(front, key))
    assert answer is not None
    assert answer.status == 200
    assert len([seen for seen in recorder.requests if key in seen.target]) == 1


@pytest.mark.parametrize("name", HEADS)
def test_a_head_over_a_limit_is_refused_on_its_stream_and_the_connection_lives(
    front, connection, recorder, only_key, name
):
    extra, expected = HEADS[name]
    answer = connection.ask(good(front, only_key), extra=extra)
    assert answer is not None
    assert (answer.status, answer.code) == expected
    assert_lives_and_sent_nothing(front, connection, recorder, only_key)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/demo/{key}" + "k" * 20_000, (414, "RequestURITooLong")),
        ("/demo/{key} b", (400, "InvalidURI")),
        ("*", (400, "InvalidURI")),
    ],
)
def test_a_target_that_http1_would_not_carry_is_refused(front, connection, recorder, only_key, target, expected):
    answer = connection.ask(good(front).but(target=target.format(key=only_key)))
    assert answer is not None
    assert (answer.status, answer.code) == expected
    assert_lives_and_sent_nothing(front, connection, recorder, only_key)


def test_a_refused_upload_is_stopped_and_the_connection_lives(front, connection):
    number = connection.start(fields(good(front).but(method="PUT", target="/a b")), end=False)
    assert connection.answer(number).status == 400
    assert connection.ask(good(front)).status == 200


def test_trailers_are_refused(front, connection, recorder, only_key):
    request = signed(front.ports[0], "PUT", f"/demo/{only_key}", b"body", scheme="https")
    number = connection.start(fields(request), end=False)
    connection.h2.send_data(number, b"bod")
    connection.h2.send_headers(number, [("x-trailer", "a")], end_stream=True)
    connection._flush()
    answer = connection.answer(number)
    assert answer is None or answer.status == 400
    assert not any(seen.complete for seen in recorder.requests if only_key in seen.target)


def test_requests_opened_only_to_be_reset_end_the_connection(front, connection):
    for _ in range(MAX_CANCELLED + 1):
        number = connection.h2.get_next_available_stream_id()
        connection.h2.send_headers(number, fields(good(front)), end_stream=True)
        connection.h2.reset_stream(number, ErrorCodes.CANCEL)
    flood(connection, b"")
    front.running.wait_for("connection closed: requests are opened only to be reset")


def test_some_cancelled_requests_do_no_harm(front, connection):
    for _ in range(3):
        for _ in range(20):
            number = connection.h2.get_next_available_stream_id()
            connection.h2.send_headers(number, fields(good(front)), end_stream=True)
            connection.h2.reset_stream(number, ErrorCodes.CANCEL)
        assert connection.ask(good(front)).status == 200


FLOODS = {
    "PING": frames.PingFrame(0, b"12345678").serialize(),
    "SETTINGS": frames.SettingsFrame(0, settings={}).serialize(),
    "PRIORITY": frames.PriorityFrame(1, depends_on=0, stream_weight=1).serialize(),
    "unknown": b"\x00\x00\x00\xee\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_frames_that_ask_for_nothing_end_the_connection(front, connection, kind):
    flood(connection, FLOODS[kind] * (MAX_IDLE_FRAMES + 10))
    front.running.wait_for("connection closed: frames come that ask for nothing")


def test_empty_data_frames_end_the_connection(front, connection):
    number = connection.start(fields(signed(front.ports[0], "PUT", "/demo/key", b"x", scheme="https")), end=False)
    flood(connection, frames.DataFrame(number, b"").serialize() * (MAX_IDLE_FRAMES + 10))


@pytest.mark.parametrize("size", [0, 10_000])
def test_a_header_block_without_end_ends_the_connection(connection, size):
    block = frames.HeadersFrame(1, b"\x82").serialize()
    more = frames.ContinuationFrame(1, b"\x82" * size).serialize()
    flood(connection, block + more * 200)


def test_a_header_block_that_unpacks_to_much_ends_the_connection(connection):
    """One large field put into HPACK's table, then named over and over."""
    large = b"\x40\x01x" + b"\x7f" + b"\x81\x1d" + b"v" * 3840
    block = frames.HeadersFrame(1, large + b"\xbe" * 16_000, flags=["END_HEADERS", "END_STREAM"])
    flood(connection, block.serialize())


def test_mitmproxy_reads_heads_in_the_way_that_the_limits_look_at(connection):
    """Private parts of hyper-h2 that `ClientHttp2.octets_of_open_block` relies on."""
    from h2.connection import H2Connection

    incoming = H2Connection().incoming_buffer
    assert (incoming._headers_buffer, incoming._data) == ([], bytearray())
    assert callable(Http2Connection.close_connection)
