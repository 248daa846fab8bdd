"""Reading a policy document: every mistake is told with its place, and a document with a mistake is none.

A policy that is not understood in full must not be followed in part: an unknown operator or a misspelt key could be
all that kept somebody out.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from osp_gateway.access.policy.actions import ACTIONS
from osp_gateway.access.policy.conditions import (
    NULL,
    OPERATORS,
    Condition,
    WrittenOperator,
    read_condition,
    read_operator,
)
from osp_gateway.access.policy.context import known_keys, normal_key
from osp_gateway.access.policy.patterns import Names, Pattern, Wild, read_tokens
from osp_gateway.access.policy.statements import Policy, Principals, Statement

MAX_OCTETS: Final = 20 * 1024
"""Of a document without blanks, as for AWS's bucket policies."""
VERSION_WITH_VARIABLES: Final = "2012-10-17"
VERSIONS: Final = ("2008-10-17", VERSION_WITH_VARIABLES)
ARN: Final = "arn:aws:s3:::"
ELSEWHERE: Final = frozenset(
    {"athena", "cloudtrail", "cloudwatch", "dynamodb", "ec2", "glue", "iam", "kms", "lambda", "logs", "secretsmanager"}
    | {"s3-object-lambda", "s3-outposts", "s3express", "s3tables", "sns", "sqs", "ssm", "sts"}
)
"""Services whose actions documents name beside S3's. They match nothing here."""
_USER_ARN: Final = re.compile(r"arn:aws:iam::(?:[0-9]{12}|\*)?:user/(?:[^*?]*/)?([^*?/]+)\Z").match
_SID: Final = re.compile(r"[A-Za-z0-9 _.\-]{0,128}\Z").match
_SERVICE: Final = re.compile(r"([a-z0-9-]+):(.+)\Z", re.ASCII | re.IGNORECASE).match
_ELEMENTS: Final = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
)  # fmt: skip
_NOT_TO_BE_HAD: Final[Mapping[str, str]] = {
    "aws:useragent": "authorizers do not see User-Agent",
    "s3:existingobjecttag": "the gateway does not ask the store for an object's tags",
}


class PolicyError(ValueError):
    """A document that is no policy. `problems` holds one line per mistake, each with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def read_policy(document: str | bytes | Mapping[str, Any], name: str = "", *, principals: bool = True) -> Policy:
    """A policy.

    Args:
        document: JSON, or what it stands for.
        name: where it is from, for reasons.
        principals: whether statements may say whom they are about.

    Raises:
        PolicyError: with one line per mistake.
    """
    reader = _Reader(principals)
    statements = reader.document(_parsed(document))
    if reader.problems:
        raise PolicyError(reader.problems)
    return Policy(statements, name)


def _parsed(document: str | bytes | Mapping[str, Any]) -> object:
    try:
        if isinstance(document, str | bytes):
            if len(document) > 4 * MAX_OCTETS:
                raise PolicyError([_too_long()])
            document = json.loads(document, object_pairs_hook=_once)
        if len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()) > MAX_OCTETS:
            raise PolicyError([_too_long()])
    except PolicyError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        found = f": {error}" if isinstance(error, json.JSONDecodeError | _Twice) else ""
        raise PolicyError([f"expected JSON{found}"]) from None
    return document


def _too_long() -> str:
    return f"the document is longer than {MAX_OCTETS} octets"


class _Twice(ValueError):
    """A name that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


