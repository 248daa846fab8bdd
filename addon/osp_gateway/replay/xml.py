"""XML documents as trees without namespaces, to be compared by structure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote_plus
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from osp_gateway.backends.refusals import QUOTED
from osp_gateway.replay.exchange import Payload

SECRETS: Final = QUOTED | {"SecretAccessKey", "SessionToken", "Token-0"}
"""What stores tell of a signature that they refuse, and of keys that they hand out: neither recorded nor compared."""
_SECRET: Final = re.compile(
    rb"<((?:[\w.-]+:)?(?:%b))(?:\s[^>]*)?>.*?</\1\s*>" % "|".join(map(re.escape, SECRETS)).encode(), re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Element:
    """An element: its local name, its text where it has no children, and its children in their order."""

    name: str
    text: str
    children: tuple[Element, ...] = ()

    def child(self, name: str) -> Element | None:
        """The first child of a name."""
        return next((child for child in self.children if child.name == name), None)

    def text_of(self, name: str) -> str:
        """The text of the first child of a name; empty where there is none."""
        child = self.child(name)
        return "" if child is None else child.text


def parse(content: bytes) -> Element | None:
    """The tree of a document; None where it is none, or one that nobody should read.

    In a listing whose `EncodingType` is `url`, keys and the like are decoded: stores differ in what they encode.
    """
    tree = _tree(content)
    if tree is None and _FORBIDDEN(content):  # in keys, S3 writes what XML 1.0 has no place for
        tree = _tree(_REFERENCE.sub(_stand_in, content))
    if tree is None:
        return None
    encoded = tree.child("EncodingType")
    return _decoded(tree) if encoded is not None and encoded.text == "url" else tree


def _tree(content: bytes) -> Element | None:
    try:
        return _element(fromstring(content), 0)
    except (ParseError, DefusedXmlException, ValueError, LookupError):  # the last of an encoding that nobody knows
        return None


_REFERENCE: Final = re.compile(rb"&#(?:0{0,9}([0-9]|[12][0-9]|3[01])|[xX]0{0,9}([0-9A-Fa-f]|1[0-9A-Fa-f]));")
_FORBIDDEN: Final = _REFERENCE.search
_PRIVATE: Final = 0xE000
_BACK: Final = {_PRIVATE + code: code for code in range(0x20)}


def _stand_in(match: re.Match[bytes]) -> bytes:
    """Instead of a control character one of Unicode's private use; see `_element` for the way back."""
    code = int(match[1]) if match[1] else int(match[2], 16)
    return b"&#%d;" % (_PRIVATE + code)


def _decoded(element: Element) -> Element:
    if element.children:
        return replace(element, children=tuple(_decoded(child) for child in element.children))
    return replace(element, text=unquote_plus(element.text)) if element.name in _URL_ENCODED else element


_URL_ENCODED: Final = frozenset(
    {"Delimiter", "Key", "KeyMarker", "Marker", "NextKeyMarker", "NextMarker", "Prefix", "StartAfter"}
)
"""See `EncodingType` of ListObjectsV2, ListObjectVersions and ListMultipartUploads."""


def without_secrets(document: bytes) -> bytes:
    """A document, or whatever it is, without the elements in `SECRETS`."""
    return _SECRET.sub(b"", document)


@dataclass(frozen=True, slots=True)
class Leaf:
    """An element without children: where it is, its local name, its text, and the key of the entry that it is in.

    In the path, which does not name the document itself, entries that have a key or a part number are told apart by it:
    `/Contents[a.txt]/ETag`. Without an entry that has a key, `key` is None.
    """

    path: str
    name: str
    text: str
    key: str | None


def leaves(payload: Payload) -> Iterator[Leaf]:
    """The elements without children, in the document's order."""
    tree = parse(payload.content or b"")
    if tree is not None:
        yield from _leaves(tree, "", None)


def _leaves(element: Element, path: str, key: str | None) -> Iterator[Leaf]:
    key = key_of(element, key)
    if not element.children:
        yield Leaf(path, element.name, element.text, key)
    for child in element.children:
        label = next((known.text for name in _LABELS if (known := child.child(name)) is not None), None)
        yield from _leaves(child, f"{path}/{child.name}" if label is None else f"{path}/{child.name}[{label}]", key)


def key_of(element: Element, outer: str | None) -> str | None:
    """The key that an entry of a document is about; that of the element around it where it names none."""
    key = element.child("Key")
    return outer if key is None else key.text


_LABELS: Final = ("Key", "PartNumber")
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
"""The one attribute that S3's documents have: what kind of grantee one is."""
MAX_DEPTH: Final = 64
"""S3's documents are no deeper than ten."""
_EXACT: Final = _URL_ENCODED | {"Value"}
"""Elements in which spaces count; around others, people and stores put some."""


def _element(node: Any, depth: int) -> Element:
    if depth > MAX_DEPTH:
        raise ValueError(f"expected no more than {MAX_DEPTH} elements in each other")
    children = tuple(_element(child, depth + 1) for child in node)
    if kind := node.get(_TYPE):
        children = (Element("type", kind), *children)
    name = str(node.tag).rpartition("}")[2]
    text = "" if children else (node.text or "").translate(_BACK)
    return Element(name, text if name in _EXACT else text.strip(), children)
