"""What can be wrong with an upload, in every payload mode, and what AWS says to it.

Statuses and codes are those of "Error responses" and "Checking object integrity" in the Amazon S3 documentation; where
it is silent, what Swift's S3 tests record of AWS. Where the gateway is stricter, the case says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from support.chunked_requests import signer_for
from support.payloads import (
    CHECKSUMS,
    CHUNKED,
    HEX,
    HMAC,
    HMAC_TRAILER,
    PLAIN,
    SIGNED,
    TRAILED,
    UNSIGNED,
    Payload,
    Upload,
    checksum_field,
    checksum_name,
    md5,
)
from support.processes import CLIENT_SECRET
from support.signing import Raw

HOLD = 4096
MAX_CHUNK = 65536
LIMITS = f"limits={{'hold': {HOLD}, 'max_chunk': {MAX_CHUNK}}}"
"""What the gateway is to be configured with: `small_upload` is held whole there, `large_upload` streams."""

EVERY = (*PLAIN, *CHUNKED)
OTHER = b"not the body"

BAD_DIGEST = (400, "BadDigest")
CONTENT_MISMATCH = (400, "XAmzContentSHA256Mismatch")
INCOMPLETE = (400, "IncompleteBody")
INVALID_ARGUMENT = (400, "InvalidArgument")
INVALID_DIGEST = (400, "InvalidDigest")
INVALID_REQUEST = (400, "InvalidRequest")
MALFORMED_TRAILER = (400, "MalformedTrailerError")
NO_LENGTH = (411, "MissingContentLength")
TOO_LARGE = (400, "EntityTooLarge")
WRONG_SIGNATURE = (403, "SignatureDoesNotMatch")


def small_upload(mode: str) -> Upload:
    """Five chunks that are held whole."""
    return Upload(mode, bytes(range(250)) * 8, sizes=(400,))


def large_upload(mode: str) -> Upload:
    """Five chunks that stream."""
    return Upload(mode, bytes(range(250)) * 160, sizes=(8192,))


@dataclass(frozen=True)
class Wrong:
    """A way to be wrong: by what the client signs, or by what becomes of it on the way; and the answer."""

    name: str
    answer: tuple[int, str]
    modes: tuple[str, ...]
    signs: Callable[[Upload], Upload] = field(default=lambda upload: upload)
    becomes: Callable[[Payload], Payload] = field(default=lambda payload: payload)
    octets: Callable[[bytes], bytes] = field(default=lambda body: body)

    def request(self, upload: Upload, port: int, target: str) -> Raw:
        """The upload gone wrong, with the Content-Length of what is sent."""
        raw = self.becomes(self.signs(upload).sign(port, target)).request
        body = self.octets(raw.body)
        return raw.with_changed("content-length", lambda _: str(len(body))).but(body=body)


def flipped(signature: str | None) -> str:
    """Another signature of the same form."""
    assert signature
    return signature[:-1] + ("0" if signature[-1] != "0" else "1")


def mangled(data: bytes) -> bytes:
    """The same with another octet in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def wrong_signature_of(index: int) -> Callable[[Payload], Payload]:
    return lambda payload: payload.with_chunk(index, signature=flipped(payload.chunks[index].signature))


def wrong_data_of(index: int) -> Callable[[Payload], Payload]:
    return lambda payload: payload.with_chunk(index, data=mangled(payload.chunks[index].data))


def in_order(*order: int) -> Callable[[Payload], Payload]:
    """Six chunks, the last without data, in another order."""
    return lambda payload: payload.but(chunks=tuple(payload.chunks[index] for index in order))


def of_another_request(payload: Payload) -> Payload:
    """Chunks signed after another request's signature."""
    authorization = payload.head.header("authorization")
    other = payload.head.with_changed("authorization", lambda _: flipped(authorization))
    return chained_anew(payload, other, CLIENT_SECRET)


def of_another_secret(payload: Payload) -> Payload:
    return chained_anew(payload, payload.head, "another-fake-secret")


