"""Secrets, and the spellings in which they could have been written somewhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape as html_escape
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as xml_escape

Spelling = Callable[[bytes], Iterable[bytes]]
_SIGNATURES: Final = (
    rb"(?:Signature=|name=\"x-amz-signature\"\r\n\r\n|chunk-signature=|trailer-signature:)([0-9a-f]{64})",
    rb"AWS [^:\s]+:([A-Za-z0-9+/=]{20,})",
    rb"[?&]Signature=([A-Za-z0-9%]{20,})",
)


def signatures_in(octets: bytes) -> set[bytes]:
    """The signatures in requests, as they are on the wire."""
    return {found for pattern in _SIGNATURES for found in re.findall(pattern, octets)}


def leaks(secrets: Iterable[bytes | str], octets: bytes) -> list[bytes]:
    """The secrets that are to be found in there, however they are spelled."""
    plain = {secret.encode() if isinstance(secret, str) else secret for secret in secrets}
    return sorted({secret for secret in plain if any(spelled in octets for spelled in set(spellings(secret)))})


def spellings(secret: bytes) -> Iterator[bytes]:
    """What a secret looks like, wherever it stands in what was encoded."""
    for spelling in SPELLINGS.values():
        yield from spelling(secret)


def _text(secret: bytes) -> str:
    return secret.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _lowered(percent: str) -> str:
    """`%2F` as `%2f`."""
    first, *rest = percent.split("%")
    return "%".join([first, *[piece[:2].lower() + piece[2:] for piece in rest]])


def _url_encoded(secret: bytes) -> Iterator[bytes]:
    for once in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield once.encode()
        yield _lowered(once).encode()


def _url_encoded_twice(secret: bytes) -> Iterator[bytes]:
    for once in _url_encoded(secret):
        yield quote(once, safe="").encode()
        yield _lowered(quote(once, safe="")).encode()


def _hex(secret: bytes) -> Iterator[bytes]:
    yield secret.hex().encode()
    yield secret.hex().upper().encode()


def _base64(secret: bytes) -> Iterator[bytes]:
    """At each of three offsets, without the characters at both ends in which neighbours have a part."""
    for offset in range(3):
        inner = secret[(3 - offset) % 3 :]
        yield base64.b64encode(inner[: len(inner) // 3 * 3])


def _base64url(secret: bytes) -> Iterator[bytes]:
    for encoded in _base64(secret):
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def _base64_in_urls(secret: bytes) -> Iterator[bytes]:
    for encoded in _base64(secret):
        yield quote(encoded, safe="").encode()


def _json(secret: bytes) -> Iterator[bytes]:
    written = json.dumps(_text(secret))[1:-1]
    yield _encoded(written)
    yield _encoded(written.replace("/", "\\/"))
    yield _encoded(json.dumps(written)[1:-1])


def _xml(secret: bytes) -> Iterator[bytes]:
    text = _text(secret)
    yield _encoded(xml_escape(text))
    yield _encoded(xml_escape(text, {'"': "&quot;", "'": "&apos;"}))
    yield _encoded(html_escape(text))


SPELLINGS: Final[Mapping[str, Spelling]] = MappingProxyType(
    {
        "plain": lambda secret: (secret,),
        "URL-encoded": _url_encoded,
        "URL-encoded twice": _url_encoded_twice,
        "hex": _hex,
        "base64": _base64,
        "base64url": _base64url,
        "base64, URL-encoded": _base64_in_urls,
        "JSON": _json,
        "XML": _xml,
    }
)
