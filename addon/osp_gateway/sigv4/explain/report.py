"""An explanation, and how people read it: as a line, and as two canonical requests side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.explain import attempt
from osp_gateway.sigv4.explain.attempt import MISSING, Parts, header_part
from osp_gateway.sigv4.explain.case import Case
from osp_gateway.sigv4.explain.knowledge import MAX_SHOWN, Cause, Knowledge, is_hidden, printable

DEFAULT_WIDTH: Final = 120
NARROWEST: Final = 76
MAX_LINE: Final = 700
HIDDEN: Final = "***"
_SHORTEST_SECRET: Final = 4
_TOKENS: Final = re.compile(r"(?<![A-Za-z0-9_-])e[w-z0-9][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")
"""JSON Web Tokens."""
_LABEL: Final = 26
_RED, _YELLOW, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
_COLOURS: Final = {"!": _RED, "?": _YELLOW}


@dataclass(frozen=True, slots=True)
class Row:
    """A part of the canonical request as received and as signed.

    `mark` is `!` where they differ, `?` where what was signed cannot be known, blank where they are the same.
    """

    label: str
    received: str
    signed: str
    mark: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request's signature does not match.

    Args:
        matches: the signature fits the request as it was received; `causes` then say what else is wrong, if anything.
        causes: what happened: one, two, or none where nothing fits. Facts that were seen in the request follow.
        canonical_request: as the gateway computes it from what it received.
        string_to_sign: the same.
        expected_canonical_request: what the client signed; None where that is not known.
        checklist: what to look at where nothing fits, most likely first.
    """

    matches: bool
    causes: tuple[Cause, ...]
    canonical_request: str = field(repr=False)
    string_to_sign: str = field(repr=False)
    expected_canonical_request: str | None = field(repr=False)
    checklist: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def explained(self) -> bool:
        """Whether it is known why the request is refused, or that its signature is right."""
        return self.matches or bool(self.causes)

    @property
    def line(self) -> str:
        """One line for logs and comments."""
        return _line(self.matches, self.causes, self.checklist)

    @property
    def hint(self) -> str:
        """One line for clients: without anything about secrets."""
        public = tuple(cause for cause in self.causes if not cause.about_secret)
        if len(public) == len(self.causes):
            return self.line
        return _line(False, public, ("Check your key and signing method.",))

    def text(self, colour: bool = False, width: int = DEFAULT_WIDTH) -> str:
        """For terminals: causes or checklist, and the canonical request as received and as signed side by side.

        Args:
            colour: whether to mark what differs with colours, too.
            width: of the terminal, in columns.
        """
        lines = [*self._summary(colour), ""]
        if self.rows:
            lines += _table(self.rows, max(width, NARROWEST), colour)
            lines += ["", *_legend(self.rows)]
        return "\n".join(lines).rstrip() + "\n"

    def changed(self, change: Callable[[str], str]) -> Explanation:
        """The same with every text in it changed, before it is folded into lines."""
        expected = self.expected_canonical_request
        return Explanation(
            matches=self.matches,
            causes=tuple(Cause(c.name, change(c.sentence), c.proven, c.about_secret) for c in self.causes),
            canonical_request=change(self.canonical_request),
            string_to_sign=change(self.string_to_sign),
            expected_canonical_request=None if expected is None else change(expected),
            checklist=tuple(map(change, self.checklist)),
            rows=tuple(Row(row.label, change(row.received), change(row.signed), row.mark) for row in self.rows),
        )

    def _summary(self, colour: bool) -> Iterator[str]:
        if self.matches:
            yield _painted("The signature fits the request as it was received.", _GREEN, colour)
        for cause in self.causes:
            yield _painted(cause.name, _BOLD, colour)
            yield f"  {cause.sentence}"
            if not cause.proven:
                yield "  This was seen in the request itself; there may be more behind it."
        if self.checklist:
            yield _painted("No single cause is proven. What to look at, most likely first:", _BOLD, colour)
        for number, item in enumerate(self.checklist, start=1):
            yield f"  {number}. {item}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "matches": self.matches,
            "explained": self.explained,
            "causes": [{"name": c.name, "sentence": c.sentence, "proven": c.proven} for c in self.causes],
            "checklist": list(self.checklist),
            "canonical_request": self.canonical_request,
            "string_to_sign": self.string_to_sign,
            "expected_canonical_request": self.expected_canonical_request,
        }


def _line(matches: bool, causes: tuple[Cause, ...], checklist: tuple[str, ...]) -> str:
    told = "; ".join(f"{cause.name}: {cause.sentence}" for cause in causes)
    if not told:
        told = "the signature fits" if matches else f"no known cause fits; first look at: {' '.join(checklist[:1])}"
    return told if len(told) <= MAX_LINE else told[: MAX_LINE - 3] + "..."


def rows(case: Case, signed: Parts | None) -> tuple[Row, ...]:
    """The canonical request's parts; `signed` are those of the hypothesis that fits, if one does."""
    names = [(header_part(name), name) for name in case.sighting.signed_headers]
    labels = [(attempt.METHOD, "method"), (attempt.PATH, "path"), (attempt.QUERY, "query"), *names]
    labels += [(attempt.PAYLOAD, "payload hash"), (attempt.DATE, "time signed"), (attempt.SCOPE, "scope")]
    found = [_row(case, signed, part, label) for part, label in labels]
    signed_names = ";".join(case.sighting.signed_headers)
    found.insert(3 + len(names), Row("signed headers", signed_names, signed_names, " "))
    return tuple(found)


