"""The body of DeleteObjects: which objects a batch is about.

The document is read twice, here and by the store, and both must see the same keys. So only the plainest XML is taken:
no comments, CDATA, processing instructions, document types or attributes, each element where S3 puts it.
See DeleteObjects in the Amazon S3 API reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.xml import NAMESPACE

MAX_OBJECTS: Final = 1000
MAX_BODY_OCTETS: Final = 4 * 1024 * 1024

_DECLARATION: Final = re.compile(rb"""\A\s*<\?xml version=["']1\.0["'](?: encoding=["'][Uu][Tt][Ff]-8["'])?\s*\?>""")
_OBJECT_FIELDS: Final = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})


@dataclass(frozen=True, slots=True)
class ObjectName:
    """A key and, where one is meant, its version."""

    key: str
    version: str | None


def read_delete(body: bytes) -> tuple[ObjectName, ...]:
    """The objects that a DeleteObjects body names.

    Raises:
        S3Error: MalformedXML (400) for anything but the plain document that S3 describes.
    """
    text = _DECLARATION.sub(b"", body, count=1)
    if b"<!" in text or b"<?" in text:
        raise _malformed("comments, CDATA, document types and processing instructions are not taken")
    try:
        root = fromstring(text.decode("utf-8"), forbid_dtd=True)
    except (ParseError, UnicodeDecodeError, ValueError) as error:
        raise _malformed("it is not well-formed UTF-8 XML") from error
    if _name(root) != "Delete":
        raise _malformed("expected a Delete element")
    objects = []
    for child in root:
        if _name(child) == "Object":
            objects.append(_read_object(child))
        elif _name(child) != "Quiet":
            raise _malformed("expected Object and Quiet elements only")
    if not 1 <= len(objects) <= MAX_OBJECTS:
        raise _malformed(f"expected 1 to {MAX_OBJECTS} objects, found {len(objects)}")
    return tuple(objects)


def _read_object(element: Element) -> ObjectName:
    fields: dict[str, str] = {}
    for child in element:
        name = _name(child)
        if name not in _OBJECT_FIELDS or name in fields or len(child):
            raise _malformed("an Object holds Key and VersionId as text, each once")
        fields[name] = child.text or ""
    if not fields.get("Key"):
        raise _malformed("an Object has no Key")
    return ObjectName(fields["Key"], fields.get("VersionId"))


def _name(element: Element) -> str:
    """The local name of an element without attributes, in S3's namespace or in none."""
    namespace, _, name = element.tag.rpartition("}")
    if element.attrib or namespace not in ("", "{" + NAMESPACE):
        raise _malformed("an element has attributes or an unknown namespace")
    return name


def _malformed(why: str) -> S3Error:
    return S3Error(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        reason=f"DeleteObjects: {why}",
    )
