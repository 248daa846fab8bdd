"""Bodies far larger than memory should be: up and down in every payload mode, and after a refusal.

`OSP_LARGE_MIB` says how large; 5120 are the 5 GiB that S3 takes at most in one request.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET, Running
from support.raw import Talk, talk
from support.signing import signed
from support.streams import MODES, CountingStore, LargeUpload, pieces, sha256_of
from support.upstream import Upstream, recording_upstream

MIB = 1 << 20
OCTETS = int(os.environ.get("OSP_LARGE_MIB", "128")) * MIB
GROWTH_ALLOWED_KIB = 64 * 1024
GROWTH_AFTER_REFUSAL_KIB = 8 * 1024
"""A stream's buffers come and go: what 5 GiB would cost if they were kept is another order of magnitude."""
CONFIG = f"""
from osp_gateway import ProxyServerConfig
STORE = dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')
config = ProxyServerConfig(
    cos_map={{{{'demo': STORE, 'same': {{{{**STORE, 'payload': 'same'}}}}}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket, request: not request.key.startswith('denied/'),
    http_port=0, listen_host='127.0.0.1',
)
"""


@dataclass
class Front:
    running: Running
    port: int
    store: Upstream
    counting: CountingStore

    def begin_anew(self) -> int:
        """Forget the peak of memory; how much is resident now."""
        Path(f"/proc/{self.running.process.pid}/clear_refs").write_text("5", encoding="ascii")
        return self.peak_kib()

    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.running.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> Iterator[Front]:
    folder, counting = tmp_path_factory.mktemp("large"), CountingStore()
    with recording_upstream(counting) as store:
        file = folder / "server.py"
        file.write_text(CONFIG.format(port=store.port), encoding="utf-8")
        running = Running([str(BIN / "osp"), "serve", str(file)], folder / "log")
        try:
            port = int(running.wait_for(r"listening at [^\s]*?:(\d+)")[0][1])
            front = Front(running, port, store, counting)
            upload(front, "UNSIGNED-PAYLOAD", "demo", 4 * MIB)  # what the first request takes is not counted
            yield front
        finally:
            running.stop()


def upload(front: Front, mode: str, bucket: str, octets: int) -> str:
    """Its target; the store has it all when this returns."""
    target = f"/{bucket}/{mode.replace(' ', '-')}-{octets}"
    body = LargeUpload(mode, octets)
    head = body.head(front.port, target, sha256_of(octets) if mode == "signed hash" else "")
    with talk(front.port) as client:
        client.socket.sendall(head.head)
        for piece in body.body(head):
            client.socket.sendall(piece)
        assert client.read_answer("PUT").status == 200
    return target


@pytest.mark.parametrize("bucket", ["demo", "same"])
@pytest.mark.parametrize("mode", MODES)
def test_an_upload_takes_no_more_memory_for_being_large(front, mode, bucket):
    before = front.begin_anew()
    target = upload(front, mode, bucket, OCTETS)
    assert front.peak_kib() - before < GROWTH_ALLOWED_KIB
    count, digest = front.counting.received[target]
    if bucket == "demo" or mode in ("signed hash", "UNSIGNED-PAYLOAD"):
        assert (count, digest) == (OCTETS, sha256_of(OCTETS))
    else:
        assert count == LargeUpload(mode, OCTETS).framed_length


def test_a_download_takes_no_more_memory_for_being_large(front):
    before = front.begin_anew()
    digest, count = hashlib.sha256(), 0
    with talk(front.port) as client:
        client.send(signed(front.port, "GET", f"/demo/send/{OCTETS}").octets)
        for piece in body_of(client):
            digest.update(piece)
            count += len(piece)
    assert front.peak_kib() - before < GROWTH_ALLOWED_KIB
    assert (count, digest.hexdigest()) == (OCTETS, sha256_of(OCTETS))


def body_of(client: Talk) -> Iterator[bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.socket.recv(65536)
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    left = OCTETS - len(rest)
    yield rest
    while left:
        piece = client.socket.recv(min(left, 1 << 18))
        assert piece, f"{left} octets are missing"
        left -= len(piece)
        yield piece


def test_a_client_that_goes_on_sending_after_a_refusal_costs_nothing(front):
    before = front.begin_anew()
    for _ in range(3):
        body = LargeUpload("UNSIGNED-PAYLOAD", OCTETS)
        with talk(front.port) as client, contextlib.suppress(OSError):
            client.socket.sendall(body.head(front.port, "/demo/denied/large").head)
            for piece in pieces(OCTETS):
                client.socket.sendall(piece)
    assert front.peak_kib() - before < GROWTH_AFTER_REFUSAL_KIB
    assert not any("denied" in target for target in front.counting.received)