def _row(case: Case, signed: Parts | None, part: str, label: str) -> Row:
    received = case.parts[part]
    if signed is None:
        certain = part == attempt.PAYLOAD and received == case.knowledge.body_sha256
        there, mark = (received, " ") if certain else ("", "?")
    else:
        there = signed[part]
        mark = " " if there == received else "!"
    if is_hidden(label) and received != MISSING:
        received, there = HIDDEN, HIDDEN if there else ""
    return Row(label, _without_token(received), _without_token(there), mark)


def _without_token(text: str) -> str:
    """A query without the session token of a presigned URL."""
    if "ecurity-token=" not in text.lower():
        return text
    pieces = [piece.partition("=") for piece in text.split("&")]
    return "&".join(
        [f"{name}={HIDDEN}" if "security-token" in name.lower() else f"{name}{eq}{value}" for name, eq, value in pieces]
    )


def _table(table: Iterable[Row], width: int, colour: bool) -> Iterator[str]:
    column = (width - _LABEL - 6) // 2
    yield f"  {'':{_LABEL}} {'as received':{column}} | as signed"
    for row in table:
        left, right = _folded(row.received, column), _folded(row.signed if row.mark != "?" else "?", column)
        label = _folded(row.label, _LABEL)
        for index in range(max(len(left), len(right), len(label))):
            cells = [_cell(label, index), _cell(left, index), _cell(right, index)]
            text = f"{row.mark} {cells[0]:{_LABEL}} {cells[1]:{column}} | {cells[2]}".rstrip()
            yield _painted(text, _COLOURS[row.mark], colour) if row.mark in _COLOURS else text


def _cell(lines: list[str], index: int) -> str:
    return lines[index] if index < len(lines) else ""


def _folded(text: str, width: int) -> list[str]:
    text = printable(text)
    return [text[start : start + width] for start in range(0, len(text), width)] or [""]


def _legend(table: Iterable[Row]) -> Iterator[str]:
    marks = {row.mark for row in table}
    if "!" in marks:
        yield "! differs"
    if "?" in marks:
        yield "? cannot be known: a signature tells only whether all of it is right"


def _painted(text: str, colour: str, wanted: bool) -> str:
    return f"{colour}{text}{_PLAIN}" if wanted else text


class Redaction:
    """Makes explanations in which no secret stands, even where the request itself holds one."""

    __slots__ = ("_forms", "_secrets")

    def __init__(self, knowledge: Knowledge, head: RequestHead) -> None:
        """Secrets are those that are known, and the session tokens that the request itself carries."""
        known = {knowledge.secret, knowledge.secret.strip(), *knowledge.other_keys.values(), *_tokens(head)}
        self._secrets = sorted((s for s in known if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._forms = [form for secret in self._secrets for form in _forms(secret)]

    def explanation(
        self,
        *,
        matches: bool,
        causes: tuple[Cause, ...],
        canonical_request: str = "",
        string_to_sign: str = "",
        expected_canonical_request: str | None = None,
        checklist: tuple[str, ...],
        rows: tuple[Row, ...] = (),
    ) -> Explanation:
        """See `Explanation`."""
        expected = expected_canonical_request
        return Explanation(
            matches=matches,
            causes=tuple([self._cause(cause) for cause in causes]),
            canonical_request=self._without(canonical_request),
            string_to_sign=self._without(string_to_sign),
            expected_canonical_request=None if expected is None else self._without(expected),
            checklist=tuple([printable(self._without(item)) for item in checklist]),
            rows=tuple([self._row(row) for row in rows]),
        )

    def _cause(self, cause: Cause) -> Cause:
        name, sentence = (printable(self._without(text)) for text in (cause.name[:80], cause.sentence))
        return Cause(name, sentence, cause.proven, cause.about_secret)

    def _row(self, row: Row) -> Row:
        return Row(self._without(row.label), self._without(row.received), self._without(row.signed), row.mark)

    def _without(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text


def _tokens(head: RequestHead) -> Iterator[str]:
    """Session tokens in a header and in the query of a presigned URL, and tokens in the place of access keys."""
    yield from head.fields.get("x-amz-security-token", ())
    for text in head.fields.get("authorization", ()):
        yield from _TOKENS.findall(text)
    for piece in head.query.split("&"):
        name, _, value = piece.partition("=")
        yield from _TOKENS.findall(value)
        if "security-token" in name.lower():
            yield value
            yield unquote(value)


def _forms(secret: str) -> list[str]:
    """A secret as it may stand in a request: as it is, as octets, percent-encoded; and what is left of it when cut."""
    octets = secret.encode("utf-8", "replace").decode("latin-1")
    encoded = quote(secret, safe="", errors="replace")
    plain = list(dict.fromkeys((secret, octets, encoded, quote(secret, errors="replace"), encoded.lower())))
    # No more than MAX_SHOWN characters of a value are shown: further cuts need not be looked for, and would take memory
    # that grows with the square of what a client sends.
    longest = {form: min(len(form) - 1, MAX_SHOWN) for form in plain}
    cut = [f'{form[:length]}..."' for form in plain for length in range(longest[form], _SHORTEST_SECRET, -1)]
    return plain + cut
