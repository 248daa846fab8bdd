"""What is fuzzed: one function for each parser that reads a client's octets before or while it is trusted.

Each takes any octets and returns, or raises for a defect: any exception but `S3Error` is one. They also assert what
the parsers promise: the same result however the octets are split, no more kept than stated, one spelling for one
resource, and errors that can be written as XML. Plain Python: `test_corpus` runs them over the seeds and simple
mutations, `scripts/fuzz` runs them under atheris.
"""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from fuzz.kept import kept_octets
from osp_gateway.observe.clean import masked_target
from osp_gateway.redaction import Redactor
from osp_gateway.s3 import address, encoding
from osp_gateway.s3.batch import MAX_BODY_OCTETS, MAX_OBJECTS, read_delete
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import FormReader, boundary_of
from osp_gateway.s3.form import Limits as FormLimits
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.s3.operations import OperationTable
from osp_gateway.sigv4 import claims, policy, verify
from osp_gateway.sigv4.aws_chunked import MODES
from osp_gateway.sigv4.checksums import BodyChecks
from osp_gateway.sigv4.chunk_signing import ChunkChain, HmacChain
from osp_gateway.sigv4.chunked_codecs import (
    Announcement,
    ChunkLimits,
    DecodingCodec,
    PassingCodec,
    PlainChecksumCodec,
    ResigningCodec,
)
from osp_gateway.sigv4.form_codec import PostForm
from osp_gateway.sigv4.keys import KeyPair, SigningKeys, derive_signing_key, signature
from osp_gateway.sigv4.payload import BodyCodec, codec_for
from osp_gateway.sigv4.presigned import hoisted_headers, without_authentication
from support.oracle import NOW

Target = Callable[[bytes], None]

HOST = "gateway.example.test"
PAIR = KeyPair("client-fake-key", "client-fake-secret")
BACKEND = KeyPair("backend-fake-key", "backend-fake-secret")
REGION = "us-east-1"
DATE = "20260101T120000Z"
SCOPE = f"{DATE[:8]}/{REGION}/s3/aws4_request"
SEED = "5eed" * 16
BUCKET = "bucket"

OVERHEAD = 24 * 1024
"""What a codec's own objects may take beside the octets that it holds."""


def authorization(data: bytes) -> None:
    """A head: `METHOD target`, then headers; by a signature in its Authorization header, if any."""
    _judge_head(_head(data))


def presigned(data: bytes) -> None:
    """A query, then headers: of a presigned URL."""
    first, _, rest = data.decode("latin-1").partition("\n")
    _judge_head(RequestHead("GET", "/bucket/key", first, (("host", HOST), *_headers(rest))))


def addresses(data: bytes) -> None:
    """A head: where it leads, its query, what operation it is, and the `x-amz-*` headers of its body."""
    head = _head(data)
    with _refusals():
        head.refuse_ambiguity()
    with _refusals():
        resource = address.locate(head.path, head.get("host") or "", ("s3.example.test", "example.test"))
        _assert_one_spelling(resource)
        pairs = _query(head)
        assert encoding.parse_query(encoding.join_query(pairs)) == pairs
        _operations().name(head.method, resource, without_authentication(pairs), head.fields)
    for read in (PostForm.of_head, _announcement, _plain_codec):
        with _refusals():
            read(head)


def delete_objects(data: bytes) -> None:
    """The body of DeleteObjects."""
    with _refusals():
        names = read_delete(data).objects
        assert 1 <= len(names) <= MAX_OBJECTS
        assert all(name.key for name in names)
        assert sum(len(name.key) for name in names) <= len(data) <= MAX_BODY_OCTETS


def post_policy(data: bytes) -> None:
    """`name=value` lines, an empty line, a policy document: as a form with a right signature."""
    lines, _, document = data.partition(b"\n\n")
    pairs = [tuple(line.split("=", 1)) for line in lines.decode("utf-8", "replace").split("\n") if "=" in line]
    text = base64.b64encode(document).decode()
    signed = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{PAIR.access_key}/{SCOPE}",
        "x-amz-date": DATE,
        "policy": text,
        "x-amz-signature": signature(derive_signing_key(PAIR.secret_key, DATE[:8], REGION, "s3"), text),
    }
    unique = {name.lower(): (name, value) for name, value in (*signed.items(), *pairs)}
    with _refusals():
        fields = policy.Fields(tuple(unique.values()), "name.txt")
        claim = policy.read_claim(fields, NOW)
        policy.verify(claim, PAIR.secret_key, _KEYS)
        upload = policy.check(claim, fields, BUCKET, NOW)
        assert 0 < len(upload.key.encode()) <= address.MAX_KEY_OCTETS
        assert not {name.lower() for name, _ in upload.pairs} & {"policy", "x-amz-signature", "key", "bucket"}


def post_form(data: bytes) -> None:
    """A Content-Type in the first line, then the form; read alone and on its way to the backend."""
    first, _, body = data.partition(b"\n")
    content_type = first.decode("latin-1")
    with _refusals():
        boundary = boundary_of(content_type)
        _assert_same_however_split(lambda pieces: _read_form(boundary, pieces), body)
    _assert_same_however_split(lambda pieces: _forward_form(content_type, len(body), pieces), body)


