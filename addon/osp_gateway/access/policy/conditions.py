"""Condition operators. See "IAM JSON policy elements: Condition operators" in the IAM user guide.

Where the request does not have the key, a positive operator does not match and a negated one does; with `...IfExists`
both match, as `ForAllValues:` does and `ForAnyValue:` does not. Of several values in the request, without a set
operator, one is enough to match.
"""

from __future__ import annotations

import enum
import ipaddress
import operator as compare_by
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from osp_gateway.access.policy.context import Context, Marker
from osp_gateway.access.policy.patterns import Lookup, Names, Pattern, read_tokens

ARN_PARTS: Final = 6

Test = Callable[[str, Lookup], bool | None]
"""Whether a value of the request is the policy's; None where a policy variable stands for nothing.

Raises `Unreadable` for a value that is not of the operator's type.
"""


Compile = Callable[[str, Names | None], Test]


class Unreadable(Exception):
    """A value of the request is not of the type that the operator compares."""


class Quantifier(enum.Enum):
    """How many of the request's values must match."""

    ALL = "ForAllValues"
    ANY = "ForAnyValue"


@dataclass(frozen=True, slots=True)
class Operator:
    """How one value of a policy is read, and whether it must not match."""

    compile: Compile
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator, with its values in the policy."""

    key: str
    tests: tuple[Test, ...]
    negated: bool = False
    quantifier: Quantifier | None = None
    if_exists: bool = False
    null: bool | None = None
    """Of `Null`: whether the key must be missing, or empty."""

    def holds(self, context: Context, denying: bool) -> bool:
        """Whether it is met; in doubt, what `denying` statements need to deny and others need not to allow."""
        values = context.values(self.key)
        if isinstance(values, Marker):
            return denying if values is Marker.UNSEEN else not denying
        if self.null is not None:
            return self.null is not any(values)
        if not values:
            return self.if_exists or self.quantifier is Quantifier.ALL or (self.negated and self.quantifier is None)
        try:
            return self._matches(values, context.value, denying)
        except Unreadable:
            return denying

    def _matches(self, values: tuple[str, ...], lookup: Lookup, denying: bool) -> bool:
        found = []
        for value in values:
            results = [test(value, lookup) for test in self.tests]
            if self.negated and not denying and None in results:
                return False
            found.append(any(results) is not self.negated)
        if self.quantifier is Quantifier.ANY:
            return any(found)
        if self.quantifier is Quantifier.ALL or self.negated:
            return all(found)
        return any(found)


def _text(*, wildcards: bool = False, fold: bool = False) -> Compile:
    def compile_(written: str, names: Names | None) -> Test:
        return Pattern(written, read_tokens(written, names, wildcards=wildcards), fold=fold).matches

    return compile_


def _arn(written: str, names: Names | None) -> Test:
    """Each of the six parts by itself: no wildcard reaches over a colon but in the last one."""
    if written == "*":
        return lambda _, __: True
    parts = _split_arn(written)
    if parts is None or parts[0] != "arn":
        raise ValueError("expected an ARN of six parts")
    patterns = [Pattern(part, read_tokens(part, names)) for part in parts]

    def test(value: str, lookup: Lookup) -> bool | None:
        found = _split_arn(value)
        if found is None:
            return False
        results = [pattern.matches(part, lookup) for pattern, part in zip(patterns, found, strict=True)]
        return None if None in results else all(results)

    return test


def _split_arn(text: str) -> list[str] | None:
    """The parts of an ARN, a colon in a policy variable not counted as one."""
    parts = re.split(r":(?![^{}]*\})", text, maxsplit=ARN_PARTS - 1)
    return parts if len(parts) == ARN_PARTS else None


_NUMBER: Final = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?\Z", re.ASCII).match


def _number(text: str) -> float:
    if not _NUMBER(text):
        raise ValueError("expected a number")
    return float(text)


def _moment(text: str) -> float:
    """Seconds since the epoch, written so or by ISO 8601."""
    if _NUMBER(text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("expected a time like 2026-01-31T12:00:00Z, or seconds since the epoch") from None


def _compared(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Compile:
    def compile_(written: str, _: Names | None) -> Test:
        wanted = read(written)

        def test(value: str, _: Lookup) -> bool:
            try:
                found = read(value)
            except ValueError:
                raise Unreadable from None
            return compare(found, wanted)

        return test

    return compile_


_TRUTH: Final = {"true": True, "false": False}


def _bool(written: str, _: Names | None) -> Test:
    wanted = _TRUTH.get(written.lower())
    if wanted is None:
        raise ValueError("expected true or false")

    def test(value: str, _: Lookup) -> bool:
        found = _TRUTH.get(value.lower())
        if found is None:
            raise Unreadable
        return found is wanted

    return test


def _network(written: str, _: Names | None) -> Test:
    try:
        wanted = ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise ValueError("expected an address or a range like 192.0.2.0/24 or 2001:db8::/32") from None

    def test(value: str, _: Lookup) -> bool:
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            raise Unreadable from None
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return found in wanted

    return test


_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "LessThan": compare_by.lt,
    "LessThanEquals": compare_by.le,
    "GreaterThan": compare_by.gt,
    "GreaterThanEquals": compare_by.ge,
}
OPERATORS: Final[Mapping[str, Operator]] = {
    "StringEquals": Operator(_text()),
    "StringNotEquals": Operator(_text(), negated=True),
    "StringEqualsIgnoreCase": Operator(_text(fold=True)),
    "StringNotEqualsIgnoreCase": Operator(_text(fold=True), negated=True),
    "StringLike": Operator(_text(wildcards=True)),
    "StringNotLike": Operator(_text(wildcards=True), negated=True),
    "NumericEquals": Operator(_compared(_number, compare_by.eq)),
    "NumericNotEquals": Operator(_compared(_number, compare_by.eq), negated=True),
    **{f"Numeric{name}": Operator(_compared(_number, compare)) for name, compare in _COMPARISONS.items()},
    "DateEquals": Operator(_compared(_moment, compare_by.eq)),
    "DateNotEquals": Operator(_compared(_moment, compare_by.eq), negated=True),
    **{f"Date{name}": Operator(_compared(_moment, compare)) for name, compare in _COMPARISONS.items()},
    "Bool": Operator(_bool),
    "IpAddress": Operator(_network),
    "NotIpAddress": Operator(_network, negated=True),
    "ArnEquals": Operator(_arn),
    "ArnLike": Operator(_arn),
    "ArnNotEquals": Operator(_arn, negated=True),
    "ArnNotLike": Operator(_arn, negated=True),
}
NULL: Final = "Null"
IF_EXISTS: Final = "IfExists"


@dataclass(frozen=True, slots=True)
class WrittenOperator:
    """`ForAnyValue:StringLikeIfExists`, taken apart."""

    name: str
    quantifier: Quantifier | None
    if_exists: bool


def read_operator(written: str) -> WrittenOperator:
    """An operator as it is written.

    Raises:
        LookupError: there is no such operator; its argument is what is taken for its name.
    """
    set_operator, colon, rest = written.rpartition(":")
    quantifier = next((q for q in Quantifier if q.value == set_operator), None)
    name = rest.removesuffix(IF_EXISTS)
    known = name in OPERATORS or rest == NULL
    if not known or (colon and (quantifier is None or rest == NULL)):
        raise LookupError(name)
    return WrittenOperator(name, quantifier, name != rest)


def read_condition(operator: WrittenOperator, key: str, values: tuple[str, ...], names: Names | None) -> Condition:
    """A condition.

    Args:
        operator: as written.
        key: as `context.normal_key` has it.
        values: at least one.
        names: of policy variables; None where there are none.

    Raises:
        ValueError: what is wrong with a value, for people.
    """
    if operator.name == NULL:
        truths = {_TRUTH.get(value.lower()) for value in values}
        if len(truths) != 1 or None in truths:
            raise ValueError("expected true or false")
        return Condition(key, (), null=truths.pop())
    found = OPERATORS[operator.name]
    tests = tuple(found.compile(value, names) for value in values)
    return Condition(key, tests, found.negated, operator.quantifier, operator.if_exists)
