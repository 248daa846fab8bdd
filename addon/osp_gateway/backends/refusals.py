"""What a store says of the gateway's own signature is none of the client's business.

Where a store refuses the gateway's credentials, its error document quotes them: the backend's access key, the string
to sign, the canonical request with the backend's names, a session token. All of that is blotted out, at its length, so
that nothing else of the answer changes; code and message stay. Documents with a content coding are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

STATUSES: Final = frozenset({400, 401, 403})
QUOTED: Final = frozenset(
    {
        "AWSAccessKeyId",
        "CanonicalRequest",
        "CanonicalRequestBytes",
        "SignatureProvided",
        "StringToSign",
        "StringToSignBytes",
        "Token-0",
    }
)
"""The elements that quote them."""
_OPENING: Final = re.compile(rb"<((?:[\w.-]{1,64}:)?(?:%b))(?:\s[^>]{0,512})?>" % "|".join(QUOTED).encode())
_LONGEST: Final = 1024
"""No opening tag is longer."""


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
