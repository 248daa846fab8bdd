"""What is done to one request, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from osp_gateway.s3.errors import S3Error

BEFORE_THE_HEAD: Final = -1


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules can tell requests apart by. `region` is that of the credential scope, empty where there is none."""

    operation: str
    bucket: str
    key: str
    identity: str
    region: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A moment of a message: more than `after` octets of its body have come (`BEFORE_THE_HEAD`: its head has).

    `ends`: the message ends there.
    """

    stream: Literal["downstream", "upstream"]
    after: int
    ends: bool = False


When = Reached | Literal["at once", "etag", "part"]
"""When a fault happens: at once; when an answer with an ETag, or what is told of a part, goes to the client."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that a request has: which rule it is from, of which type, and what it does, for people.

    Until `when` it may turn out not to happen at all: an octet cannot be corrupted that does not come.
    """

    rule: str
    type: str
    text: str
    number: int = 0
    when: When = "at once"

    def __str__(self) -> str:
        return f"fault {self.rule}: {self.text}"

    @property
    def told(self) -> Mapping[str, str]:
        """As data."""
        return {"rule": self.rule, "type": self.type, "text": self.text}


@dataclass(frozen=True, slots=True)
class Slices:
    """Pieces of `size` octets, give or take `variation`, `delay` seconds apart."""

    size: int
    variation: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """The connection ends after so many octets of the body (`BEFORE_THE_HEAD`: with nothing), `delay` seconds later."""

    after: int
    delay: float
    how: Literal["close", "reset"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a message passes in one direction.

    `latency` and `closing` are in seconds, before its head and before its end; `rate` in octets a second; `corrupt`
    are the numbers of octets that have another bit.
    """

    latency: float = 0.0
    rate: float | None = None
    slices: Slices | None = None
    corrupt: tuple[int, ...] = ()
    ending: Ending | None = None
    closing: float = 0.0

    def has(self, moment: Reached, octets: int) -> bool:
        """Whether a message whose head and so many octets have come has been at a moment; none is after its end."""
        if self.ending is not None and not moment.ends and moment.after != BEFORE_THE_HEAD:
            octets = min(octets, self.ending.after)
        return octets > moment.after


PLAIN: Final = Way()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is done to a request: instead of the store's answer there is an `answer`, or the other parts.

    `lost`: the store never sees it, and its client is told that it did. `unanswered`: the other way round. The answer's
    Date is off by `skew` seconds. `seed` is for what is random while it goes by.
    """

    happened: tuple[Happened, ...]
    answer: S3Error | None = None
    down: Way = PLAIN
    up: Way = PLAIN
    wrong_etag: bool = False
    lost: bool = False
    unanswered: bool = False
    skew: float = 0.0
    seed: str = field(default="", repr=False)

    @property
    def without_store(self) -> bool:
        """Whether what the client is told is not what a store has answered."""
        return self.answer is not None or self.lost or self.unanswered
