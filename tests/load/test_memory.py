"""A body's size does not show in the gateway's memory, in any payload mode, in either direction.

`OSP_TEST_STREAM_MIB` sets the size of each body; 5120 is the full 5 GiB.
"""

import base64
import hashlib
import os
import zlib

import pytest

from support.aws_chunked import CRC32, HMAC, HMAC_TRAILER, MODES, UNSIGNED
from support.chunked_requests import signer_for
from support.inside import Inside
from support.payload_gateways import WAYS
from support.payloads import UNSIGNED_PAYLOAD
from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.raw import talk
from support.serving import HERE, serving
from support.signing import signed
from support.upstream import recording_upstream, response

MIB = 2**20
PIECES = int(os.environ.get("OSP_TEST_STREAM_MIB", "128"))
PIECE = hashlib.shake_256(b"a piece").digest(MIB)
CHUNK = 65536
ALLOWED_GROWTH = 64 * MIB
ALLOWED_AFTER_A_REFUSAL = MIB

CONFIG = """
from osp_gateway import ProxyServerConfig
STORE = dict(host='127.0.0.1', port={port}, is_tls_enabled=False,
    access_key='recorder-fake-key', secret_key='recorder-fake-secret')
def validator(token, bucket, request):
    return not request.key.startswith('denied/')
config = ProxyServerConfig(
    cos_map={{'demo': STORE, **{{way: {{**STORE, 'payload': way}} for way in {ways!r}}}}},
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=validator, admin_port=0, {here}
)
"""


class Digesting:
    """A store that keeps a digest and a count of what it is sent, without framing, and sends pieces."""

    def __init__(self):
        self.digest, self.size = None, 0

    def __call__(self, upstream, peer, seen):
        if seen.method == "GET":
            peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {PIECES * MIB}\r\n\r\n".encode())
            for _ in range(PIECES):
                peer.send(PIECE)
            return True
        digest, self.size = hashlib.sha256(), 0
        for data in self._data(peer, seen):
            digest.update(data)
            self.size += len(data)
        self.digest = digest.hexdigest()
        peer.send(response(200, etag='"e"'))
        return True

    def _data(self, peer, seen):
        stream = _Stream(peer, seen.length)
        if (seen.header("x-amz-content-sha256") or "") not in MODES:
            while data := stream.some():
                yield data
            return
        while size := int(stream.line().split(b";")[0], 16):
            yield stream.exactly(size)
            assert stream.exactly(2) == b"\r\n"
        while stream.some():
            pass


class _Stream:
    """The rest of one body."""

    def __init__(self, peer, length):
        self.peer, self.left = peer, length

    def some(self):
        if self.left == 0:
            return b""
        if not self.peer.buffer:
            assert self.peer.receive(), "the body ended early"
        return self._take(min(self.left, len(self.peer.buffer)))

    def exactly(self, size):
        while len(self.peer.buffer) < size:
            assert self.peer.receive(), "the body ended early"
        return self._take(size)

    def line(self):
        while b"\r\n" not in self.peer.buffer:
            assert self.peer.receive(), "the body ended early"
        return self._take(self.peer.buffer.index(b"\r\n") + 2)

    def _take(self, size):
        taken, self.peer.buffer = self.peer.buffer[:size], self.peer.buffer[size:]
        self.left -= size
        return taken


def whole(update):
    for _ in range(PIECES):
        update(PIECE)


@pytest.fixture(scope="module")
def digest():
    found = hashlib.sha256()
    whole(found.update)
    return found.hexdigest()


@pytest.fixture(scope="module")
def crc():
    value = 0
    for _ in range(PIECES):
        value = zlib.crc32(PIECE, value)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


@pytest.fixture(scope="module")
def store():
    handler = Digesting()
    with recording_upstream(handler) as upstream:
        handler.port = upstream.port
        yield handler


