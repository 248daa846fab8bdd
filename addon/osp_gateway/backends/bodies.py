"""How a request's body goes to the backend: as it came, chunk by chunk with other signatures, or decoded.

Many stores know neither aws-chunked bodies nor trailers. Towards them a body is decoded, checked, and sent plain: a
small one is held whole, so that its hash can be signed and its trailing checksum can go as a header; a larger one
streams as UNSIGNED-PAYLOAD, checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from osp_gateway.backends.routes import ApiKey, Credentials, Destination, Endpoint, PayloadMode
from osp_gateway.backends.signers import KeySigner
from osp_gateway.limits import DEFAULT_LIMITS, Limits
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header
from osp_gateway.sigv4.aws_chunked import MODES, Mode
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.checksums import ALGORITHMS, CONTENT_MD5, PREFIX, SDK_ALGORITHM, TRAILER, BodyChecks
from osp_gateway.sigv4.chunk_signing import ChunkChain
from osp_gateway.sigv4.chunked_codecs import (
    DECODED_LENGTH,
    Announcement,
    ChunkLimits,
    DecodingCodec,
    PassingCodec,
    PlainChecksumCodec,
    ResigningCodec,
)
from osp_gateway.sigv4.payload import BodyCodec, HeldBody, codec_for
from osp_gateway.sigv4.sign import Signed

_OBJECT_CHECKSUMS: Final = frozenset({"CompleteMultipartUpload"})
"""Operations whose checksum headers are about the object that comes into being, not about their own body."""
_CODING_HEADERS: Final = frozenset({"content-encoding", "content-length", DECODED_LENGTH, TRAILER})
_CHECK_HEADERS: Final = frozenset({TRAILER, CONTENT_MD5})

Signer = Callable[[list[Header], str], Signed]
"""Signs headers for the backend with the given payload hash."""


@dataclass(frozen=True, slots=True)
class BodyRequest:
    """What decides about a body's way.

    Args:
        payload_hash: the client's `x-amz-content-sha256`, or what stands for it.
        fields: the client's header values by lower-case name.
        operation: S3's name of the operation.
        client_chain: makes the chain of the client's chunk signatures, of the kind `hmac` or `ecdsa`.
        hold: octets of a body that must be had whole before anything is sent; None where there is no need.
        limits: how large chunks may be, and bodies that are held whole.
    """

    payload_hash: str
    fields: Mapping[str, list[str]]
    operation: str
    client_chain: Callable[[str], ChunkChain]
    hold: int | None = None
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """A codec for the client's body, and the head that goes before what it releases.

    `compose` gives the headers for the backend, signed. It must be called when the codec releases its first octets,
    or has finished, and not before: what is signed may depend on the body.
    """

    codec: BodyCodec
    compose: Callable[[], tuple[Header, ...]] = field(repr=False)
    measured: bool
    """Whether the body's length is known from its head."""


@dataclass(frozen=True, slots=True)
class BodyRecipe:
    """What a plan is made of, to make it more than once; see `plan_body` for the fields."""

    request: BodyRequest = field(repr=False)
    headers: list[Header] = field(repr=False)
    mode: PayloadMode
    signer: Signer = field(repr=False)

    def plan(self) -> BodyPlan:
        """See `plan_body`."""
        return plan_body(self.request, self.headers, self.mode, self.signer)

    def moved(self, destination: Destination) -> BodyRecipe:
        """The recipe for the same request in another place."""
        host = ("host", destination.authority)
        headers = [host if header[0] == "host" else header for header in self.headers]
        signer = self.signer
        if isinstance(signer, KeySigner):
            signer = replace(
                signer, region=destination.region, service=destination.service, asymmetric=destination.asymmetric
            )
        return BodyRecipe(self.request, headers, self.mode, signer)


def plan_body(request: BodyRequest, headers: list[Header], mode: PayloadMode, signer: Signer) -> BodyPlan:
    """The way of a body to the backend.

    Args:
        request: the client's side.
        headers: the headers for the backend, not signed yet.
        mode: `same` or `plain`; see `resolve_mode`.
        signer: signs for the backend.

    Raises:
        S3Error: for a payload mode that does not exist or announcements that contradict each other.
    """
    chunked = MODES.get(request.payload_hash)
    if chunked is None:
        return _plain(request, headers, signer)
    if mode == "plain" or request.hold is not None:
        return _decoded(request, chunked, headers, signer)
    return _same(request, chunked, headers, signer)


