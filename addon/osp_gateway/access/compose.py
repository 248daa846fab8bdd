"""Several authorizers as one. An authorizer that raises refuses, whatever the others say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from osp_gateway.access.authorizer import AccessRequest, Authorizer, Constraints, Decision


class _Composed:
    """Authorizers in their order, and how the decision follows from theirs."""

    def __init__(self, name: str, parts: Sequence[Authorizer]) -> None:
        if not parts:
            raise ValueError(f"{name} needs at least one authorizer")
        self.parts = tuple(parts)


class _AllOf(_Composed):
    async def __call__(self, request: AccessRequest) -> Decision:
        joined: Decision | None = None
        for part in self.parts:
            decision = await part(request)
            if not decision.allowed:
                return decision
            joined = decision if joined is None else _both(joined, decision)
        assert joined is not None
        return joined


class _AnyOf(_Composed):
    async def __call__(self, request: AccessRequest) -> Decision:
        denied: Decision | None = None
        for part in self.parts:
            decision = await part(request)
            if decision.allowed:
                return decision
            if denied is None or (decision.decisive and not denied.decisive):
                denied = decision
        assert denied is not None
        return denied


class _FirstDecisive(_Composed):
    async def __call__(self, request: AccessRequest) -> Decision:
        for part in self.parts:
            decision = await part(request)
            if decision.decisive:
                return decision
        return decision


class _Unanimous(_Composed):
    async def __call__(self, request: AccessRequest) -> Decision:
        joined: Decision | None = None
        for part in self.parts:
            decision = await part(request)
            if not decision.decisive:
                silent = decision
            elif not decision.allowed:
                return decision
            else:
                joined = decision if joined is None else _both(joined, decision)
        return joined if joined is not None else silent


def all_of(*parts: Authorizer) -> Authorizer:
    """Every one must allow; the first that does not decides. No opinion is no permission."""
    return _AllOf("all_of", parts)


def any_of(*parts: Authorizer) -> Authorizer:
    """The first that allows decides, even where another one denies."""
    return _AnyOf("any_of", parts)


def first_decisive(*parts: Authorizer) -> Authorizer:
    """The first that has an opinion decides."""
    return _FirstDecisive("first_decisive", parts)


def unanimous(*parts: Authorizer) -> Authorizer:
    """At least one must allow, and none of those that have an opinion may deny."""
    return _Unanimous("unanimous", parts)


def _both(one: Decision, other: Decision) -> Decision:
    """Two permissions as one: the stricter part of each. Of two selectors of credentials, the later one is taken."""
    return replace(
        other,
        cached=one.cached and other.cached,
        ttl=min((ttl for ttl in (one.ttl, other.ttl) if ttl is not None), default=None),
        credentials=other.credentials or one.credentials,
        constraints=_stricter(one.constraints, other.constraints),
    )


def _stricter(one: Constraints | None, other: Constraints | None) -> Constraints | None:
    if one is None or other is None:
        return one or other
    octets = [c.max_octets for c in (one, other) if c.max_octets is not None]
    return Constraints(max_octets=min(octets, default=None))


def kept_decisions(authorizer: Authorizer) -> int:
    """How many decisions an authorizer, or those that it is composed of, remember."""
    if isinstance(authorizer, _Composed):
        return sum(map(kept_decisions, authorizer.parts))
    kept = getattr(authorizer, "kept", 0)
    return kept if isinstance(kept, int) else 0
