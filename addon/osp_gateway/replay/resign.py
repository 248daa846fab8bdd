"""Recorded requests, signed freshly and in the way in which they were signed when they were recorded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from osp_gateway.replay.encode import checksum, chunked, chunked_length, speaks_of_body
from osp_gateway.replay.exchange import Content, Form, Payload, RecordedRequest, Stretch
from osp_gateway.replay.names import Kind, Names, is_completion
from osp_gateway.s3 import encoding
from osp_gateway.s3.form import KEY, closing, content_type_of, opening
from osp_gateway.s3.head import Header
from osp_gateway.sigv4.aws_chunked import MODES, Mode
from osp_gateway.sigv4.checksums import ALGORITHMS, TRAILER
from osp_gateway.sigv4.chunked_codecs import DECODED_LENGTH
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from osp_gateway.sigv4.form_codec import upstream_fields
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.policy import Upload
from osp_gateway.sigv4.sign import presign_query, sign_head

MUST_BE_SIGNED: Final = "x-amz-"
"""What begins so: S3 refuses presigned requests with such headers that their signature does not cover."""
_DROPPED: Final = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", DECODED_LENGTH})


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a key pair and the region of the credential scope."""

    pair: KeyPair = field(repr=False)
    region: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is sent: path and query, headers, and what makes its body, piece by piece."""

    target: str
    headers: list[Header] = field(repr=False)
    body: Callable[[], Iterator[bytes]] = field(repr=False)


class Resigner:
    """Signs recorded requests for one host."""

    def __init__(self, host: str, signers: Mapping[str, Signer], clock: Callable[[], float] = time.time) -> None:
        """Sign for a host.

        Args:
            host: the Host header.
            signers: who signs, by the identity that a request was recorded with; `""` for all others.
            clock: seconds since the epoch.
        """
        self._host = host
        self._signers = dict(signers)
        self._clock = clock
        self._keys = SigningKeys()

    def outgoing(self, request: RecordedRequest, identity: str, names: Names) -> Outgoing:
        """The request as it is sent now.

        Args:
            request: as recorded.
            identity: who sent it.
            names: of this run; checksums of bodies that are made up are learned.
        """
        request = names.in_request(request)
        if request.form is not None:
            return self._form(request, request.form, self._signer(identity) if request.signed else None)
        content = request.payload.again
        if request.payload.content:
            content = Payload.of(_current(request, names)).again
        headers = [("host", self._host), *self._headers(request, content, names)]
        signer = self._signer(identity) if request.signed else None
        mode = MODES.get(request.mode)
        if signer is None and request.mode:
            headers.append((CONTENT_SHA256, request.mode))
            mode = None if mode is None else replace(mode, signature=None)
        if mode is not None:
            trailers = _trailer_names(request)
            headers.append((DECODED_LENGTH, str(content.length)))
            length = chunked_length(content.length, mode, trailers)
        else:
            length = content.length
        if length or request.method in ("PUT", "POST"):
            headers.append(("content-length", str(length)))
        return self._signed(request, content, headers, mode, signer)

    def _signer(self, identity: str) -> Signer | None:
        return self._signers.get(identity) or self._signers.get("")

    def _form(self, request: RecordedRequest, form: Form, signer: Signer | None) -> Outgoing:
        """A form with a policy for exactly these fields."""
        pairs, boundary = list(form.pairs), secrets.token_hex(16)
        if signer is not None:
            upload = Upload(form.key, tuple(pair for pair in form.pairs if pair[0].lower() != KEY))
            pairs = upstream_fields(upload, signer.pair, signer.region, request.bucket, self._clock(), self._keys)
        start, end = opening(boundary, pairs, form.filename), closing(boundary)
        content = Content((Stretch(len(start), start), *request.payload.again.stretches, Stretch(len(end), end)))
        kept = [pair for pair in request.headers if pair[0] not in _DROPPED and pair[0] != "content-type"]
        framing = [("content-type", content_type_of(boundary)), ("content-length", str(content.length))]
        return Outgoing(request.path, [("host", self._host), *kept, *framing], content.pieces)

    def _signed(
        self,
        request: RecordedRequest,
        content: Content,
        headers: list[Header],
        mode: Mode | None,
        signer: Signer | None,
    ) -> Outgoing:
        target = request.path + ("?" + encoding.join_query(request.query) if request.query else "")
        trailers = _trailer_names(request)
        if signer is None:
            body = content.pieces if mode is None else lambda: chunked(content, trailers, None)
            return Outgoing(target, headers, body)
        if request.expires is not None:
            query = presign_query(
                method=request.method,
                host=self._host,
                path=request.path,
                query=request.query,
                headers=[pair for pair in headers if pair[0].startswith(MUST_BE_SIGNED)],
                expires=request.expires,
                pair=signer.pair,
                region=signer.region,
                now=self._clock(),
                keys=self._keys,
            )
            return Outgoing(f"{request.path}?{query}", headers, content.pieces)
        signed = sign_head(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            payload_hash=request.mode or content.sha256,
            pair=signer.pair,
            region=signer.region,
            now=self._clock(),
            keys=self._keys,
            asymmetric=mode is not None and mode.signature == "ecdsa",
        )
        if mode is None:
            return Outgoing(target, signed.headers, content.pieces)
        chain = signed.chain if mode.signature else None
        return Outgoing(
            target, signed.headers, lambda: chunked(content, trailers, chain() if chain is not None else None)
        )

    def _headers(self, request: RecordedRequest, content: Content, names: Names) -> list[Header]:
        kept = []
        for name, value in request.headers:
            if name in _DROPPED:
                continue
            of_body = speaks_of_body(name, value) and not (name in ALGORITHMS and is_completion(request))
            if of_body and request.payload.sha256 != content.sha256:
                new = checksum(name, content)
                names.learn(Kind.CHECKSUM, request.object, value, new)
                value = new
            kept.append((name, value))
        return kept


def _current(request: RecordedRequest, names: Names) -> bytes:
    """A body that names what the store has made up, with the names of this run; an object's stays what it is."""
    content = request.payload.content or b""
    if request.method == "POST" and content.lstrip().startswith(b"<"):
        return names.in_body(request, content)
    return content


def _trailer_names(request: RecordedRequest) -> list[str]:
    written = request.header(TRAILER) or ""
    return [name.strip().lower() for name in written.split(",") if name.strip()]