def resolve_mode(
    mode: PayloadMode, endpoint: Endpoint, credentials: Credentials | None, *, asymmetric: bool = False
) -> PayloadMode:
    """`auto` is `same` towards AWS, `plain` elsewhere; without HMAC keys for the backend nothing can be re-signed.

    Nor can chunks be re-signed with an HMAC where the head's signature is `asymmetric`.
    """
    if credentials is None or isinstance(credentials, ApiKey) or asymmetric:
        return "plain"
    if mode != "auto":
        return mode
    return "same" if endpoint.is_aws else "plain"


def _plain(request: BodyRequest, headers: list[Header], signer: Signer) -> BodyPlan:
    codec = codec_for(request.payload_hash, request.fields)
    if "transfer-encoding" in request.fields:
        raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if _speak_of_checks(request.fields):
        checks = _checks(request)
        if checks or checks.announced:
            codec = PlainChecksumCodec(codec, checks)
    return BodyPlan(
        _held(codec, request.hold),
        lambda: tuple(signer(headers, request.payload_hash).headers),
        measured="content-length" in request.fields,
    )


def _decoded(request: BodyRequest, mode: Mode, headers: list[Header], signer: Signer) -> BodyPlan:
    announcement = Announcement.of_headers(request.payload_hash, request.fields)
    chain = request.client_chain(mode.signature) if mode.signature else None
    codec = DecodingCodec(announcement, chain, _limits(request))
    plain = [(name, value) for name, value in headers if name not in _CODING_HEADERS]
    plain += [("content-encoding", coding) for coding in _other_codings(request.fields)]
    plain.append(("content-length", str(announcement.length)))

    def compose() -> tuple[Header, ...]:
        if not codec.held_whole:
            # S3 wants the algorithm's name only together with the checksum, which comes too late here.
            unchecked = [header for header in plain if header[0] != SDK_ALGORITHM]
            return tuple(signer(unchecked, UNSIGNED_PAYLOAD).headers)
        checksums = [(name, value) for name, value in codec.trailers if name in ALGORITHMS]
        return tuple(signer([*plain, *checksums], codec.sha256 or UNSIGNED_PAYLOAD).headers)

    return BodyPlan(_held(codec, request.hold), compose, measured=True)


def _same(request: BodyRequest, mode: Mode, headers: list[Header], signer: Signer) -> BodyPlan:
    announcement = Announcement.of_headers(request.payload_hash, request.fields)
    if "content-length" not in request.fields:
        headers = [*headers, ("transfer-encoding", "chunked")]
    signed = signer(headers, request.payload_hash)
    codec: BodyCodec
    if mode.signature is None:
        codec = PassingCodec(announcement, _limits(request))
    else:
        codec = ResigningCodec(
            announcement, request.client_chain(mode.signature), _backend_chain(signed), _limits(request)
        )
    return BodyPlan(codec, lambda: tuple(signed.headers), measured=True)


def _backend_chain(signed: Signed) -> ChunkChain:
    if signed.chain is None:
        raise S3Error.internal("a chunk chain without a signed head")
    return signed.chain()


def _limits(request: BodyRequest) -> ChunkLimits:
    # Small chunks are for the store to judge: AWS refuses them, others take them.
    limits = request.limits
    return ChunkLimits(hold=request.hold or limits.hold, max_chunk=limits.max_chunk, min_chunk=0)


_OF_THE_ANSWER: Final = f"{PREFIX}mode"


def _held(codec: BodyCodec, hold: int | None) -> BodyCodec:
    return codec if hold is None else HeldBody(codec, hold)


def _speak_of_checks(fields: Mapping[str, list[str]]) -> bool:
    # Each GET of an SDK has the mode, which speaks of the answer: 7 us of 97 for a decision.
    return not _CHECK_HEADERS.isdisjoint(fields) or any(n.startswith(PREFIX) and n != _OF_THE_ANSWER for n in fields)


def _checks(request: BodyRequest) -> BodyChecks:
    if request.operation in _OBJECT_CHECKSUMS:
        return BodyChecks.of_headers({CONTENT_MD5: request.fields.get(CONTENT_MD5, [])})
    return BodyChecks.of_headers(request.fields)


def _other_codings(fields: Mapping[str, list[str]]) -> list[str]:
    """The content codings of the object itself."""
    codings = [coding.strip() for value in fields.get("content-encoding", ()) for coding in value.split(",")]
    kept = [coding for coding in codings if coding and coding.lower() != "aws-chunked"]
    return [",".join(kept)] if kept else []
