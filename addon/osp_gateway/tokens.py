"""JSON Web Tokens within something else: RFC 7519, parts in base64url of which the first begins like `{"`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

# Without a second part it matches as well, so that a search goes on behind what it has read: else as many `eyJ` in a
# row as fit into a body would be read again from each of them.
_PATTERN: Final = r"eyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?)?"
_IN_TEXT: Final = re.compile(_PATTERN)
_IN_OCTETS: Final = re.compile(_PATTERN.encode())


def replaced(text: str, mask: Callable[[str], str]) -> str:
    """`text` with each of its tokens as `mask` makes it."""
    if "eyJ" not in text:
        return text
    return _IN_TEXT.sub(lambda match: mask(match[0]) if match[1] else match[0], text)


def replaced_octets(octets: bytes, mask: Callable[[bytes], str]) -> bytes:
    """The same for octets."""
    if b"eyJ" not in octets:
        return octets
    return _IN_OCTETS.sub(lambda match: mask(match[0]).encode() if match[1] else match[0], octets)
