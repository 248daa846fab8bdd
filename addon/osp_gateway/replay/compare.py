"""What differs between an answer and the one that was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from osp_gateway.backends.responses import OBJECT_OPERATIONS
from osp_gateway.replay.contents import same_object
from osp_gateway.replay.exchange import Answer, Exchange, RecordedRequest
from osp_gateway.replay.names import Names, bare, kind_of_element, kind_of_header, object_of, part_of
from osp_gateway.replay.tolerance import DIAGNOSTIC, Tolerance
from osp_gateway.replay.xml import Element, key_of, parse

MAX_SHOWN_CHARS: Final = 200
_ABSENT: Final = "(absent)"
_WITH_DATES: Final = frozenset({"x-amz-expiration", "x-amz-restore"})
_DATE: Final = re.compile(r'expiry-date="[^"]*"')
"""That many days after the request."""
_FOR_BROWSERS: Final = "access-control-"
"""Some stores tell everybody, others only who comes from another origin, whom it concerns."""
_SEE_OTHER: Final = 303
_ITS_TIME: Final = frozenset({"last-modified", "x-amz-object-lock-retain-until-date"})
"""Must be there where it was, with any value; 304 may say it or not."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was recorded. `where` is for instance `header etag` or `ListBucketResult/Prefix`."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {_short(self.expected)}, found {_short(self.found)}"


def compare(
    exchange: Exchange,
    answer: Answer,
    names: Names,
    tolerance: Tolerance,
    expected_object: tuple[int, str] | None = None,
) -> tuple[Difference, ...]:
    """All differences, the most telling first.

    Args:
        exchange: as recorded.
        answer: of this run.
        names: the names of this run; those in the two answers have been learned.
        tolerance: what may differ.
        expected_object: length and SHA-256 of the object, where it is not the recorded one.
    """
    tolerance = tolerance.about(exchange.answer.status)
    return tuple(_differences(exchange, answer, names, tolerance, expected_object))


def _differences(
    exchange: Exchange, answer: Answer, names: Names, tolerance: Tolerance, expected_object: tuple[int, str] | None
) -> Iterator[Difference]:
    recorded = exchange.answer
    same_status = tolerance.same_status(exchange.operation, recorded.status, answer.status)
    if not same_status:
        yield Difference("status", str(recorded.status), str(answer.status))
    elif recorded.status != answer.status and max(recorded.status, answer.status) >= 300:
        return  # a retry that was recorded, and is not needed now: all else is another
    code, other = error_code(recorded), error_code(answer)
    if code != other:
        yield Difference("error code", code or _ABSENT, other or _ABSENT)
    if not same_status or code != other:
        return  # the rest follows from that
    yield from _header_differences(exchange, answer, names, tolerance)
    yield from _body_differences(exchange, answer, names, tolerance, expected_object)


def error_code(answer: Answer) -> str:
    """S3's code in an error document, else nothing."""
    if answer.status < 300 or not answer.payload.content:
        return ""
    tree = parse(answer.payload.content)
    return tree.text_of("Code") if tree is not None and tree.name == "Error" else ""


def _header_differences(exchange: Exchange, answer: Answer, names: Names, tolerance: Tolerance) -> Iterator[Difference]:
    recorded = exchange.answer
    meaningful = {name for name, _ in (*recorded.headers, *answer.headers) if tolerance.means(exchange.operation, name)}
    if recorded.status >= 300:
        meaningful -= _ITS_TIME
    if exchange.request.header("origin") is None:
        meaningful = {name for name in meaningful if not name.startswith(_FOR_BROWSERS)}
    if recorded.is_xml and (exchange.operation not in OBJECT_OPERATIONS or recorded.status >= 300):
        meaningful.discard("content-type")  # application/xml, with or without a charset; text/xml
    for name in sorted(meaningful):
        old, new = _values(recorded, name), _values(answer, name)
        if old is not None and new is not None:
            old = _current(name, old, exchange.request, names)
        if not _same_header(name, recorded.status, old, new):
            yield Difference(f"header {name}", _ABSENT if old is None else old, _ABSENT if new is None else new)


def _values(answer: Answer, name: str) -> str | None:
    """All values of a header, as if they had come in one."""
    values = [value for field, value in answer.headers if field == name]
    return ", ".join(values) if values else None


def _current(name: str, value: str, request: RecordedRequest, names: Names) -> str:
    kind = kind_of_header(name)
    if kind is None:
        return value
    part = part_of(request, request.values.get("partNumber", ""))
    return names.current(kind, part if names.knows(kind, part, value) else request.object, value)


def _same_header(name: str, status: int, old: str | None, new: str | None) -> bool:
    if old is None or new is None:
        return old is new
    if name in _ITS_TIME:
        return True
    if name == "location":
        # of the gateway's or the store's address; the document says the same of bucket and key. Where a form's client
        # is sent on, it has said itself where to.
        return status != _SEE_OTHER or old.partition("?")[0] == new.partition("?")[0]
    if name in _WITH_DATES:
        return _DATE.sub("", old) == _DATE.sub("", new)
    kind = kind_of_header(name)
    return old == new if kind is None else bare(kind, old) == bare(kind, new)


