"""The search for secrets finds them in each spelling, so that a test which finds none can fail."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest

from support.leaks import leaks

SECRET = b'fake/secret+with="all"&<kinds>~of?signs\\in it'
OTHER = b"another-fake-secret-that-is-not-there"


def text(secret: bytes) -> str:
    return secret.decode()


WRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "URL-encoded": lambda secret: quote(secret, safe="").encode(),
    "URL-encoded, with slashes": lambda secret: quote(secret).encode(),
    "URL-encoded, blanks as plus": lambda secret: quote_plus(secret).encode(),
    "URL-encoded, lower case": lambda secret: "".join(
        chr(octet) if chr(octet).isalnum() or octet in b"_.-~" else f"%{octet:02x}" for octet in secret
    ).encode(),
    "URL-encoded twice": lambda secret: quote(quote(secret, safe=""), safe="").encode(),
    "hex": lambda secret: secret.hex().encode(),
    "HEX": lambda secret: secret.hex().upper().encode(),
    "JSON": lambda secret: json.dumps({"a": text(secret)}).encode(),
    "JSON with slashes escaped": lambda secret: json.dumps(text(secret)).replace("/", "\\/").encode(),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"a": text(secret)})).encode(),
    "XML": lambda secret: escape(text(secret)).encode(),
    "XML attribute": lambda secret: escape(text(secret), {'"': "&quot;"}).encode(),
    **{f"base64 at {offset}": lambda secret, n=offset: base64.b64encode(b"x" * n + secret) for offset in range(3)},
    **{
        f"base64url at {offset}": lambda secret, n=offset: base64.urlsafe_b64encode(b"x" * n + secret).rstrip(b"=")
        for offset in range(3)
    },
    "base64, URL-encoded": lambda secret: quote(base64.b64encode(secret), safe="").encode(),
    "base64 within a document": lambda secret: base64.b64encode(b'{"a": "' + secret + b'", "b": "c"}'),
}


@pytest.mark.parametrize("spelling", WRITTEN)
def test_a_planted_secret_is_found(spelling: str) -> None:
    planted = b"what stands before... " + WRITTEN[spelling](SECRET) + b" ...and behind"
    assert leaks([SECRET, OTHER], planted) == [SECRET]


def test_nothing_is_found_where_nothing_is() -> None:
    marked = b"redacted-0123456789ab " + base64.b64encode(b"a body of an object") + b" fake/secret+with"
    assert leaks([SECRET, OTHER], marked) == []


def test_octets_that_are_no_text_are_looked_for_too() -> None:
    octets = bytes(range(120, 150))
    assert leaks([octets], b"..." + base64.b64encode(octets)) == [octets]
    assert leaks([octets.hex()], octets.hex().encode()) == [octets.hex().encode()]
