"""MB/s of each body codec, beside `hashlib.sha256` and `zlib.crc32` over the same octets in the same process.

Bodies are fed as mitmproxy reads them, 64 KiB at a time. Each round measures everything once, in turn, so that a
machine that slows down slows all of it. Shown are the best rate, the median, and the ratio to the measure beside it:
the best of one by the best of the other, which what else runs on the machine disturbs least.

    .venv/bin/python scripts/bench/codecs.py
"""

from __future__ import annotations

import base64
import hashlib
import statistics
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from osp_gateway.sigv4 import sigv4a
from osp_gateway.sigv4.aws_chunked import MODES, Mode
from osp_gateway.sigv4.checksums import ALGORITHMS
from osp_gateway.sigv4.chunk_signing import ChunkChain, HmacChain
from osp_gateway.sigv4.chunked_codecs import (
    Announcement,
    ChunkLimits,
    DecodingCodec,
    PassingCodec,
    ResigningCodec,
)
from osp_gateway.sigv4.payload import BodyCodec, Sha256Body, UnsignedBody

MIB: Final = 1 << 20
READ: Final = 1 << 16
SIZES: Final = {"64 KiB": READ, "128 KiB": 2 * READ, "1 MiB": MIB}
CRCS: Final = ("x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme")
HMAC: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
ECDSA: Final = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
UNSIGNED: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DATE: Final = "20260101T120000Z"
SEED: Final = "5eed" * 16


@dataclass(frozen=True)
class Case:
    """A codec and the body for it, in reads; `aim` is the ratio to `beside` that it should have.

    `beside` is None for a codec that computes nothing.
    """

    name: str
    beside: str | None
    reads: Sequence[bytes]
    octets: int
    make: Callable[[], BodyCodec]
    aim: float | None = None

    def run(self) -> None:
        codec = self.make()
        feed = codec.feed
        for read in self.reads:
            feed(read)
        codec.finish()


def reads_of(body: bytes) -> list[bytes]:
    return [body[start : start + READ] for start in range(0, len(body), READ)]


def hmac_chain(name: str) -> HmacChain:
    key = hashlib.sha256(name.encode()).digest()
    return HmacChain(key, DATE, f"{DATE[:8]}/us-east-1/s3/aws4_request", SEED)


def ecdsa_chain(name: str) -> sigv4a.EcdsaChain:
    return sigv4a.EcdsaChain(KEYS[name], DATE, f"{DATE[:8]}/s3/aws4_request", SEED)


KEYS: Final = {name: sigv4a.derive_private_key(name, "fake-secret") for name in ("client", "backend")}


def encoded(body: bytes, size: int, chain: ChunkChain | None, trailer: str | None = None) -> bytes:
    """The body in chunks of `size`, signed by `chain` or with the checksum `trailer`."""
    pieces = []
    for start in (*range(0, len(body), size), len(body)):
        chunk = body[start : start + size]
        signature = chain.sign(hashlib.sha256(chunk).hexdigest()) if chain else ""
        extension = f";chunk-signature={signature}" if chain else ""
        pieces += [f"{len(chunk):x}{extension}\r\n".encode(), chunk, b"\r\n" if chunk else b""]
    if trailer:
        checksum = ALGORITHMS[trailer].new()
        checksum.update(body)
        pieces.append(f"{trailer}:{checksum.digest()}\r\n".encode())
    return b"".join([*pieces, b"\r\n"])


def announce(mode: Mode, length: int, trailer: str | None = None) -> Announcement:
    fields = {"x-amz-decoded-content-length": [str(length)], **({"x-amz-trailer": [trailer]} if trailer else {})}
    return Announcement.of_headers(mode.name, fields)


def signed_cases(body: bytes, mode: Mode, chain: Callable[[str], ChunkChain], sizes: Mapping[str, int]) -> list[Case]:
    kind, aim = (mode.signature or "").upper(), 0.8 if mode.signature == "hmac" else None
    limits = ChunkLimits(hold=0)
    cases = []
    for shown, size in sizes.items():
        reads = reads_of(encoded(body, size, chain("client")))

        def decode() -> BodyCodec:
            return DecodingCodec(announce(mode, len(body)), chain("client"), limits)

        def resign() -> BodyCodec:
            return ResigningCodec(announce(mode, len(body)), chain("client"), chain("backend"), limits)

        cases.append(Case(f"{kind} chunks of {shown}, decoded", "sha256", reads, len(body), decode, aim))
        cases.append(Case(f"{kind} chunks of {shown}, re-signed", "sha256", reads, len(body), resign, aim))
    return cases


