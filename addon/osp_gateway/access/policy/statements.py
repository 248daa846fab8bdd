"""Statements and what follows from them: an explicit denial wins, and what nobody allows is denied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osp_gateway.access.policy.actions import ACTIONS
from osp_gateway.access.policy.conditions import Condition
from osp_gateway.access.policy.context import Context
from osp_gateway.access.policy.patterns import Pattern


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement is about: everybody, those with these names, or all but those."""

    everybody: bool
    names: frozenset[str]
    others: bool = False

    def include(self, context: Context) -> bool:
        """Whether it is about who sent the request."""
        named = self.everybody or (not context.anonymous and context.request.identity.name in self.names)
        return named is not self.others


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `name` is its place and Sid; `excluded` means that `resources` are those that are not meant."""

    name: str
    denies: bool
    actions: frozenset[str]
    resources: tuple[Pattern, ...]
    excluded: bool
    conditions: tuple[Condition, ...]
    principals: Principals | None = None

    def concerns(self, context: Context) -> bool:
        """Whether it is about who sent the request. What is allowed to everybody is so to nobody in particular:

        unsigned requests need a statement with a Principal.
        """
        if self.principals is None:
            return self.denies or not context.anonymous
        return self.principals.include(context)

    def applies(self, context: Context) -> bool:
        """Whether it is about the request, whose action is among its actions."""
        if not self.concerns(context):
            return False
        covered = (self._covers(resource, context) for resource in context.resources)
        if not (any(covered) if self.denies else all(covered)):
            return False
        return all(condition.holds(context, self.denies) for condition in self.conditions)

    def _covers(self, resource: str, context: Context) -> bool:
        results = [pattern.matches(resource, context.value) for pattern in self.resources]
        if self.excluded and not self.denies and None in results:
            return False
        return any(results) is not self.excluded


class Policy:
    """A document, its statements by action."""

    def __init__(self, statements: Iterable[Statement], name: str = "") -> None:
        """`name` says where it is from."""
        self.statements = tuple(statements)
        self.name = name
        self.has_principals = any(statement.principals is not None for statement in self.statements)
        self._denials = _by_action(s for s in self.statements if s.denies)
        self._grants = _by_action(s for s in self.statements if not s.denies)

    def denial(self, action: str, context: Context) -> Statement | None:
        """The first statement that denies."""
        return _first(self._denials.get(action, ()), context)

    def grant(self, action: str, context: Context) -> Statement | None:
        """The first statement that allows."""
        return _first(self._grants.get(action, ()), context)

    def may_grant(self, actions: Iterable[str], context: Context) -> bool:
        """Whether it allows the caller one of these for some resource, under some condition."""
        return any(s.concerns(context) for action in actions for s in self._grants.get(action, ()))


def _first(statements: Sequence[Statement], context: Context) -> Statement | None:
    for statement in statements:
        if statement.applies(context):
            return statement
    return None


def _by_action(statements: Iterable[Statement]) -> dict[str, tuple[Statement, ...]]:
    found: dict[str, list[Statement]] = {}
    for statement in statements:
        for action in statement.actions & ACTIONS:
            found.setdefault(action, []).append(statement)
    return {action: tuple(listed) for action, listed in found.items()}
