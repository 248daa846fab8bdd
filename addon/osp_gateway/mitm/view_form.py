"""The view of a POST form: its fields, its policy decoded, and which of the policy's conditions the fields meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from osp_gateway.mitm.columns import cut, listed, visible
from osp_gateway.mitm.showing import details_of
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import Fields
from osp_gateway.sigv4.dates import iso_time
from osp_gateway.sigv4.policy import BUCKET, POLICY, Condition, Policy, expand

PRIORITY: Final = 3.0
MAX_FIELDS: Final = 200
MAX_VALUE: Final = 2048
MAX_SHOWN: Final = 256
"""A value is shown once among the fields, and no longer than this below each condition that it does not meet."""
MAX_POLICY: Final = 64 * 1024
"""In octets of base64: S3, and the gateway, take shorter ones only."""
MAX_JUDGED: Final = 256 * 1024
"""So many characters of values are held against conditions; forms that a store takes are far below."""
_BOUNDARY: Final = re.compile(r"boundary=(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE).search
_NAME: Final = re.compile(rb"[;\s]name=(?:\"([^\"\r\n]*)\"|([^\s;\"]+))", re.IGNORECASE).search
_FILENAME: Final = re.compile(rb"[;\s]filename=(?:\"([^\"\r\n]*)\"|([^\s;\"]+))", re.IGNORECASE).search
_FILE: Final = "file"
_NOT_CONDITIONED: Final = frozenset({POLICY, "x-amz-signature", _FILE})


@dataclass(frozen=True, slots=True)
class _Part:
    """A field of a form. `whole` is False where the body ends before it does."""

    name: str
    value: bytes
    filename: str | None
    whole: bool


class PolicyFormView(Contentview):
    """Browser-based uploads."""

    @property
    def name(self) -> str:
        """As it stands in mitmproxy's list of views."""
        return "S3 policy form"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Fields, policy, conditions."""
        message = metadata.http_message
        content_type = message.headers.get("content-type", "") if isinstance(message, http.Request) else ""
        match = _BOUNDARY(content_type or metadata.content_type or "")
        if match is None:
            return "This is no form: its Content-Type names no boundary.\n"
        parts = read_parts(data, (match[1] or match[2]).encode("utf-8", "replace"))
        return "\n".join(_lines(parts, metadata)) + "\n"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """For forms that upload something."""
        message = metadata.http_message
        if not isinstance(message, http.Request) or message.method != "POST" or not data:
            return -1
        if not message.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return -1
        ours = details_of(metadata.flow).get("operation") == "PostObject"
        return PRIORITY if ours or b'name="policy"' in data[: 64 * 1024].lower() else -1


def read_parts(body: bytes, boundary: bytes) -> list[_Part]:
    """The parts of a form, as far as they are there."""
    delimiter = b"--" + boundary
    pieces = body.split(delimiter, MAX_FIELDS + 1)[1:]
    parts = []
    for index, piece in enumerate(pieces[:MAX_FIELDS]):
        head, blank, value = piece.partition(b"\r\n\r\n")
        name, filename = _NAME(head), _FILENAME(head)
        if not blank or name is None:
            continue
        whole = index + 1 < len(pieces)
        shown = None if filename is None else _text(filename[1] or filename[2] or b"")
        parts.append(_Part(_text(name[1] or name[2] or b""), value.removesuffix(b"\r\n"), shown, whole))
    return parts


def _lines(parts: list[_Part], metadata: Metadata) -> Iterator[str]:
    yield "Fields"
    yield from listed((part.name, _shown(part)) for part in parts)
    policies = [part for part in parts if part.name.lower() == POLICY]
    if not policies:
        yield from ("", "The form has no policy: it is not signed.")
        return
    if len(policies[0].value) > MAX_POLICY:
        yield from ("", f"The policy has {len(policies[0].value)} octets: more than any store takes.")
        return
    try:
        policy = Policy.parse(_text(policies[0].value))
        fields = expand(_fields(parts))
    except S3Error as error:
        yield from ("", visible(error.message))
        return
    yield from ("", "Policy")
    yield f"expires {_moment(policy.expiration)}{_expired(policy, metadata)}"
    yield ""
    yield from _conditions(policy, fields, parts, metadata)


def _conditions(policy: Policy, fields: Fields, parts: list[_Part], metadata: Metadata) -> Iterator[str]:
    bucket = details_of(metadata.flow).get("bucket")
    values = {**fields.values}
    if isinstance(bucket, str):
        values.setdefault(BUCKET, bucket)
    size = next((len(part.value) if part.whole else None for part in parts if part.name.lower() == _FILE), 0)
    yield "met  condition"
    judged = 0
    for one in policy.conditions[:MAX_FIELDS]:
        judged += len(values.get(one.name, ""))
        met = _met(one, values, size) if judged <= MAX_JUDGED else "?"
        yield visible(f"{met:3}  {one.shown}")
        if met != "yes":
            yield visible(f"       the form has: {cut(_value(one, values, size), MAX_SHOWN)}")
    covered = policy.covered | _NOT_CONDITIONED
    for name, _ in fields.pairs:
        if name.lower() not in covered and not name.lower().startswith("x-ignore-"):
            yield visible(f"NO   no condition allows the field {cut(name)}")


def _met(condition: Condition, values: dict[str, str], size: int | None) -> str:
    if condition.operator != "content-length-range":
        return "yes" if condition.holds(values) else "NO"
    if size is None:
        return "?"
    least, most = condition.bounds
    return "yes" if not condition.broken and least <= size <= most else "NO"


def _value(condition: Condition, values: dict[str, str], size: int | None) -> str:
    if condition.operator == "content-length-range":
        return "a file that was not kept whole" if size is None else f"{size} octets"
    return values.get(condition.name, "nothing")


def _fields(parts: list[_Part]) -> Fields:
    pairs = [(part.name, part.value.decode("utf-8", "replace")) for part in parts if part.name.lower() != _FILE]
    filename = next((part.filename for part in parts if part.name.lower() == _FILE), None)
    return Fields(tuple(pairs), filename)


def _shown(part: _Part) -> str:
    if part.name.lower() == _FILE:
        named = f"{cut(part.filename, MAX_SHOWN)!r}, " if part.filename is not None else ""
        return f"{named}{len(part.value)} octets{'' if part.whole else ' and more, which were not kept'}"
    if part.name.lower() == POLICY:
        return f"{len(part.value)} octets, decoded below"
    text = _text(part.value[: MAX_VALUE + 1])
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "..."


def _expired(policy: Policy, metadata: Metadata) -> str:
    flow = metadata.flow
    if not isinstance(flow, http.HTTPFlow):
        return ""
    return ", before the request came" if policy.expiration <= flow.request.timestamp_start else ""


def _moment(seconds: float) -> str:
    try:
        return iso_time(int(seconds))
    except (ValueError, OverflowError):
        return f"{seconds:.0f} s after 1970"


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
