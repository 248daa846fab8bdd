"""Text in columns, for people: folded, aligned, and without anything that could not be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Final

LABEL: Final = 20
COLUMN: Final = 25
WIDTH: Final = 76
"""So many characters of a view are to be seen in mitmweb beside its list of flows, in a window of 1280 pixels."""
MAX_LINES: Final = 12
"""A cell that takes more lines is cut."""
MAX_CELL: Final = 80
"""A cell of a table, in characters: only the last column may be longer."""

Compared = tuple[str, str, str, str]
"""A mark, a label, and what stands on the left and on the right."""


def visible(text: str) -> str:
    """Without line breaks and whatever else is no printable character."""
    return text if text.isprintable() else "".join([c if c.isprintable() else "\ufffd" for c in text])


def side_by_side(rows: Iterable[Compared], left: str, right: str) -> Iterator[str]:
    """Two columns below their titles, each row with its mark and label."""
    yield f"  {'':{LABEL}} {left:{COLUMN}} | {right}".rstrip()
    for mark, label, one, other in rows:
        cells = [_folded(label, LABEL), _folded(one, COLUMN), _folded(other, COLUMN)]
        for index in range(max(map(len, cells))):
            first, second, third = (cell[index] if index < len(cell) else "" for cell in cells)
            yield f"{mark if not index else ' '} {first:{LABEL}} {second:{COLUMN}} | {third}".rstrip()


def wrapped(text: str) -> str:
    """Lines that are longer than `WIDTH` in several, each broken between words."""
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        lines += wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False) if len(line) > WIDTH else [line]
    return "\n".join(lines)


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = (), whole: str | None = None
) -> Iterator[str]:
    """Aligned columns below their titles.

    Args:
        titles: one for each column; long ones are cut, as each row is as wide as they are.
        rows: their cells.
        right: which columns are aligned on the right, as numbers are.
        whole: the title of a column of which nothing is cut, besides the last one.
    """
    last = len(titles) - 1
    kept = {last, *(n for n, title in enumerate(titles) if title == whole)}
    cells = [[visible(cell) if n in kept else visible(cut(cell)) for n, cell in enumerate(row)] for row in rows]
    shown = [visible(cut(title)) for title in titles]
    widths = [max([len(title), *[len(row[n]) for row in cells]]) for n, title in enumerate(shown)]
    for row in (shown, *cells):
        padded = [
            cell
            if n == last and not _is(right, n)
            else cell.rjust(widths[n])
            if _is(right, n)
            else cell.ljust(widths[n])
            for n, cell in enumerate(row)
        ]
        yield "  ".join(padded).rstrip()


def listed(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Names with their values, one a line; long names are cut, as each line is as wide as they are."""
    known = [(visible(cut(name)), visible(value)) for name, value in pairs]
    width = max([len(name) for name, _ in known], default=0)
    for name, value in known:
        yield f"{name:{width}}  {value}".rstrip()


def indented(text: str) -> Iterator[str]:
    """Each line of a text a little to the right."""
    for line in text.split("\n"):
        yield f"  {visible(line)}".rstrip()


def _folded(text: str, width: int) -> list[str]:
    text = visible(text[: width * MAX_LINES + 1])
    lines = [text[start : start + width] for start in range(0, len(text), width)] or [""]
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], "..."]


def cut(text: str, most: int = MAX_CELL) -> str:
    """The beginning of a text, with dots where there was more."""
    return text if len(text) <= most else text[: most - 3] + "..."


def _is(flags: Sequence[bool], index: int) -> bool:
    return index < len(flags) and flags[index]