@pytest.fixture(scope="module")
def running(store, tmp_path_factory):
    text = CONFIG.format(port=store.port, key=CLIENT_KEY, secret=CLIENT_SECRET, here=HERE, ways=WAYS)
    with serving(tmp_path_factory.mktemp("memory"), text) as gateway:
        yield gateway


@pytest.fixture
def inside(running, tmp_path):
    return Inside(running.running, tmp_path / "tasks")


def encoded(mode, head, crc):
    """The parts of a chunked body."""
    signer = signer_for(head)
    pieces = [PIECE[at : at + CHUNK] for at in range(0, MIB, CHUNK)]

    def start(data):
        return f"{len(data):x}" + (f";chunk-signature={signer.chunk(data)}" if mode != UNSIGNED else "") + "\r\n"

    for _ in range(PIECES):
        yield b"".join(part for data in pieces for part in (start(data).encode(), data, b"\r\n"))
    end = start(b"")
    if mode != HMAC:
        end += f"{CRC32}:{crc}\r\n"
    if mode == HMAC_TRAILER:
        end += f"x-amz-trailer-signature:{signer.trailers(f'{CRC32}:{crc}{chr(10)}'.encode())}\r\n"
    yield f"{end}\r\n".encode()


def encoded_length(mode, crc):
    signature = 0 if mode == UNSIGNED else len(";chunk-signature=") + 64
    chunks = PIECES * MIB // CHUNK
    length = chunks * (len(f"{CHUNK:x}") + signature + 4 + CHUNK) + 1 + signature + 2
    if mode != HMAC:
        length += len(f"{CRC32}:{crc}\r\n")
    if mode == HMAC_TRAILER:
        length += len("x-amz-trailer-signature:\r\n") + 64
    return length + 2


def upload(port, way, mode, digest, crc):
    """Head and parts."""
    if mode not in MODES:
        payload_hash = digest if mode == "plain" else mode
        head = signed(port, "PUT", f"/{way}/key", payload_hash=payload_hash, length=PIECES * MIB)
        return head, (PIECE for _ in range(PIECES))
    fields = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(PIECES * MIB))]
    if mode != HMAC:
        fields.append(("x-amz-trailer", CRC32))
    length = encoded_length(mode, crc)
    head = signed(port, "PUT", f"/{way}/key", headers=tuple(fields), payload_hash=mode, length=length)
    return head, encoded(mode, head, crc)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["plain", UNSIGNED_PAYLOAD, *MODES])
def test_an_upload_does_not_show_in_memory(running, store, inside, digest, crc, mode, way):
    head, parts = upload(running.port, way, mode, digest, crc)
    before = inside.forget_peak()
    with talk(running.port) as connection:
        connection.send(head.head)
        for part in parts:
            connection.socket.sendall(part)
        assert connection.read_answer("PUT").status == 200
    assert (store.digest, store.size) == (digest, PIECES * MIB)
    assert inside.peak() - before < ALLOWED_GROWTH


def test_a_download_does_not_show_in_memory(running, inside, digest):
    before = inside.forget_peak()
    found, size = hashlib.sha256(), 0
    with talk(running.port) as connection:
        connection.send(signed(running.port, "GET", "/demo/key").octets)
        assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        data = connection._buffer
        while True:
            found.update(data)
            size += len(data)
            if size >= PIECES * MIB or not (data := connection.socket.recv(MIB)):
                break
    assert (found.hexdigest(), size) == (digest, PIECES * MIB)
    assert inside.peak() - before < ALLOWED_GROWTH


def test_what_is_sent_after_a_refusal_costs_nothing(running, inside):
    request = signed(running.port, "PUT", "/demo/denied/key", payload_hash=UNSIGNED_PAYLOAD, length=PIECES * MIB)

    def refused():
        with talk(running.port) as connection:
            connection.send(request.head)
            assert connection.read_answer("PUT").status == 403
            for _ in range(PIECES):
                connection.send(PIECE)

    refused()  # the first of its kind loads code
    before = inside.forget_peak()
    refused()
    assert inside.peak() - before < ALLOWED_AFTER_A_REFUSAL