class _Reader:
    """Reads on after a mistake, so that all are told at once."""

    def __init__(self, principals: bool) -> None:
        self.problems: list[str] = []
        self._principals = principals
        self._names: Names | None = None

    def _wrong(self, place: str, what: str) -> None:
        self.problems.append(f"{place}: {what}")

    def document(self, written: object) -> list[Statement]:
        if not isinstance(written, Mapping):
            self.problems.append(f"expected a policy document, an object, got {type(written).__name__}")
            return []
        self._unknown(written, ("Version", "Id", "Statement"), "")
        version = written.get("Version", VERSIONS[0])
        if version not in VERSIONS:
            self._wrong("Version", f"expected {VERSION_WITH_VARIABLES}")
        self._names = known_key if version == VERSION_WITH_VARIABLES else None
        listed = written.get("Statement")
        if isinstance(listed, Mapping):
            return [s for s in [self.statement(listed, "Statement")] if s is not None]
        if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
            self._wrong("Statement", "expected a statement or a list of statements")
            return []
        found = (self.statement(statement, f"Statement[{number}]") for number, statement in enumerate(listed))
        return [statement for statement in found if statement is not None]

    def statement(self, written: object, place: str) -> Statement | None:
        if not isinstance(written, Mapping):
            self._wrong(place, f"expected an object, got {type(written).__name__}")
            return None
        before = len(self.problems)
        self._unknown(written, _ELEMENTS, place)
        sid = written.get("Sid", "")
        if not isinstance(sid, str) or not _SID(sid):
            self._wrong(f"{place}.Sid", "expected up to 128 letters and digits")
        effect = written.get("Effect")
        if effect not in ("Allow", "Deny"):
            self._wrong(f"{place}.Effect", "expected Allow or Deny")
        principals = self._principals_of(written, place)
        actions = self._actions_of(written, place)
        resources, excluded = self._resources_of(written, place)
        conditions = self._conditions(written.get("Condition", {}), f"{place}.Condition")
        if len(self.problems) > before:
            return None
        name = f"{place} ({sid})" if sid else place
        return Statement(name, effect == "Deny", actions, resources, excluded, conditions, principals)

    def _unknown(self, written: Mapping[Any, Any], known: Sequence[str], place: str) -> None:
        for name in written:
            if name not in known:
                self._wrong(f"{place}.{name}".lstrip("."), f"unknown element{_suggestion(str(name), known)}")

    def _either(self, written: Mapping[str, Any], name: str, place: str) -> tuple[str, Any]:
        """The one of an element and its opposite that is there."""
        both = [element for element in (name, f"Not{name}") if element in written]
        if len(both) != 1:
            self._wrong(f"{place}.{name}", f"expected one of {name} and Not{name}")
            return name, None
        return both[0], written[both[0]]

    def _texts(self, value: object, place: str, expected: str) -> tuple[str, ...]:
        """One text or a list of them; at least one."""
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
            self._wrong(place, f"expected {expected} or a list of them")
            return ()
        return tuple(texts)

    def _principals_of(self, written: Mapping[str, Any], place: str) -> Principals | None:
        if "Principal" not in written and "NotPrincipal" not in written:
            return None
        name, value = self._either(written, "Principal", place)
        place = f"{place}.{name}"
        if not self._principals:
            self._wrong(place, "not possible in a session's policy")
            return None
        others = name != "Principal"
        if others and written.get("Effect") != "Deny":
            self._wrong(place, "expected with Deny only: with Allow it would let in everybody else, unsigned, too")
        if isinstance(value, Mapping):
            if set(value) != {"AWS"}:
                self._wrong(place, 'expected "*" or {"AWS": ...}: there are no other principals here')
                return None
            value = value["AWS"]
        elif value != "*":
            self._wrong(place, 'expected "*" or {"AWS": ...}')
            return None
        texts = self._texts(value, place, "the name of a caller")
        names = frozenset(n for text in texts if text != "*" and (n := self._principal(text, place)))
        return Principals("*" in texts, names, others)

    def _principal(self, text: str, place: str) -> str | None:
        """The name of a caller: as it is, or at the end of a user's ARN."""
        if "*" in text or "?" in text or not text:
            self._wrong(place, f"{text!r}: expected a name or an ARN without wildcards, or * alone")
            return None
        user = _USER_ARN(text)
        return user[1] if user else text

    def _actions_of(self, written: Mapping[str, Any], place: str) -> frozenset[str]:
        name, value = self._either(written, "Action", place)
        if value is None:
            return frozenset()
        texts = self._texts(value, f"{place}.{name}", "an action like s3:GetObject")
        found = frozenset(action for text in texts for action in self._matching(text, f"{place}.{name}"))
        return found if name == "Action" else ACTIONS - found

    def _matching(self, text: str, place: str) -> Iterable[str]:
        """The actions that a pattern stands for. Upper and lower case are the same."""
        if text == "*":
            return ACTIONS
        parts = _SERVICE(text)
        if parts is None or "${" in text:
            self._wrong(place, f"{text!r}: expected an action like s3:GetObject, s3:Get* or *")
            return ()
        if parts[1].lower() in ELSEWHERE:
            return ()
        pattern = Pattern(text, read_tokens(text), fold=True)
        found = [action for action in ACTIONS if pattern.matches(action, _no_variables)]
        if not found:
            self._wrong(place, f"{text!r} is no action of S3{_suggestion(text, sorted(ACTIONS))}")
        return found

    def _resources_of(self, written: Mapping[str, Any], place: str) -> tuple[tuple[Pattern, ...], bool]:
        name, value = self._either(written, "Resource", place)
        if value is None:
            return (), False
        place = f"{place}.{name}"
        texts = self._texts(value, place, f"a resource like {ARN}bucket/key")
        return tuple(p for text in texts if (p := self._resource(text, place)) is not None), name != "Resource"

    def _resource(self, text: str, place: str) -> Pattern | None:
        if text == "*":
            return Pattern(text, (Wild.RUN,))
        if not text.startswith(ARN) or text == ARN:
            self._wrong(place, f"{text!r}: expected * or an ARN like {ARN}bucket/key")
            return None
        try:
            return Pattern(text, read_tokens(text.removeprefix(ARN), self._names))
        except ValueError as error:
            self._wrong(place, f"{text!r}: {error}")
            return None

    def _conditions(self, written: object, place: str) -> tuple[Condition, ...]:
        if not isinstance(written, Mapping):
            self._wrong(place, f"expected an object of operators, got {type(written).__name__}")
            return ()
        found: list[Condition] = []
        for name, block in written.items():
            try:
                operator = read_operator(name)
            except LookupError as error:
                self._wrong(f"{place}.{name}", f"unknown operator{_suggestion(str(error.args[0]), (*OPERATORS, NULL))}")
                continue
            if not isinstance(block, Mapping) or not block:
                self._wrong(f"{place}.{name}", "expected an object of condition keys")
                continue
            for key, values in block.items():
                condition = self._condition(operator, str(key), values, f"{place}.{name}.{key}")
                if condition is not None:
                    found.append(condition)
        return tuple(found)

    def _condition(self, operator: WrittenOperator, written: str, values: object, place: str) -> Condition | None:
        listed = values if isinstance(values, list | tuple) else [values]
        if not listed or not all(isinstance(value, str | int | float) for value in listed):
            self._wrong(place, "expected a value or a list of values")
            return None
        try:
            return read_condition(operator, known_key(written), tuple(_text(value) for value in listed), self._names)
        except ValueError as error:
            self._wrong(place, str(error))
            return None


def known_key(written: str) -> str:
    """A condition key in its one spelling.

    Raises:
        ValueError: there is no such key here.
    """
    key = normal_key(written)
    if key is None:
        why = next((f": {why}" for name, why in _NOT_TO_BE_HAD.items() if written.lower().startswith(name)), "")
        raise ValueError(f"unknown condition key {written!r}{why or _suggestion(written.lower(), known_keys())}")
    return key


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _no_variables(_: str) -> str | None:
    return None


def _suggestion(written: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(written, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
