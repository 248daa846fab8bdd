"""A model of S3's listings: what a store that does as the reference says answers about some keys."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element, fromstring

from osp_gateway.s3.errors import xml_text


@dataclass(frozen=True)
class Page:
    """What a listing says."""

    name: str
    prefix: str
    keys: tuple[str, ...]
    common: tuple[str, ...]
    marker: str
    truncated: bool
    next: str


def listing(keys: Iterable[str], operation: str, query: Mapping[str, str], name: str) -> str:
    """The document of ListObjects, ListObjectsV2, ListObjectVersions or ListMultipartUploads; `query` is decoded."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    shown = (lambda text: quote(text, safe="/")) if query.get("encoding-type") == "url" else (lambda text: text)
    after = query.get({"ListObjects": "marker", "ListObjectsV2": "start-after"}.get(operation, "key-marker"), "")
    if token := query.get("continuation-token"):
        after = base64.b64decode(token).decode()
    found: list[str] = []
    for key in sorted(keys):
        if not key.startswith(prefix):
            continue
        head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        entry = prefix + head + mark if mark else key
        if entry > after and not (mark and after.startswith(entry)) and entry not in found:
            found.append(entry)
    most = int(query.get("max-keys", query.get("max-uploads", "1000")))
    page, truncated = found[:most], len(found) > most
    last = page[-1] if truncated and page else ""
    folders = [entry for entry in page if delimiter and delimiter in entry[len(prefix) :]]

    def element(tag: str, text: str) -> str:
        return f"<{tag}>{xml_text(text)}</{tag}>"

    root, entry_tag, bucket_tag = {
        "ListObjectVersions": ("ListVersionsResult", "Version", "Name"),
        "ListMultipartUploads": ("ListMultipartUploadsResult", "Upload", "Bucket"),
    }.get(operation, ("ListBucketResult", "Contents", "Name"))
    parts = [element(bucket_tag, name), element("Prefix", shown(prefix)), element("Delimiter", shown(delimiter))]
    match operation:
        case "ListObjects":
            parts += [element("Marker", shown(after)), element("NextMarker", shown(last)) if last else ""]
        case "ListObjectsV2":
            parts += [element("StartAfter", shown(query.get("start-after", "")))]
            parts += [element("ContinuationToken", token) if token else ""]
            parts += [element("NextContinuationToken", base64.b64encode(last.encode()).decode()) if last else ""]
        case _:
            parts += [element("KeyMarker", shown(after)), element("NextKeyMarker", shown(last)) if last else ""]
    parts.append(element("IsTruncated", str(truncated).lower()))
    parts += [
        f"<{entry_tag}>{element('Key', shown(entry))}<Size>1</Size></{entry_tag}>"
        for entry in page
        if entry not in folders
    ]
    parts += [f"<CommonPrefixes>{element('Prefix', shown(entry))}</CommonPrefixes>" for entry in folders]
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{namespace}">{"".join(parts)}</{root}>'


def page_of(document: bytes) -> Page:
    """What a document says."""
    root = fromstring(document)

    def all_of(*path: str) -> list[Element]:
        return root.findall("/".join(f"{{*}}{step}" for step in path))

    def text(*path: str) -> str:
        return next((element.text or "" for element in all_of(*path)), "")

    entries = [*all_of("Contents", "Key"), *all_of("Version", "Key"), *all_of("Upload", "Key")]
    return Page(
        name=text("Name") or text("Bucket"),
        prefix=text("Prefix"),
        keys=tuple(element.text or "" for element in entries),
        common=tuple(element.text or "" for element in all_of("CommonPrefixes", "Prefix")),
        marker=text("Marker") or text("KeyMarker") or text("StartAfter"),
        truncated=text("IsTruncated") == "true",
        next=text("NextMarker") or text("NextContinuationToken") or text("NextKeyMarker"),
    )
