"""What the parsers keep and how much they work, for input that was made to be too much."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import resource
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.growing import GROWING, feed
from fuzz.kept import kept_octets
from fuzz.targets import OVERHEAD
from fuzz.work import instructions
from osp_gateway.s3 import address, encoding
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.checksums import BodyChecks
from osp_gateway.sigv4.chunk_signing import HmacChain
from osp_gateway.sigv4.chunked_codecs import (
    Announcement,
    ChunkLimits,
    DecodingCodec,
    PlainChecksumCodec,
    ResigningCodec,
)
from osp_gateway.sigv4.claim_parts import HEADER, signed_headers
from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.keys import SigningKeys
from osp_gateway.sigv4.payload import BodyCodec, HeldBody, Sha256Body, UnsignedBody
from support import aws_chunked

ROOT = Path(__file__).parents[2]
SMALL = 2048
CPU_SECONDS = 60
"""For all inputs of `LARGE` octets together, which take three or four seconds; quadratic ones take hours."""
LARGE = 1 << 20

HOLD = 256 * 1024
SLACK = HOLD // 8 + OVERHEAD
"""A bytearray that grows asks for an eighth more than it needs."""


def chain() -> HmacChain:
    return HmacChain(b"k" * 32, aws_chunked.AMZ_DATE, aws_chunked.SCOPE, "ab" * 32)


def announcement(mode: str, **more: list[str]) -> Announcement:
    return Announcement.of_headers(mode, {"x-amz-decoded-content-length": [str(2 * HOLD)]} | more)


def one_chunk(signature: str = "") -> bytes:
    return b"%x" % HOLD + (b";chunk-signature=" + b"a" * 64 if signature else b"") + b"\r\n"


HOLDING: dict[str, tuple[Callable[[], BodyCodec], bytes]] = {
    "sha256": (lambda: Sha256Body(hashlib.sha256().hexdigest(), HOLD), b""),
    "held": (lambda: HeldBody(UnsignedBody(), HOLD), b""),
    "checksum": (lambda: PlainChecksumCodec(UnsignedBody(), BodyChecks({"content-md5": "A" * 22 + "=="}), HOLD), b""),
    "signed chunk": (
        lambda: DecodingCodec(announcement(aws_chunked.HMAC), chain(), ChunkLimits(0, HOLD, 0)),
        one_chunk("a"),
    ),
    "re-signed chunk": (
        lambda: ResigningCodec(announcement(aws_chunked.HMAC), chain(), chain(), ChunkLimits(0, HOLD, 0)),
        one_chunk("a"),
    ),
    "decoded and held": (
        lambda: DecodingCodec(announcement(aws_chunked.UNSIGNED), None, ChunkLimits(2 * HOLD, 0, 0)),
        one_chunk(),
    ),
}


@pytest.mark.parametrize("step", [1, 2, 1000, 5000, 65_536])
@pytest.mark.parametrize("name", HOLDING)
def test_what_is_held_takes_no_more_memory_than_its_octets(name, step):
    make, start = HOLDING[name]
    codec = make()
    codec.feed(start)
    left = HOLD - 2
    while left > 0:
        size = min(step, left)
        assert not codec.feed(bytes(size))
        left -= size
    assert HOLD - 2 <= kept_octets(codec) <= HOLD + SLACK


KEYS = SigningKeys()
HEAD = RequestHead("GET", "/", "", (("host", "a"),))
REMEMBERING: dict[str, Callable[[str], object]] = {
    "query names": lambda text: encoding.parse_query(f"é{text}"),
    "query values": lambda text: encoding.parse_query(f"a=%20{text}"),
    "hosts": lambda text: address.bucket_of_host(f"{text}.example.test", ("example.test",)),
    "dates": parse_amz_date,
    "signed headers": lambda text: signed_headers(HEAD, f"{text};host", HEADER),
    "regions": lambda text: KEYS.get("fake-secret", "20260101", text),
}


@pytest.mark.parametrize("name", REMEMBERING)
def test_words_of_clients_are_not_kept_where_they_are_long(name):
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(500):
            with contextlib.suppress(S3Error):
                REMEMBERING[name](f"{number:08}" * 1000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", GROWING)
def test_four_times_the_input_is_not_much_more_than_four_times_the_work(name):
    feed(name, SMALL)  # caches are warm
    few, many = (instructions(lambda size=size: feed(name, size)) for size in (SMALL, 4 * SMALL))
    assert many <= 6 * few + 2000


def test_no_input_makes_c_code_work_without_end():
    """Regular expressions, joins and copies: CPU time is bounded by the kernel, so a busy machine is no failure."""
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.growing", str(LARGE)],
        env={"PYTHONPATH": f"{ROOT / 'addon'}:{ROOT / 'tests'}", "PATH": ""},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == list(GROWING), done.stderr[-2000:]
    assert done.returncode == 0


def test_an_error_is_said_again_and_nothing_is_kept_for_it():
    codec = DecodingCodec(announcement(aws_chunked.UNSIGNED), None, ChunkLimits(2 * HOLD, 0, 0))
    codec.feed(one_chunk() + bytes(HOLD))
    with pytest.raises(S3Error) as first:
        codec.feed(b"no line break")
    with pytest.raises(S3Error) as second:
        codec.finish()
    assert first.value is second.value
    first.value.__traceback__ = None  # whose frames hold what was fed
    assert kept_octets(codec) < OVERHEAD


def test_the_work_of_other_threads_is_not_counted():
    stopped = threading.Event()

    def busy() -> None:
        while not stopped.is_set():
            sum(range(3))

    other = threading.Thread(target=busy)
    other.start()
    try:
        counts = {instructions(lambda: sum(n for n in range(20_000))) for _ in range(10)}
    finally:
        stopped.set()
        other.join()
    assert len(counts) == 1
