"""`policies`: what an operator writes, read from the configuration and from JSON files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from osp_gateway.access.policy.authorizer import Attached
from osp_gateway.access.policy.patterns import Pattern, read_tokens
from osp_gateway.access.policy.reading import MAX_OCTETS, PolicyError, read_policy
from osp_gateway.access.policy.statements import Policy

_ATTACHED: Final = frozenset({"principals", "document"})
_EXPECTED: Final = "expected a policy document, the path of a JSON file, or a dict with principals and document"


def read_policies(written: Sequence[object]) -> tuple[tuple[Attached, ...], list[str]]:
    """The policies of a configuration, and a line for each mistake in them.

    An entry is a document (a dict), the path of a JSON file with one, or a dict with `document`, which is either, and
    `principals`: patterns of the names of callers that it is for.
    """
    attached: list[Attached] = []
    problems: list[str] = []
    for number, entry in enumerate(written):
        place = f"policies[{number}]"
        found, wrong = _entry(entry, place)
        problems += [f"{place}{line}" for line in wrong]
        if found is not None:
            attached.append(found)
    return tuple(attached), problems


def _entry(entry: object, name: str) -> tuple[Attached | None, list[str]]:
    """An entry, and what is wrong with it, to be put after its place."""
    if not isinstance(entry, Mapping) or not _ATTACHED & entry.keys():
        policy, problems = _document(entry, name)
        return (None if policy is None else Attached(policy)), problems
    problems = [f".{key}: unknown field; known are document, principals" for key in entry.keys() - _ATTACHED]
    patterns, wrong = _principals(entry.get("principals"))
    policy, wrong_document = _document(entry.get("document"), name)
    problems += wrong + [f".document{line}" for line in wrong_document]
    if policy is not None and policy.has_principals and patterns is not None:
        problems.append(".document: expected no Principal in a document that has principals beside it")
    return (Attached(policy, patterns) if policy is not None and not problems else None), problems


def _principals(written: object) -> tuple[tuple[Pattern, ...] | None, list[str]]:
    if written is None:
        return None, []
    listed = [written] if isinstance(written, str) else written
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(p, str) and p for p in listed):
        return None, [".principals: expected a list of names of callers, in which * and ? are wildcards"]
    try:
        return tuple(Pattern(text, read_tokens(text)) for text in listed), []
    except ValueError:
        return None, [".principals: expected names without policy variables"]


def _document(written: object, name: str) -> tuple[Policy | None, list[str]]:
    """A policy, and what is wrong with it: each line begins with the place in the document, or what it is about."""
    try:
        if isinstance(written, Mapping):
            return read_policy(written, name), []
        if not isinstance(written, str | Path):
            return None, [f": {_EXPECTED}, got {type(written).__name__}"]
        path = Path(written)
        return read_policy(_text(path), f"{name} {path.name}"), []
    except PolicyError as error:
        return None, [_line(problem) for problem in error.problems]
    except (OSError, ValueError) as error:
        return None, [f": {_EXPECTED}: the file cannot be read ({type(error).__name__})"]


def _text(path: Path) -> str:
    """What stands in a file, a little more of it than a document may have."""
    with path.open(encoding="utf-8") as file:
        return file.read(4 * MAX_OCTETS + 1)


def _line(problem: str) -> str:
    """A mistake within a document, after the document's place."""
    return f".{problem}" if problem.startswith(("Statement", "Version", "Id")) else f": {problem}"


def attached_policies(written: Sequence[Any]) -> tuple[Attached, ...]:
    """The policies of a configuration without mistakes.

    Raises:
        PolicyError: there are some, which were not there before: a file has changed.
    """
    attached, problems = read_policies(written)
    if problems:
        raise PolicyError(problems)
    return attached
