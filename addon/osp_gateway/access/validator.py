"""The operator's own function as an authorizer: bounded in time and number, remembered, at rest when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from osp_gateway.access.authorizer import AccessRequest, Constraints, Decision, cache_key
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner, CallTimeout, CircuitBreaker, failure, name_of
from osp_gateway.sharing import Coding, SharedCache, level
from osp_gateway.tallies import CacheTally

log = logging.getLogger(__name__)

CACHE_SIZE: Final = 50_000
DENIED_TTL: Final = 10.0
"""A denial is kept no longer than this many seconds, so that a new grant works soon."""


class ValidatorAuthorizer:
    """The operator's function of two arguments `(token, bucket)`, three `(token, bucket, request)`, or one `(request)`.

    It answers with True or False, or with a `Decision`. Whatever else it answers or raises refuses.
    """

    def __init__(
        self,
        validator: Callable[..., Any],
        takes_request: bool,
        runner: CallableRunner,
        breaker: CircuitBreaker | None = None,
        *,
        alone: bool = False,
        shared: SharedCache | None = None,
        tally: CacheTally | None = None,
    ) -> None:
        """`takes_request`: the request is its last argument; `alone`: its only one; `tally` counts hits."""
        self._validator = validator
        self._takes_request = takes_request or alone
        self._alone = alone
        self._runner = runner
        self._breaker = breaker or CircuitBreaker()
        # Of two functions, or one that is called in another way, none gets the other's decisions.
        kind = f"decision of {name_of(validator)}, {'alone' if alone else 3 if takes_request else 2}"
        self._cache: SingleFlightCache[tuple[object, ...], Decision] = SingleFlightCache(
            CACHE_SIZE, second=level(shared, kind, DECISION), tally=tally
        )

    @property
    def kept(self) -> int:
        """How many decisions are remembered."""
        return len(self._cache)

    async def __call__(self, request: AccessRequest) -> Decision:
        """Ask, or remember. An answer is kept under everything that the function could see."""
        key = cache_key(request) if self._takes_request else (request.token, request.bucket)
        if request.ttl > 0:
            known = self._cache.peek(key)
            if known is not None:
                return known if known.cached else replace(known, cached=True)
        return await self._cache.get(key, lambda: self._ask(request), share=request.ttl > 0)

    async def _ask(self, request: AccessRequest) -> Entry[Decision]:
        name = name_of(self._validator)
        if not self._breaker.closed():
            return Entry(Decision(False, f"{name} failed too often in a row and is not asked for a while"), 0)
        try:
            answer = await self._runner.call(self._validator, *self._arguments(request))
        except CallTimeout as error:
            self._breaker.failed()
            log.warning("validator refused: %s", error)
            return Entry(Decision(False, str(error)), 0)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no yes
            if isinstance(error, OSError):
                self._breaker.failed()
            log.warning("validator %s refused: %s", name, failure(error))
            return Entry(Decision(False, f"{name} raised {type(error).__name__}"), 0)
        self._breaker.worked()
        return _entry(answer, name, request.ttl)

    def _arguments(self, request: AccessRequest) -> tuple[object, ...]:
        if self._alone:
            return (request,)
        return (request.token, request.bucket, request)[: 3 if self._takes_request else 2]


def _read(value: Any) -> Decision:
    fields = dict(value)
    constraints = fields.pop("constraints")
    return Decision(**fields, constraints=None if constraints is None else Constraints(**constraints))


def _written(decision: Decision) -> Any:
    return {**asdict(decision), "cached": False}


DECISION: Final[Coding[Decision]] = Coding(_written, _read)


def _entry(answer: object, name: str, ttl: float) -> Entry[Decision]:
    """What a function's answer means, and for how long."""
    if isinstance(answer, Decision):
        return _decision(answer, name, ttl)
    if answer is True:
        return Entry(Decision(True, f"allowed by {name}"), ttl)
    if answer is not False:
        log.warning("validator %s returned %s, expected bool or Decision: refused", name, type(answer).__name__)
        return Entry(Decision(False, f"{name} returned {type(answer).__name__}, expected bool or Decision"), 0)
    return Entry(Decision(False, f"denied by {name}"), min(ttl, DENIED_TTL))


def _decision(answer: Decision, name: str, ttl: float) -> Entry[Decision]:
    """A decision of the operator's making: no longer kept than the bucket's decisions may be."""
    written: Sequence[object] = (answer.allowed, answer.reason, answer.credentials, answer.ttl)
    match written:
        case [bool(), str(), str(), None]:
            pass
        case [bool(), str(), str(), int() | float() as seconds] if seconds >= 0:
            pass
        case _:
            return Entry(Decision(False, f"{name} returned a Decision whose fields are of other types"), 0)
    kept = ttl if answer.ttl is None else min(answer.ttl, ttl)
    return Entry(replace(answer, cached=False), kept if answer.allowed else min(kept, DENIED_TTL))
