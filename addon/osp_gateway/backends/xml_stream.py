"""An XML document mapped while it streams: read by expat and written anew, so that no spelling of it goes by unseen.

Elements, namespaces and text go on; comments, processing instructions and other attributes do not; a document type is
refused. What is held is one element without children, and what the parser needs to complete a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAX_DEPTH: Final = 32
MAX_TEXT_OCTETS: Final = 64 * 1024
_SPACE: Final = b" \t\r\n"
_KEPT_ATTRIBUTES: Final = ("xmlns", "xsi:type")

Path = tuple[str, ...]
Leaf = Callable[[Path, str], str | None]
"""An element without children, by the local names that lead to it: its new text, or None to leave it out."""
Branch = Callable[[Path], bool]
"""Whether an element with children is kept."""


class NotXml(Exception):
    """What came is no XML that can be mapped."""


class XmlMapper:
    """Maps one document."""

    def __init__(self, leaf: Leaf, branch: Branch) -> None:
        self._leaf = leaf
        self._branch = branch
        self._out: list[str] = []
        self._path: list[str] = []
        self._start: str | None = None
        """The start tag of an element that may turn out to have no children."""
        self._text: list[str] = []
        self._held = 0
        self._dropped = 0
        """Elements that are open, from the one that is left out on."""
        self._fed = 0
        self._begun = False
        self.written = False
        """Whether more than white space has come out."""
        self._parser = self._make_parser()

    def _make_parser(self) -> Any:
        parser = expat.ParserCreate()
        parser.buffer_text = False
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._document_type
        parser.StartElementHandler = self._element
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.DefaultHandler = self._rest
        if hasattr(parser, "SetReparseDeferralEnabled"):  # else expat may hold back what is complete
            parser.SetReparseDeferralEnabled(False)
        return parser

    def feed(self, data: bytes) -> bytes:
        """Take octets of the document; return those that are ready.

        Raises:
            NotXml: it is not well-formed, or holds what is not taken.
        """
        before = b""
        if not self._begun:  # stores send white space while a client waits
            rest = data.lstrip(_SPACE)
            before, data = data[: len(data) - len(rest)], rest
            self._begun = bool(data)
        if data:
            self._parse(data, final=False)
            if self._fed - max(0, self._parser.CurrentByteIndex) > MAX_TEXT_OCTETS + len(data):
                raise NotXml("a tag is too long")
        return before + self._taken()

    def finish(self) -> bytes:
        """The document is complete.

        Raises:
            NotXml: it is not.
        """
        if self._begun:
            self._parse(b"", final=True)
        return self._taken()

    def _parse(self, data: bytes, *, final: bool) -> None:
        self._fed += len(data)
        try:
            self._parser.Parse(data, final)
        except (expat.ExpatError, UnicodeError) as error:
            raise NotXml("it is not well-formed") from error

    def _taken(self) -> bytes:
        text, self._out = "".join(self._out), []
        self.written = self.written or bool(text.strip())
        return text.encode()

    # Events

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:  # noqa: ARG002
        self._out.append('<?xml version="1.0" encoding="UTF-8"?>')

    def _document_type(self, *_: object) -> None:
        raise NotXml("document types are not taken")

    def _rest(self, data: str) -> None:
        if not self._path and data.isspace():
            self._out.append(data)

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        if self._dropped:
            self._dropped += 1
            return
        if not self._open():
            self._dropped = 2  # this one and the one around it, which turned out to have children
            return
        if len(self._path) >= MAX_DEPTH:
            raise NotXml("elements are nested too deep")
        kept = [f" {key}={quoteattr(value)}" for key, value in attributes.items() if key.startswith(_KEPT_ATTRIBUTES)]
        self._path.append(name.rpartition(":")[2])
        self._start = f"<{name}{''.join(kept)}>"
        self._held = len(self._start)
        if self._held > MAX_TEXT_OCTETS:
            raise NotXml("a tag is too long")

    def _open(self) -> bool:
        """The innermost element has children: whether it is kept."""
        if self._start is None:
            return True
        start, self._start = self._start, None
        if not self._branch(tuple(self._path)):
            self._text.clear()
            return False
        self._out.append(start)
        self._out += map(_space, self._text)
        self._text.clear()
        return True

    def _characters(self, data: str) -> None:
        if self._dropped:
            return
        if self._start is None:
            self._out.append(_space(data))
            return
        self._held += len(data)
        if self._held > MAX_TEXT_OCTETS:
            raise NotXml("a text is too long")
        self._text.append(data)

    def _end(self, name: str) -> None:
        if self._dropped:
            self._dropped -= 1
            if not self._dropped:
                self._leave()
            return
        if self._start is not None:
            text = self._leaf(tuple(self._path), "".join(self._text))
            if text is not None:
                self._out += [self._start, _text(text), f"</{name}>"]
            self._start = None
            self._text.clear()
        else:
            self._out.append(f"</{name}>")
        self._leave()

    def _leave(self) -> None:
        self._path.pop()


def _space(text: str) -> str:
    """What is left of the text between elements."""
    return _text("".join(char for char in text if char.isspace()))


def _text(text: str) -> str:
    # A carriage return as it is would be read as a line feed: XML 1.0, section 2.11.
    return escape(text, {"\r": "&#13;"})
