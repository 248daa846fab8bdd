"""What a store says of the gateway's own signature is none of the client's business.

Where a store refuses the gateway's credentials, its error document quotes them: the backend's access key, the string
to sign, the canonical request with the backend's names, a session token. All of that is blotted out, at its length, so
that nothing else of the answer changes; code and message stay. The signature, session token or bearer token that the
gateway has sent are so wherever they stand, in whatever words. Documents with a content coding are decoded before; in
the place of what cannot be decoded there is a document of the gateway's own.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

FIRST_STATUS: Final = 400
"""From this status on an answer is a refusal: stores differ in those that they give."""
LONGEST_DECODED: Final = 64 * 1024
"""No error document of a store is longer."""
QUOTED: Final = frozenset(
    {
        "AWSAccessKeyId",
        "CanonicalRequest",
        "CanonicalRequestBytes",
        "SignatureProvided",
        "StringToSign",
        "StringToSignBytes",
    }
)
"""The elements that quote them."""
_HEADER: Final = rb"ArgumentValue(?=>\s{0,64}(?:AWS4-|AWS |Bearer |Basic ))"
"""S3 quotes the whole of an `Authorization` header that it does not understand; other arguments are the client's."""
_ELEMENTS: Final = b"|".join([*[name.encode() for name in sorted(QUOTED)], rb"Token-[0-9]{1,3}", _HEADER])
_OPENING: Final = re.compile(rb"<((?:[\w.-]{1,64}:)?(?:%b))(?:\s[^>]{0,512})?>" % _ELEMENTS)
_PLAIN_CODINGS: Final = frozenset({"", "identity", "aws-chunked"})
_ZLIB_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_CODES: Final[Mapping[int, str]] = {400: "InvalidRequest", 401: "AccessDenied", 403: "AccessDenied", 404: "NoSuchKey"}
_OTHER_CODES: Final = ("InvalidRequest", "InternalError")
_LONGEST: Final = 1024
"""No opening tag is longer."""


def coding_of(written: str) -> str | None:
    """The content coding of a document that has to be decoded before it can be looked into; None where it has none."""
    coding = written.strip().lower()
    return None if coding in _PLAIN_CODINGS else coding


class DecodedRefusal:
    """An error document without its content coding; it is held until it is complete."""

    def __init__(self, coding: str, status: int) -> None:
        """`coding` is what the answer says that it has."""
        self._status = status
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if coding in _ZLIB_CODINGS else None
        self._document = b""
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        """One more piece; nothing comes out before the end."""
        self._fed = self._fed or bool(data)
        if self._inflate is None or self._inflate.eof:
            return b""
        try:
            self._document += self._inflate.decompress(data, LONGEST_DECODED + 1 - len(self._document))
        except zlib.error:
            self._inflate = None
        if len(self._document) > LONGEST_DECODED:
            self._inflate, self._document = None, b""
        return b""

    def finish(self) -> bytes:
        """The document, or in its place one that only says what the status says."""
        if self._inflate is not None and self._inflate.eof:
            return self._document
        return self._own() if self._fed else b""

    def _own(self) -> bytes:
        code = _CODES.get(self._status, _OTHER_CODES[self._status >= 500])
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
            "<Message>The store refused the request.</Message></Error>"
        ).encode()


