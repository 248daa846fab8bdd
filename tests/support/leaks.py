"""Secrets, and the forms in which they could have been written somewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus


def leaks(secrets: Iterable[bytes], octets: bytes) -> list[bytes]:
    """The secrets that are to be found in there: as they are, URL-encoded, or within something in base64."""
    return sorted({secret for secret in secrets if any(form in octets for form in forms(secret))})


def forms(secret: bytes) -> Iterator[bytes]:
    """What a secret looks like, wherever it stands in what was encoded."""
    yield secret
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    yield secret.hex().encode()
    for offset in range(3):
        # Without the characters at both ends in which neighbours have a part.
        inner = secret[(3 - offset) % 3 :]
        encoded = base64.b64encode(inner[: len(inner) // 3 * 3])
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