def _body_differences(
    exchange: Exchange,
    answer: Answer,
    names: Names,
    tolerance: Tolerance,
    expected_object: tuple[int, str] | None,
) -> Iterator[Difference]:
    recorded = exchange.answer
    if exchange.request.method == "HEAD":
        old, new = recorded.header("content-length"), answer.header("content-length")
        if old != new and recorded.status in (200, 206):
            yield Difference("header content-length", old or _ABSENT, new or _ABSENT)
    elif (recorded.is_xml and exchange.operation not in OBJECT_OPERATIONS) or recorded.status >= 300:
        yield from _document_differences(exchange, answer, names, tolerance)
    else:
        expected = expected_object or (recorded.payload.length, recorded.payload.sha256)
        if not same_object(answer, expected):
            yield Difference(
                "body",
                _described(*expected),
                _described(answer.payload.length, answer.payload.sha256),
            )


def _described(length: int, digest: str) -> str:
    return f"{length} octets, SHA-256 {digest or 'of any value'}"


def _document_differences(
    exchange: Exchange, answer: Answer, names: Names, tolerance: Tolerance
) -> Iterator[Difference]:
    old = parse(exchange.answer.payload.content or b"")
    new = parse(answer.payload.content or b"")
    if old is None or new is None:
        recorded, found = exchange.answer.payload, answer.payload
        if (old is None) != (new is None):
            yield Difference("document", *("none" if tree is None else f"<{tree.name}>" for tree in (old, new)))
        elif exchange.answer.status < 300 and recorded.sha256 != found.sha256:  # of what is no document
            expected = _described(recorded.length, recorded.sha256)
            yield Difference("body", expected, _described(found.length, found.sha256))
        return
    if not tolerance.same_document(exchange.operation, old.name, new.name):
        yield Difference("document", f"<{old.name}>", f"<{new.name}>")
        return
    trees = _Trees(exchange, names, tolerance)
    yield from trees.differences(old, new, old.name, None)


class _Trees:
    """Compares trees of elements."""

    def __init__(self, exchange: Exchange, names: Names, tolerance: Tolerance) -> None:
        self._operation = exchange.operation
        self._about = exchange.request.object
        self._names = names
        self._tolerance = tolerance

    def differences(self, old: Element, new: Element, path: str, key: str | None) -> Iterator[Difference]:
        """Between two elements of the same name; `key` is that of the entry around them."""
        key = key_of(old, key)
        before, after = self._by_name(old), self._by_name(new)
        if old.name == new.name == "Error" and path == "Error":
            before, after = ({n: found for n, found in one.items() if n not in DIAGNOSTIC} for one in (before, after))
        if not before and not after:
            expected = self._expected_text(old, key)
            if not self._same_text(old.name, expected, new.text):
                yield Difference(path, expected, new.text)
            return
        one, other = (" ".join(_interleaved(element)) for element in (old, new))
        if one != other and sorted(one.split()) == sorted(other.split()):
            yield Difference(f"order of {path}", one, other)
        for name in dict.fromkeys((*before, *after)):
            yield from self._group(before.get(name, []), after.get(name, []), f"{path}/{name}", key)

    def _group(self, before: list[Element], after: list[Element], path: str, key: str | None) -> Iterator[Difference]:
        """The elements of one name."""
        if before and self._tolerance.unordered(self._operation, before[0].name):
            before = sorted(before, key=lambda one: self._order(one, key, recorded=True))
            after = sorted(after, key=lambda one: self._order(one, key, recorded=False))
        if len(before) != len(after):
            yield Difference(f"number of {path}", str(len(before)), str(len(after)))
            missing, added = _keys(before) - _keys(after), _keys(after) - _keys(before)
            for one in sorted(missing)[:3]:
                yield Difference(path, one, _ABSENT)
            for one in sorted(added)[:3]:
                yield Difference(path, _ABSENT, one)
            return
        single = len(before) == 1
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from self.differences(old, new, path if single else f"{path}[{number + 1}]", key)

    def _by_name(self, element: Element) -> dict[str, list[Element]]:
        groups: dict[str, list[Element]] = {}
        for child in element.children:
            if not self._tolerance.ignores(self._operation, child.name):
                groups.setdefault(child.name, []).append(child)
        return groups

    def _expected_text(self, old: Element, key: str | None) -> str:
        kind = kind_of_element(old.name)
        if kind is None:
            return old.text
        about = self._about if key is None else object_of(self._about[0], key)
        return self._names.current(kind, about, old.text)

    def _same_text(self, name: str, old: str, new: str) -> bool:
        if self._tolerance.any_text(self._operation, name):
            return True
        if self._tolerance.another_text(self._operation, name):
            return bool(old) == bool(new)
        kind = kind_of_element(name)
        if kind is not None:
            return bare(kind, old) == bare(kind, new)
        if name == "Location":
            return unquote(old).rpartition("/")[2] == unquote(new).rpartition("/")[2]
        return old == new

    def _order(self, element: Element, key: str | None, *, recorded: bool) -> tuple[list[str], list[str]]:
        """Something to sort by that is the same in both runs: what is so in itself, and names as they are now."""
        key = key_of(element, key)
        leaves = [child for child in element.children if not child.children]
        plain = [
            child.text
            for child in leaves
            if kind_of_element(child.name) is None and not self._tolerance.another_text(self._operation, child.name)
        ]
        names = [child for child in leaves if kind_of_element(child.name) is not None]
        return plain or [element.text], [self._expected_text(one, key) if recorded else one.text for one in names]


def _interleaved(element: Element) -> list[str]:
    """Versions and delete markers are one list."""
    return [child.name for child in element.children if child.name in ("Version", "DeleteMarker")]


def _keys(elements: list[Element]) -> set[str]:
    """What a person knows entries of a listing by."""
    found = set()
    for element in elements:
        named = element.child("Key") or element.child("Prefix") or element.child("Name")
        found.add(named.text if named is not None else element.text)
    return found


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return shown if len(shown) <= MAX_SHOWN_CHARS else f"{shown[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"
