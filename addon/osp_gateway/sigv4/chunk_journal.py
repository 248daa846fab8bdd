"""What was found in an aws-chunked body while it streamed, for people: bounded, and without signatures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from osp_gateway.sigv4.payload import BodyCodec, HeldBody

MAX_SIZES: Final = 256
"""Of so many chunks the sizes are kept."""


@dataclass(slots=True)
class ChunkJournal:
    """The chunks in their order: `sizes` of the first ones, in octets, and their `count`.

    The first `right` of them are complete and, where they are `signed`, have the right signature; `trailers_right` is
    whether that of the trailers was right. `complete` is whether all of the body, its checksums included, was found
    right; `error` what was wrong.
    """

    signed: bool
    sizes: list[int] = field(default_factory=list)
    count: int = 0
    right: int = 0
    trailers: tuple[tuple[str, str], ...] = ()
    trailers_right: bool = False
    complete: bool = False
    error: str = ""

    def opened(self, size: int) -> None:
        """A chunk begins."""
        self.count += 1
        if len(self.sizes) < MAX_SIZES:
            self.sizes.append(size)


def journal_of(codec: BodyCodec) -> ChunkJournal | None:
    """The journal that a codec keeps, if it is for aws-chunked bodies."""
    if isinstance(codec, HeldBody):
        codec = codec.inner
    journal = getattr(codec, "journal", None)
    return journal if isinstance(journal, ChunkJournal) else None