def chunked(data: bytes) -> None:
    """`mode codec length trailer hold max_chunk chain` in the first line, then an aws-chunked body.

    The codec is decode, pass or re-sign; the chain `trust` takes every signature, any other checks them.
    """
    first, _, body = data.partition(b"\n")
    words = [*first.decode("latin-1").split(" "), *[""] * 7][:7]
    mode, kind, length, trailer, hold, max_chunk, trust = words
    fields = {"x-amz-decoded-content-length": [length], **({"x-amz-trailer": [trailer]} if trailer else {})}
    limits = ChunkLimits(hold=_number(hold), max_chunk=_number(max_chunk), min_chunk=0)

    def make() -> BodyCodec:
        return _chunked_codec(mode, kind, fields, limits, trusting=trust == "trust")

    if mode in MODES:
        stated = max(limits.hold, limits.max_chunk if MODES[mode].signature else 0) + OVERHEAD
        _assert_same_however_split(lambda pieces: _run_codec(make, pieces, stated), body)


def masking(data: bytes) -> None:
    """A head, an empty line, a body: what people may see of them; what is masked is so once and for all."""
    lines, _, body = data.partition(b"\n\n")
    head = _head(lines)
    target = f"{head.path}?{head.query}".encode("latin-1")
    for mask, plain in ((_REDACTOR.fields, _octets(head.headers)), (_REDACTOR.target, target)):
        masked = mask(plain)
        assert mask(masked) == masked
    scrub = _REDACTOR.scrubber(head)
    scrub(masked_target(target.decode("latin-1")))
    scrub(body.decode("utf-8", "replace"))
    _REDACTOR.raw_head(lines)
    _REDACTOR.request_body(head, body)
    for from_store in (True, False):
        _REDACTOR.answer_body(body, from_store)


def plain_body(data: bytes) -> None:
    """Header lines, an empty line, a body that is not aws-chunked."""
    lines, _, body = data.partition(b"\n\n")
    head = RequestHead("PUT", "/bucket/key", "", _headers(lines.decode("latin-1")))
    stated = 64 * 1024 + OVERHEAD
    _assert_same_however_split(lambda pieces: _run_codec(lambda: _plain_codec(head), pieces, stated), body)


TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        addresses,
        authorization,
        chunked,
        delete_objects,
        masking,
        plain_body,
        post_form,
        post_policy,
        presigned,
    )
}
"""By name, which is also that of their folder in `corpus`."""

_KEYS = SigningKeys()
_REDACTOR = Redactor(["x-internal-ticket"], key=b"a fake key")


class _refusals:
    """S3Errors are what a parser may raise; each can be shown to the client and to the operator."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, S3Error):
            return False
        assert_shown(error)
        return True


def assert_shown(error: S3Error) -> None:
    """The error goes into XML and into a log, whatever the client wrote."""
    error.document("/bucket/key", "fake-request-id").decode("utf-8")
    error.reason.encode("utf-8")


def split_of(data: bytes) -> list[bytes]:
    """The octets in pieces, the same ones each time: of one octet, of a few, of many."""
    chance = random.Random(zlib.crc32(data))
    longest = chance.choice((1, 3, 70, 5000)) if len(data) < 4000 else 5000
    pieces, place = [], 0
    while place < len(data):
        size = chance.randint(1, longest)
        pieces.append(data[place : place + size])
        place += size
    return pieces


Outcome = tuple[bytes, str]
"""What came out in the end, and the code of the error, if any."""


def _assert_same_however_split(run: Callable[[list[bytes]], Outcome], data: bytes) -> None:
    # Which of several errors is found first may depend on it: framing is read ahead of signatures within a piece.
    whole, split = run([data]), run(split_of(data))
    assert bool(whole[1]) == bool(split[1]), f"{whole[1] or 'accepted'} whole, {split[1] or 'accepted'} in pieces"
    if not whole[1]:
        assert whole[0] == split[0], "the output depends on how the input was split"


def _judge_head(head: RequestHead) -> None:
    with _refusals():
        query = _query(head)
        claim = claims.read(head, query, NOW)
        if claim is not None:
            assert claim.access_key
            assert claim.region
            path = _canonical_path(head)
            verify.verify(claim, head, path, PAIR.secret_key, _KEYS)
            hoisted_headers(without_authentication(query))


def _head(data: bytes) -> RequestHead:
    first, _, rest = data.decode("latin-1").partition("\n")
    method, _, target = first.partition(" ")
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, _headers(rest))


def _headers(text: str) -> tuple[Header, ...]:
    """As an HTTP parser hands them over: names are not empty, values are trimmed."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return tuple((name, value.strip(" \t")) for name, colon, value in pairs if name and colon)


def _query(head: RequestHead) -> tuple[encoding.Pair, ...]:
    """As `gateway` reads it."""
    try:
        return encoding.parse_query(head.query)
    except ValueError as error:
        raise S3Error("InvalidURI", "invalid percent-encoding") from error