def unsigned_cases(body: bytes) -> list[Case]:
    mode, limits, cases = MODES[UNSIGNED], ChunkLimits(hold=0), []
    for trailer in CRCS:
        reads = reads_of(encoded(body, MIB, None, trailer))
        name, aim = ALGORITHMS[trailer].name, 0.625 if trailer == CRCS[0] else None

        def decode(trailer: str = trailer) -> BodyCodec:
            return DecodingCodec(announce(mode, len(body), trailer), None, limits)

        def hand_on(trailer: str = trailer) -> BodyCodec:
            return PassingCodec(announce(mode, len(body), trailer), limits)

        cases.append(Case(f"unsigned with {name}, decoded", "crc32", reads, len(body), decode, aim))
        cases.append(Case(f"unsigned with {name}, passed on", "crc32", reads, len(body), hand_on, aim))
    return cases


def all_cases(body: bytes) -> list[Case]:
    digest = hashlib.sha256(body).hexdigest()
    plain = reads_of(body)
    return [
        Case("SHA-256 in the head", "sha256", plain, len(body), lambda: Sha256Body(digest)),
        Case("UNSIGNED-PAYLOAD", None, plain, len(body), UnsignedBody),
        *signed_cases(body, MODES[HMAC], hmac_chain, SIZES),
        *unsigned_cases(body),
        *signed_cases(body, MODES[ECDSA], ecdsa_chain, {"64 KiB": READ, "1 MiB": MIB}),
    ]


def sha256_alone(reads: Iterable[bytes]) -> None:
    digest = hashlib.sha256()
    for read in reads:
        digest.update(read)


def crc32_alone(reads: Iterable[bytes]) -> None:
    value = 0
    for read in reads:
        value = zlib.crc32(read, value)
    base64.b64encode(value.to_bytes(4, "big"))


def megabytes_a_second(run: Callable[[], None], octets: int) -> float:
    started = time.process_time_ns()
    run()
    return octets * 1000 / max(time.process_time_ns() - started, 1)


@click.command(context_settings={"show_default": True})
@click.option("--rounds", "count", default=9, help="Rounds; in each of them everything is measured once.")
@click.option("--mebibytes", default=32, help="Size of the body.")
@click.option("--only", default="", help="Codecs whose names have this in them.")
def main(count: int, mebibytes: int, only: str) -> None:
    """Compare the codecs with the hash or checksum that they cannot do without."""
    body = (bytes(range(256)) * 4096 * mebibytes)[: mebibytes * MIB]
    plain = reads_of(body)
    cases = [case for case in all_cases(body) if only.lower() in case.name.lower()]
    measures: dict[str, Callable[[], None]] = {
        "sha256": lambda: sha256_alone(plain),
        "crc32": lambda: crc32_alone(plain),
        **{case.name: case.run for case in cases},
    }
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(count):
        for name, run in measures.items():
            rates[name].append(megabytes_a_second(run, len(body)))
    click.echo(f"{'MB/s of CPU time':42} {'best':>9} {'median':>9}   ratio of the best, of the medians")
    for name in ("sha256", "crc32"):
        click.echo(f"{name + ' alone':42} {max(rates[name]):9.0f} {statistics.median(rates[name]):9.0f}")
    for case in cases:
        mine = rates[case.name]
        if case.beside is None:
            click.echo(f"{case.name:42} {max(mine):9.0f} {statistics.median(mine):9.0f}   passes what it is given")
            continue
        alone = rates[case.beside]
        best = max(mine) / max(alone)
        median = statistics.median(mine) / statistics.median(alone)
        aim = f"  (aim: {case.aim:g})" if case.aim else ""
        click.echo(
            f"{case.name:42} {max(mine):9.0f} {statistics.median(mine):9.0f}   "
            f"{best:.2f} {median:.2f} of {case.beside}{aim}"
        )


if __name__ == "__main__":
    main()
