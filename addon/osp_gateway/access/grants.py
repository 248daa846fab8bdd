"""Exceptions for one request each, which somebody who looks at the gateway makes by hand, for debugging.

An exception overrules an authorizer's denial, and that alone: the request has to be signed rightly, its bucket has to
be configured, and everything that comes after the authorizer is done as for any other request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

LIFE_SECONDS: Final = 600.0
MAX_GRANTS: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request is about: who it is from, as verdicts call them, operation, bucket and key."""

    who: str
    operation: str
    bucket: str
    key: str

    def __str__(self) -> str:
        """For people, in one line."""
        where = "/".join(part for part in (self.bucket, self.key) if part)
        return f"{self.who!r} {self.operation} {where!r}"


class Grants:
    """Exceptions that have not been used yet. They end after `LIFE_SECONDS`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._until: dict[Wanted, float] = {}

    def add(self, wanted: Wanted) -> None:
        """Let the next such request pass.

        Raises:
            ValueError: there are `MAX_GRANTS` that nobody has used.
        """
        now = self._clock()
        self._until = {one: until for one, until in self._until.items() if until > now}
        if len(self._until) >= MAX_GRANTS and wanted not in self._until:
            raise ValueError(f"there are {MAX_GRANTS} exceptions that have not been used")
        self._until[wanted] = now + LIFE_SECONDS
        log.warning("the next denied request %s passes ONCE, whatever the authorizer says", wanted)

    def take(self, wanted: Wanted) -> bool:
        """Whether such a request may pass after all; then no other may."""
        until = self._until.pop(wanted, None)
        if until is None or until <= self._clock():
            return False
        log.warning("%s was DENIED and passes this once, by hand", wanted)
        return True