def chained_anew(payload: Payload, seed: Raw, secret: str) -> Payload:
    data = b"".join(chunk.data for chunk in payload.chunks)
    upload = Upload(payload.mode, data, sizes=(len(payload.chunks[0].data),), trailers=payload.trailers)
    return upload.chained(payload.head, signer_for(seed, secret))


def declared(change: int) -> Callable[[Upload], Upload]:
    return lambda upload: upload.but(declared=str(len(upload.data) + change))


def declares(text: str) -> Callable[[Upload], Upload]:
    return lambda upload: upload.but(declared=text)


def without_the_third_chunk(upload: Upload) -> Upload:
    return upload.but(declared=str(len(upload.data) - upload.sizes[0]))


def only_in_a_header(upload: Upload, *headers: tuple[str, str]) -> Upload:
    return upload.but(checked=False).plus(*headers)


def with_header(name: str, value: str) -> Callable[[Upload], Upload]:
    return lambda upload: only_in_a_header(upload, (name, value))


def with_trailers(*trailers: tuple[str, str]) -> Callable[[Upload], Upload]:
    return lambda upload: upload.but(trailers=trailers)


def and_trailers(*more: tuple[str, str]) -> Callable[[Upload], Upload]:
    return lambda upload: upload.but(trailers=(checksum_field(upload.algorithm, upload.data), *more))


def changed_after_signing(payload: Payload) -> Payload:
    return payload.but(trailers=(checksum_field("CRC32", OTHER),))


def of_algorithm(algorithm: str) -> list[Wrong]:
    """Wrong checksums and values that are none, in the header and in the trailer."""
    name, wrong = checksum_name(algorithm), checksum_field(algorithm, OTHER)

    def trails(value: str) -> Callable[[Upload], Upload]:
        return lambda upload: upload.but(algorithm=algorithm, trailers=((name, value),))

    return [
        Wrong(f"wrong {algorithm} in a header", BAD_DIGEST, EVERY, with_header(*wrong)),
        Wrong(f"no {algorithm} in its header", INVALID_REQUEST, EVERY, with_header(name, "bm90IG9uZQ")),
        Wrong(f"wrong {algorithm} in the trailer", BAD_DIGEST, TRAILED, trails(wrong[1])),
        Wrong(f"no {algorithm} in its trailer", INVALID_REQUEST, TRAILED, trails("bm90IG9uZQ")),
    ]


HEADERS = [
    Wrong("wrong Content-MD5", BAD_DIGEST, EVERY, with_header("Content-MD5", md5(OTHER))),
    Wrong("no MD5 in Content-MD5", INVALID_DIGEST, EVERY, with_header("Content-MD5", "invalid")),
    Wrong("unknown algorithm", INVALID_REQUEST, EVERY, with_header("x-amz-checksum-bad", "AAAAAA==")),
    Wrong(
        "two checksum headers",
        INVALID_REQUEST,
        EVERY,
        lambda u: only_in_a_header(u, checksum_field("CRC32", u.data), checksum_field("SHA1", u.data)),
    ),
    Wrong(
        "another algorithm than x-amz-sdk-checksum-algorithm says",
        INVALID_REQUEST,
        EVERY,
        lambda u: only_in_a_header(u, checksum_field("CRC32", u.data), ("x-amz-sdk-checksum-algorithm", "SHA256")),
    ),
    Wrong(
        "trailer announced for a plain body",
        MALFORMED_TRAILER,
        (*PLAIN, HMAC),
        lambda u: u.but(announced="x-amz-checksum-crc32"),
    ),
    Wrong("wrong hash", CONTENT_MISMATCH, (HEX,), becomes=wrong_data_of(0)),
    Wrong(
        "wrong hash and wrong checksum",
        CONTENT_MISMATCH,
        (HEX,),
        lambda u: u.plus(checksum_field("CRC32", OTHER)),
        wrong_data_of(0),
    ),
    Wrong("body cut short", CONTENT_MISMATCH, (HEX,), octets=lambda body: body[:-1]),
    Wrong("body that goes on", CONTENT_MISMATCH, (HEX,), octets=lambda body: body + b"!"),
]

