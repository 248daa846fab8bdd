"""The view of S3's XML documents: listings as tables, errors with what the gateway knows about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata, SyntaxHighlight

from osp_gateway.mitm.columns import cut, indented, listed, table, visible
from osp_gateway.mitm.showing import EXPLANATION, details_of

PRIORITY: Final = 2.5
NAMESPACE: Final = b"s3.amazonaws.com/doc/2006-03-01"
MAX_ROWS: Final = 1000
MAX_ELEMENTS: Final = 12_000
"""A page of a listing has some thousand; what is longer is shown as far as this."""
MAX_DEPTH: Final = 32
MAX_TEXT: Final = 4096
MAX_COLUMNS: Final = 24
_LISTS: Final = frozenset({"AccessControlList", "Buckets", "TagSet"})
"""Elements that hold nothing but records."""
_FIRST: Final = ("Size", "LastModified", "PartNumber", "Key", "Name", "Prefix")
"""Columns that are to be seen without scrolling."""
_NUMBERS: Final = frozenset({"PartNumber", "Size"})
_OBJECTS: Final = frozenset({"GetObject", "PutObject", "UploadPart", "SelectObjectContent"})
"""Operations whose bodies are nobody's business but their owner's."""

Record = dict[str, str]


@dataclass(slots=True)
class Document:
    """What is in a document: values next to its root, and records by the name of their element."""

    root: str = ""
    values: list[tuple[str, str]] = field(default_factory=list)
    records: dict[str, list[Record]] = field(default_factory=dict)
    left_out: int = 0
    problem: str = ""


class S3XmlView(Contentview):
    """Listings, errors, and what else S3 says in XML."""

    @property
    def name(self) -> str:
        """As it stands in mitmproxy's list of views."""
        return "S3 XML"

    @property
    def syntax_highlight(self) -> SyntaxHighlight:
        """Tables have no syntax."""
        return "none"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """The document's values, then a table for each kind of record."""
        document = read_document(data)
        lines = list(lines_of(document))
        if document.root == "Error":
            lines += _about_error(metadata)
        return "\n".join(lines) + "\n"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """For XML that S3, and not an object, consists of."""
        start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
        if not start.startswith(b"<"):
            return -1
        details = details_of(metadata.flow)
        response = metadata.http_message
        failed = isinstance(response, http.Response) and response.status_code >= 300
        if details:
            is_s3s = failed or str(details.get("operation")) not in _OBJECTS
        else:
            is_s3s = NAMESPACE in start or b"<Error>" in start
        return PRIORITY if is_s3s else -1


class _Enough(Exception):
    """The document is longer than it is shown."""


class _Reader:
    """Takes a document apart while expat reads it."""

    def __init__(self) -> None:
        self.document = Document()
        self._elements = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._octets = 0
        self._leaf = False
        self._record: Record | None = None
        self._record_depth = 0

    def start(self, name: str, _attributes: object) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise _Enough
        self._path.append(cut(name.rpartition(":")[2]))
        if len(self._path) > MAX_DEPTH:
            raise ValueError(f"it is more than {MAX_DEPTH} elements deep")
        depth = len(self._path)
        if depth == 1:
            self.document.root = self._path[0]
        elif self._record is None and depth > (3 if self._path[1] in _LISTS else 2):
            self._record, self._record_depth = {}, depth - 1
        self._text.clear()
        self._octets = 0
        self._leaf = True

    def characters(self, text: str) -> None:
        if self._octets < MAX_TEXT:
            self._text.append(text)
            self._octets += len(text)

    def end(self, _name: str) -> None:
        depth = len(self._path)
        if self._leaf and depth > 1:
            self._take("".join(self._text)[:MAX_TEXT].strip())
        if self._record is not None and depth == self._record_depth:
            self._add(self._path[-1], self._record)
            self._record = None
        self._path.pop()
        self._leaf = False

    def _take(self, text: str) -> None:
        if self._record is None:
            if len(self.document.values) < MAX_ROWS:
                self.document.values.append((cut("/".join(self._path[1:])), text))
        else:
            self._note(self._record, cut("/".join(self._path[self._record_depth :])), text)

    def _note(self, record: Record, name: str, text: str) -> None:
        """A value of a record, behind those of the same name."""
        before = record.get(name)
        if before is None and len(record) < MAX_COLUMNS:
            record[name] = text
        elif before is not None and len(before) < MAX_TEXT:
            record[name] = f"{before}, {text}"

    def _add(self, kind: str, record: Record) -> None:
        if kind not in self.document.records and len(self.document.records) >= MAX_COLUMNS:
            self.document.left_out += 1
            return
        records = self.document.records.setdefault(kind, [])
        if len(records) < MAX_ROWS:
            records.append(record)
        else:
            self.document.left_out += 1


def read_document(data: bytes) -> Document:
    """A document, or as much of it as is there; declarations of types and entities are not followed."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except _Enough:
        rest = len(data) - parser.CurrentByteIndex
        reader.document.problem = f"{MAX_ELEMENTS} elements are shown, {rest} octets follow"
    except (expat.ExpatError, ValueError, LookupError) as error:  # a LookupError for an encoding that nobody knows
        reader.document.problem = str(error)
    return reader.document


def _refuse_doctype(*_arguments: object) -> None:
    raise ValueError("it has a DOCTYPE, which S3's documents have not")


def lines_of(document: Document) -> Iterator[str]:
    """A document for people."""
    yield visible(document.root or "No XML document.")
    if document.values:
        yield ""
        yield from listed(document.values)
    for kind, records in document.records.items():
        yield from ("", visible(f"{kind} ({len(records)})"))
        yield from _table(records)
    if document.left_out:
        yield f"... and {document.left_out} more"
    if document.problem:
        yield from ("", visible(f"The rest is not shown: {document.problem}"))


def _table(records: list[Record]) -> Iterator[str]:
    found = list(dict.fromkeys(name for record in records for name in record))[:MAX_COLUMNS]
    names = [*(name for name in _FIRST if name in found), *(name for name in found if name not in _FIRST)]
    rows = [[record.get(name, "") for name in names] for record in records]
    yield from table([visible(name) for name in names], rows, [name in _NUMBERS for name in names], "Key")


def _about_error(metadata: Metadata) -> Iterator[str]:
    flow, details = metadata.flow, details_of(metadata.flow)
    if not details or flow is None:
        return
    yield ""
    if details.get("allowed") is True:
        yield visible(
            f"This is the store's answer: {details.get('upstream', '-')}. The gateway had let the request pass."
        )
        return
    yield visible(f"The gateway refused the request: {details.get('reason', '-')}")
    explanation = flow.metadata.get(EXPLANATION)
    if isinstance(explanation, str):
        yield from ("", *indented(explanation.rstrip()))