class QuoteMask:
    """Goes over a document as it comes; what comes out has the same length."""

    def __init__(self, found: Callable[[], None]) -> None:
        """`found` is called once, where there is anything to be blotted out."""
        self._found: Callable[[], None] | None = found
        self._held = b""
        self._closing = b""

    def feed(self, data: bytes) -> bytes:
        """One more piece; a part of it, which may be the beginning of a tag, comes out with the next one."""
        self._held += data
        return self._ready(final=False)

    def finish(self) -> bytes:
        """The rest."""
        return self._ready(final=True)

    def _ready(self, *, final: bool) -> bytes:
        out = []
        while self._held:
            piece = self._blotted(final) if self._closing else self._plain(final)
            if piece is None:
                break
            out.append(piece)
        return b"".join(out)

    def _plain(self, final: bool) -> bytes | None:
        opening = _OPENING.search(self._held)
        if opening is not None:
            self._closing = b"</" + opening[1]
            if self._found is not None:
                self._found()
                self._found = None
            return self._taken(opening.end())
        begins = -1 if final else self._held.rfind(b"<", max(0, len(self._held) - _LONGEST))
        return self._taken(len(self._held) if begins < 0 else begins)

    def _blotted(self, final: bool) -> bytes | None:
        end = self._held.find(self._closing)
        if end >= 0:
            self._closing = b""
            return b"*" * len(self._taken(end) or b"") + (self._taken(1) or b"")
        keep = 0 if final else len(self._closing) - 1
        taken = self._taken(max(0, len(self._held) - keep))
        return None if taken is None else b"*" * len(taken)

    def _taken(self, length: int) -> bytes | None:
        """So many octets of what is held; None where that would be none of them."""
        if not length:
            return None
        taken, self._held = self._held[:length], self._held[length:]
        return taken


Credentials = tuple[bytes, ...]
_SHORTEST: Final = 16
"""No signature and no token is shorter."""


def credentials_in(fields: Iterable[tuple[bytes, bytes]]) -> Credentials:
    """What of the headers of a request to a store nobody else is to know: its signature or token, and the session's.

    The access key is not among them: it is a name.
    """
    found = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"authorization":
            found.append(value[value.rfind(b"=" if b"Signature=" in value else b" ") + 1 :])
        elif lower == b"x-amz-security-token":
            found.append(value)
    return tuple([one for one in found if len(one) >= _SHORTEST])


def _spellings(credential: bytes) -> tuple[bytes, ...]:
    """As documents and addresses spell it: in JSON, in XML, in a query."""
    return (credential,) if credential.isalnum() else _spelled(credential)  # no signature need be kept


@lru_cache(maxsize=256)
def _spelled(credential: bytes) -> tuple[bytes, ...]:
    text = credential.decode("latin-1")
    spelled = (text, text.replace("/", r"\/"), escape(text), quote(text, safe=""), quote(text, safe="/"))
    return tuple(dict.fromkeys(one.encode("latin-1") for one in spelled))


def without_credentials(
    fields: tuple[tuple[bytes, bytes], ...], credentials: Credentials
) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of an answer, with credentials blotted out: the very same object where there are none."""
    spellings = [spelling for credential in credentials for spelling in _spellings(credential)]
    told = b"\n".join([value for _, value in fields])
    if not any(spelling in told for spelling in spellings):
        return fields
    return tuple([(name, _blotted_out(value, spellings)) for name, value in fields])


def _blotted_out(octets: bytes, spellings: Iterable[bytes]) -> bytes:
    for spelling in spellings:
        octets = octets.replace(spelling, b"*" * len(spelling))
    return octets


class CredentialMask:
    """Goes over a document as it comes, whatever is written in it; what comes out has the same length."""

    def __init__(self, credentials: Credentials, found: Callable[[], None]) -> None:
        """`found` is called once, where there is anything to be blotted out."""
        self._spellings = sorted((s for c in credentials for s in _spellings(c)), key=len, reverse=True)
        self._keep = len(self._spellings[0]) - 1 if self._spellings else 0
        self._found: Callable[[], None] | None = found
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """One more piece; its end, which may be the beginning of a credential, comes out with the next one."""
        seen = self._held + data
        masked = _blotted_out(seen, self._spellings)
        if masked != seen and self._found is not None:
            self._found()
            self._found = None
        ready = max(0, len(masked) - self._keep)
        self._held = masked[ready:]
        return masked[:ready]

    def finish(self) -> bytes:
        """The rest."""
        held, self._held = self._held, b""
        return held