def _canonical_path(head: RequestHead) -> str:
    try:
        return encoding.canonical_path(head.path)
    except ValueError as error:
        raise S3Error("InvalidURI", "invalid percent-encoding") from error


def _assert_one_spelling(resource: address.Resource) -> None:
    assert encoding.canonical_path(resource.canonical_path) == resource.canonical_path
    assert encoding.encode(resource.key.encode(), "/") == resource.canonical_key
    assert address.locate(resource.canonical_path, "", ()).canonical_path == resource.canonical_path or resource.bucket


def _octets(fields: Iterable[Header]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)


@cache
def _operations() -> OperationTable:
    return OperationTable.from_botocore()


def _announcement(head: RequestHead) -> Announcement | None:
    mode = head.get("x-amz-content-sha256") or ""
    return Announcement.of_headers(mode, head.fields) if mode in MODES else None


def _plain_codec(head: RequestHead) -> BodyCodec:
    codec = codec_for(head.get("x-amz-content-sha256") or "UNSIGNED-PAYLOAD", head.fields)
    return PlainChecksumCodec(codec, BodyChecks.of_headers(head.fields))


class _Trusting:
    """A chain under which every signature is right, so that fuzzing gets past the first chunk."""

    def sign(self, digest: str) -> str:
        return digest

    def sign_trailers(self, trailers: Iterable[tuple[str, str]]) -> str:
        return "0" * 64

    def verify(self, digest: str, signature: str) -> None:
        assert len(digest) == 64

    def verify_trailers(self, trailers: Iterable[tuple[str, str]], signature: str) -> None:
        assert all(name and value for name, value in trailers)


def _chain(pair: KeyPair) -> HmacChain:
    return HmacChain(derive_signing_key(pair.secret_key, DATE[:8], REGION, "s3"), DATE, SCOPE, SEED)


def _chunked_codec(
    mode: str, kind: str, fields: Mapping[str, list[str]], limits: ChunkLimits, *, trusting: bool
) -> BodyCodec:
    announcement = Announcement.of_headers(mode, fields)
    if MODES[mode].signature is None:
        return PassingCodec(announcement, limits) if kind == "pass" else DecodingCodec(announcement, None, limits)
    chain: ChunkChain = _Trusting() if trusting else _chain(PAIR)
    if kind == "decode":
        return DecodingCodec(announcement, chain, limits)
    return ResigningCodec(announcement, chain, _chain(BACKEND), limits)


def _number(text: str) -> int:
    """Up to 64 KiB, so that a bound on what is kept means something for small inputs, too."""
    return min(int(text), 65536) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _run_codec(make: Callable[[], BodyCodec], pieces: list[bytes], stated: int) -> Outcome:
    """Feed a codec; assert that it keeps no more than stated, and says the same error again."""
    sent = b""
    try:
        codec = make()
        for piece in pieces:
            sent += codec.feed(piece)
            if len(pieces) < 40:
                _assert_kept(codec, stated, piece)
        _assert_kept(codec, stated, b"")
        sent += codec.finish()
    except S3Error as error:
        assert_shown(error)
        return sent, error.code
    return sent, ""


def _assert_kept(codec: object, stated: int, fed: bytes) -> None:
    # A piece that was just fed may be kept as it is: half of it at least is the chunk's.
    kept = kept_octets(codec)
    assert kept <= stated + 2 * len(fed), f"{kept} octets are kept, {stated} are stated"


_FORM_LIMITS = FormLimits(fields=10, field=200, before=2000, after=300)


def _read_form(boundary: str, pieces: list[bytes]) -> Outcome:
    reader, file = FormReader(boundary, _FORM_LIMITS), b""
    stated = 2 * _FORM_LIMITS.before + _FORM_LIMITS.after + OVERHEAD
    try:
        for piece in pieces:
            file += reader.feed(piece)
            if len(pieces) < 40:
                assert kept_octets(reader) <= stated + len(piece)
        file += reader.feed(b"")
        reader.finish()
    except S3Error as error:
        assert_shown(error)
        return file, error.code
    assert reader.fields is not None
    assert reader.file_octets == len(file)
    return repr(reader.fields.pairs).encode() + file, ""


def _forward_form(content_type: str, length: int, pieces: list[bytes]) -> Outcome:
    sent = b""
    try:
        form = PostForm(content_type, str(length), _FORM_LIMITS)
        rest = iter(pieces)
        if not any(form.feed(piece) is not None for piece in rest):
            form.finish()
        form.claim(NOW)
        form.verify(None, BUCKET, NOW, _KEYS)
        headers, codec = form.forward(BACKEND, REGION, BUCKET, NOW, _KEYS, boundary="fake-boundary", hold=64)
        for piece in rest:
            sent += codec.feed(piece)
        sent += codec.finish()
        assert dict(headers)["content-length"] == str(len(sent))
    except S3Error as error:
        assert_shown(error)
        return sent, error.code
    return sent, ""
