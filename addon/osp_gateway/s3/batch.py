"""The body of DeleteObjects: which objects a batch is about.

The document is read twice, here and by the store, and both must see the same keys. So only the plainest XML is taken:
no comments, CDATA, processing instructions, document types or attributes, each element where S3 puts it.
See DeleteObjects in the Amazon S3 API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import XMLParser

from osp_gateway.s3.errors import S3Error, xml_text
from osp_gateway.s3.xml import NAMESPACE

MAX_OBJECTS: Final = 1000
MAX_BODY_OCTETS: Final = 4 * 1024 * 1024

_DECLARATION: Final = re.compile(rb"""\A\s*<\?xml version=["']1\.0["'](?: encoding=["'][Uu][Tt][Ff]-8["'])?\s*\?>""")
_CONDITIONS: Final = ("ETag", "LastModifiedTime", "Size")
_OBJECT_FIELDS: Final = frozenset({"Key", "VersionId", *_CONDITIONS})
# Far more than a key in character references takes. It bounds the attributes that are read before the first of them
# is refused: in a body of 4 MiB they took 75 MiB and a second.
_LONG_TAG: Final = re.compile(rb"<[^<]{32768}").search


@dataclass(frozen=True, slots=True)
class ObjectName:
    """A key and, where one is meant, its version; `conditions` are further fields that it must match."""

    key: str
    version: str | None
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """What a DeleteObjects body says. `quiet`: the answer is to name failures alone."""

    objects: tuple[ObjectName, ...]
    quiet: bool = False

    def document(self) -> bytes:
        """The body that says just this, UTF-8 encoded."""
        listed = "".join(f"<Object>{_named(name)}{_conditions(name)}</Object>" for name in self.objects)
        quiet = "<Quiet>true</Quiet>" if self.quiet else ""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="{NAMESPACE}">{listed}{quiet}</Delete>'.encode()


def denied_entries(objects: Iterable[ObjectName]) -> str:
    """The elements of a DeleteResult for objects that may not be deleted."""
    return "".join(
        f"<Error>{_named(name)}<Code>AccessDenied</Code><Message>Access Denied</Message></Error>" for name in objects
    )


def delete_result(entries: str) -> bytes:
    """A DeleteResult with these elements, UTF-8 encoded."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="{NAMESPACE}">{entries}</DeleteResult>'.encode()
    )


def _named(name: ObjectName) -> str:
    version = f"<VersionId>{xml_text(name.version)}</VersionId>" if name.version is not None else ""
    return f"<Key>{xml_text(name.key)}</Key>{version}"


def _conditions(name: ObjectName) -> str:
    return "".join(f"<{field}>{xml_text(value)}</{field}>" for field, value in name.conditions)


def read_delete(body: bytes) -> DeleteRequest:
    """What a DeleteObjects body says.

    Raises:
        S3Error: MalformedXML (400) for anything but the plain document that S3 describes.
    """
    text = _DECLARATION.sub(b"", body, count=1)
    if b"<!" in text or b"<?" in text:
        raise _malformed("comments, CDATA, document types and processing instructions are not taken")
    if _LONG_TAG(text):
        raise _malformed("a tag or a text is too long")
    document = _Document()
    parser = XMLParser(target=document, forbid_dtd=True)
    try:
        parser.feed(text.decode("utf-8"))
        parser.close()
    except (ParseError, UnicodeDecodeError, ValueError) as error:
        raise _malformed("it is not well-formed UTF-8 XML") from error
    if not document.objects:
        raise _malformed(f"expected 1 to {MAX_OBJECTS} objects, found none")
    return DeleteRequest(tuple(document.objects), document.quiet)


class _Document:
    """Takes the parser's events and keeps the objects alone: what is out of place is refused where it begins.

    A tree of all elements takes 25 times the octets of a document of nothing but tags, to be thrown away.
    """

    def __init__(self) -> None:
        self.objects: list[ObjectName] = []
        self.quiet = False
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._quiet = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        name = _local_name(tag, attributes)
        match self._path:
            case []:
                _expect(name == "Delete", "expected a Delete element")
            case [_]:
                _expect(name in ("Object", "Quiet"), "expected Object and Quiet elements only")
                _expect(name == "Quiet" or len(self.objects) < MAX_OBJECTS, f"expected 1 to {MAX_OBJECTS} objects")
                self._fields = {}
            case [_, "Object"]:
                _expect(
                    name in _OBJECT_FIELDS and name not in self._fields,
                    "an Object holds Key and VersionId as text, each once",
                )
                self._fields[name] = ""
            case _:
                raise _malformed("an element has others in it where text belongs")
        self._path.append(name)

    def data(self, text: str) -> None:
        """Text, as a whole."""
        if len(self._path) == 3:
            self._fields[self._path[-1]] += text
        elif self._path[1:] == ["Quiet"]:
            self._quiet += text

    def end(self, tag: str) -> None:  # noqa: ARG002  (the parser has seen to it that it is the last one)
        """An element ends."""
        ended = self._path.pop()
        if ended == "Object":
            _expect(bool(self._fields.get("Key")), "an Object has no Key")
            conditions = tuple((field, self._fields[field]) for field in _CONDITIONS if field in self._fields)
            self.objects.append(ObjectName(self._fields["Key"], self._fields.get("VersionId"), conditions))
        elif ended == "Quiet":
            self.quiet, self._quiet = self._quiet.strip().lower() in ("true", "1"), ""


def _local_name(tag: str, attributes: Mapping[str, str]) -> str:
    """The local name of an element without attributes, in S3's namespace or in none."""
    namespace, _, name = tag.rpartition("}")
    _expect(not attributes and namespace in ("", "{" + NAMESPACE), "an element has attributes or an unknown namespace")
    return name


def _expect(condition: bool, why: str) -> None:
    if not condition:
        raise _malformed(why)


def _malformed(why: str) -> S3Error:
    return S3Error(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        reason=f"DeleteObjects: {why}",
    )