SIGNATURES = [
    Wrong("signature of the first chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_signature_of(0)),
    Wrong("signature of a middle chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_signature_of(2)),
    Wrong("signature of the last chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_signature_of(4)),
    Wrong("signature of the zero chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_signature_of(5)),
    Wrong("data of the first chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_data_of(0)),
    Wrong("data of a middle chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_data_of(2)),
    Wrong("data of the last chunk", WRONG_SIGNATURE, SIGNED, becomes=wrong_data_of(4)),
    Wrong("chunks exchanged", WRONG_SIGNATURE, SIGNED, becomes=in_order(0, 2, 1, 3, 4, 5)),
    Wrong("chunk replayed", WRONG_SIGNATURE, SIGNED, becomes=in_order(0, 1, 1, 3, 4, 5)),
    Wrong("chunk left out", WRONG_SIGNATURE, SIGNED, without_the_third_chunk, in_order(0, 1, 3, 4, 5)),
    Wrong("chunks of another request", WRONG_SIGNATURE, SIGNED, becomes=of_another_request),
    Wrong("chunks of another key", WRONG_SIGNATURE, SIGNED, becomes=of_another_secret),
    Wrong("unsigned first chunk", INCOMPLETE, SIGNED, becomes=lambda p: p.with_chunk(0, signature=None)),
    Wrong("unsigned zero chunk", INCOMPLETE, SIGNED, becomes=lambda p: p.with_chunk(5, signature=None)),
    Wrong(
        "signed chunk in an unsigned body",
        INCOMPLETE,
        (UNSIGNED,),
        becomes=lambda p: p.with_chunk(0, signature="a" * 64),
    ),
]

TRAILERS = [
    Wrong(
        "signature of the trailer",
        WRONG_SIGNATURE,
        (HMAC_TRAILER,),
        becomes=lambda p: p.but(trailer_signature=flipped(p.trailer_signature)),
    ),
    Wrong("trailer changed after signing", WRONG_SIGNATURE, (HMAC_TRAILER,), becomes=changed_after_signing),
    Wrong("trailer removed after signing", WRONG_SIGNATURE, (HMAC_TRAILER,), becomes=lambda p: p.but(trailers=())),
    Wrong("unsigned trailer", INCOMPLETE, (HMAC_TRAILER,), becomes=lambda p: p.but(trailer_signature=None)),
    Wrong(
        "signed trailer in an unsigned body",
        MALFORMED_TRAILER,
        (UNSIGNED,),
        becomes=lambda p: p.but(trailer_signature="a" * 64),
    ),
    Wrong("trailer missing", MALFORMED_TRAILER, TRAILED, with_trailers()),
    Wrong("trailer too many", MALFORMED_TRAILER, TRAILED, and_trailers(("bonus", "trailer"))),
    Wrong(
        "trailer undeclared",
        MALFORMED_TRAILER,
        TRAILED,
        lambda u: u.but(checked=False, trailers=(checksum_field("CRC32", u.data),)),
    ),
    Wrong(
        "trailer other than declared",
        MALFORMED_TRAILER,
        TRAILED,
        lambda u: u.but(trailers=(checksum_field("CRC32C", u.data),)),
    ),
    # AWS takes the last of two.
    Wrong(
        "trailer twice (stricter than AWS)",
        MALFORMED_TRAILER,
        TRAILED,
        lambda u: u.but(trailers=(checksum_field("CRC32", u.data),) * 2),
    ),
    Wrong("trailer that is no field", MALFORMED_TRAILER, TRAILED, with_trailers(("", "nameless"))),
    Wrong(
        "trailer declared that is no checksum",
        INVALID_REQUEST,
        TRAILED,
        lambda u: u.but(announced="x-amz-meta-a", trailers=(("x-amz-meta-a", "b"),)),
    ),
    Wrong(
        "two trailers declared",
        INVALID_REQUEST,
        TRAILED,
        lambda u: u.but(announced="x-amz-checksum-crc32,x-amz-checksum-sha1"),
    ),
    Wrong(
        "checksum in header and trailer", INVALID_REQUEST, TRAILED, lambda u: u.plus(checksum_field("CRC32", u.data))
    ),
    Wrong(
        "two algorithms in header and trailer",
        INVALID_REQUEST,
        TRAILED,
        lambda u: u.plus(checksum_field("SHA1", u.data)),
    ),
    Wrong(
        "more trailers than the bound", MALFORMED_TRAILER, TRAILED, and_trailers(*((f"x-{n}", "v") for n in range(8)))
    ),
    Wrong("trailer longer than the bound", MALFORMED_TRAILER, TRAILED, and_trailers(("x-long", "v" * 1024))),
]

FRAMING = [
    Wrong("more declared than sent", INCOMPLETE, CHUNKED, declared(+1)),
    Wrong("less declared than sent", INCOMPLETE, CHUNKED, declared(-1)),
    Wrong("nothing declared", NO_LENGTH, CHUNKED, declares("")),
    Wrong("no number declared", NO_LENGTH, CHUNKED, declares("12x")),
    Wrong(
        "no zero chunk",
        INCOMPLETE,
        CHUNKED,
        becomes=lambda p: p.but(chunks=p.chunks[:-1], trailers=(), trailer_signature=None, end=b""),
    ),
    Wrong("cut in the middle of a chunk", INCOMPLETE, CHUNKED, octets=lambda body: body[: len(body) // 2]),
    Wrong("cut before the first octet", INCOMPLETE, CHUNKED, octets=lambda body: b""),
    Wrong("cut before the last CRLF", INCOMPLETE, CHUNKED, becomes=lambda p: p.but(end=b"")),
    # AWS reads no further than the end.
    Wrong("octets after the end (stricter than AWS)", INCOMPLETE, CHUNKED, octets=lambda body: body + b"more"),
    Wrong("no CRLF after a chunk's data", INCOMPLETE, CHUNKED, becomes=lambda p: p.with_chunk(1, after=b"")),
    Wrong("LF alone after a chunk's data", INCOMPLETE, CHUNKED, becomes=lambda p: p.with_chunk(1, after=b"\n")),
    Wrong("no number as a chunk's size", INCOMPLETE, CHUNKED, becomes=lambda p: p.with_chunk(1, size="size")),
    Wrong("negative size", INCOMPLETE, CHUNKED, becomes=lambda p: p.with_chunk(1, size="-1")),
    Wrong("chunk smaller than it says", INCOMPLETE, (UNSIGNED,), becomes=lambda p: p.with_chunk(4, size="321")),
    Wrong(
        "chunk's header longer than the bound",
        INCOMPLETE,
        CHUNKED,
        becomes=lambda p: p.with_chunk(0, size="0" * 300 + "a"),
    ),
    Wrong("endless chunk", INCOMPLETE, (UNSIGNED,), becomes=lambda p: p.with_chunk(0, size="f" * 16)),
    Wrong("signed chunk that says it is endless", TOO_LARGE, SIGNED, becomes=lambda p: p.with_chunk(0, size="f" * 16)),
    Wrong(
        "signed chunk larger than max_chunk",
        TOO_LARGE,
        SIGNED,
        lambda u: u.but(data=u.data * 40, sizes=(MAX_CHUNK + 1,)),
    ),
    Wrong("body that is not chunked at all", INCOMPLETE, CHUNKED, octets=lambda body: OTHER * 400),
]

CASES: Sequence[Wrong] = [
    *(case for name in CHECKSUMS for case in of_algorithm(name)),
    *HEADERS,
    *SIGNATURES,
    *TRAILERS,
    *FRAMING,
]


def cases(*modes: str) -> list[tuple[str, Wrong]]:
    """Each mode with each way to be wrong that it knows."""
    return [(mode, case) for mode in modes for case in CASES if mode in case.modes]


def case_id(value: object) -> str | None:
    """For pytest."""
    return value.name if isinstance(value, Wrong) else None
