"""Condition keys: what is known of a request.

See "Actions, resources, and condition keys for Amazon S3" in the service authorization reference, and "AWS global
condition context keys" in the IAM user guide. Two kinds of values have no counterpart there: those that the request
has where the gateway does not look (`UNSEEN`), and those that were decided when an upload began (`SETTLED`).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.access.policy.actions import ABOUT_THE_BUCKET, VERSION
from osp_gateway.s3.operations import POST_OBJECT

AWS_TAGS_CLAIM: Final = "https://aws.amazon.com/tags"
"""The claim in which identity providers send a session's tags."""
_DAY_SECONDS: Final = 86_400
_LISTINGS: Final = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"})
_PARTS: Final = frozenset({"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"})


class Marker(enum.Enum):
    """A value that is not to be had."""

    UNSEEN = "it stands where the gateway does not look: it is taken for whatever denies"
    SETTLED = "it was decided about when the upload was created: it neither allows nor denies"


Values = tuple[str, ...] | Marker
"""The values of a key; none where the request does not have it."""
ABSENT: Final[Values] = ()


class Context:
    """A request as conditions see it. `now` is in seconds since the epoch."""

    __slots__ = ("_known", "now", "request", "resources")

    def __init__(self, request: AccessRequest, now: float) -> None:
        self.request = request
        self.now = now
        self._known: dict[str, Values] = {}
        self.resources = _resources(request)

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed it."""
        return not (self.request.identity.access_key or self.request.identity.name)

    def values(self, key: str) -> Values:
        """The values of a key, which is spelled as `normal_key` has it."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._read(key)
        return found

    def _read(self, key: str) -> Values:
        reader = _READERS.get(key)
        if reader is not None:
            return reader(self)
        for prefix, family in _FAMILIES.items():
            if key.startswith(prefix):
                return family(self, key[len(prefix) :])
        raise LookupError(f"{key} is no condition key")

    def value(self, key: str) -> str | None:
        """The one value of a key that is not empty, for policy variables."""
        values = self.values(key)
        if isinstance(values, Marker) or len(values) != 1:
            return None
        return values[0] or None


def _resources(request: AccessRequest) -> tuple[str, ...]:
    """What the request is about: `bucket/key`, or `bucket`.

    Host names have no upper case: a store that is addressed by them takes `Bucket` for `bucket`, and so must whoever
    allows or denies.
    """
    key = "" if request.operation in ABOUT_THE_BUCKET else request.key
    rest = f"/{key}" if key else ""
    lower = request.bucket.lower()
    names = (request.bucket,) if lower == request.bucket else (request.bucket, lower)
    return tuple(name + rest for name in names)


def normal_key(written: str) -> str | None:
    """The spelling of a condition key that a `Context` knows, or None where it is no key that is known here."""
    lower = written.lower()
    if lower in _READERS:
        return lower
    for prefix in _FAMILIES:
        if lower.startswith(prefix) and len(lower) > len(prefix):
            return prefix + written[len(prefix) :]
    return None


def known_keys() -> tuple[str, ...]:
    """The keys and the beginnings of keys, in lower case."""
    return (*_READERS, *_FAMILIES)


Reader = Callable[[Context], Values]


def _one(value: str | None) -> Values:
    return ABSENT if value is None else (value,)


def _header(name: str, spelled: Callable[[str], str] = str.strip) -> Reader:
    def read(context: Context) -> Values:
        value = context.request.headers.get(name)
        return ABSENT if value is None else (spelled(value.strip()),)

    return read


def _of_upload(name: str, spelled: Callable[[str], str] = str.strip, *, unseen: tuple[str, ...] = ()) -> Reader:
    """A header that an upload has at its beginning; in the body of the operations `unseen`."""

    def read(context: Context) -> Values:
        value = context.request.headers.get(name)
        if value is not None:
            return (spelled(value.strip()),)
        if context.request.operation in unseen:
            return Marker.UNSEEN
        return Marker.SETTLED if context.request.operation in _PARTS else ABSENT

    return read


_ACL_BODIES: Final = ("PutObjectAcl", "PutBucketAcl")


def _prefix(context: Context) -> Values:
    """A listing without a prefix is one with an empty prefix: it shows everything."""
    return (context.request.query.get("prefix", ""),) if context.request.operation in _LISTINGS else ABSENT


def _listing(name: str) -> Reader:
    """A parameter of listings; an empty one is none."""

    def read(context: Context) -> Values:
        value = context.request.query.get(name, "") if context.request.operation in _LISTINGS else ""
        return (value,) if value else ABSENT

    return read


def _version(context: Context) -> Values:
    return _one(context.request.query.get(VERSION))


def _copy_source(context: Context) -> Values:
    return _one(context.request.copy_source or None)


def _retain_until(context: Context) -> Values:
    return _of_upload("x-amz-object-lock-retain-until-date", unseen=("PutObjectRetention",))(context)


def _remaining_days(context: Context) -> Values:
    until = _retain_until(context)
    if isinstance(until, Marker) or not until:
        return until
    try:
        moment = datetime.fromisoformat(until[0])
    except ValueError:
        return Marker.UNSEEN
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (str(math.floor((moment.timestamp() - context.now) / _DAY_SECONDS)),)


def _tags(context: Context) -> Mapping[str, str] | Marker | None:
    """The tags that an upload sets; None: it sets none."""
    request = context.request
    if request.operation == "PutObjectTagging" or (request.operation == POST_OBJECT and "tagging" in request.headers):
        return Marker.UNSEEN
    written = request.headers.get("x-amz-tagging")
    if written is None:
        return Marker.SETTLED if request.operation in _PARTS else None
    try:
        pairs = parse_qsl(written, keep_blank_values=True, strict_parsing=True, max_num_fields=64)
    except ValueError:
        return Marker.UNSEEN
    tags = dict(pairs)
    return tags if len(tags) == len(pairs) and "+" not in written else Marker.UNSEEN


def _tag(context: Context, name: str) -> Values:
    tags = _tags(context)
    if tags is None or isinstance(tags, Marker):
        return tags or ABSENT
    return _one(tags.get(name))


def _tag_keys(context: Context) -> Values:
    tags = _tags(context)
    return (tags or ABSENT) if tags is None or isinstance(tags, Marker) else tuple(tags)


def _claim(context: Context, name: str) -> Values:
    """A claim of the token that the caller came with; of a session, of the token that began it."""
    identity = context.request.identity
    claims: Any = identity.claims.get("web_identity") if identity.session_name else identity.claims
    return _texts(claims.get(name)) if isinstance(claims, Mapping) else ABSENT


def _principal_tag(context: Context, name: str) -> Values:
    identity = context.request.identity
    if identity.session_name:
        tags: Any = identity.claims.get("tags")
    else:
        claim = identity.claims.get(AWS_TAGS_CLAIM)
        tags = claim.get("principal_tags") if isinstance(claim, Mapping) else None
    return _texts(tags.get(name)) if isinstance(tags, Mapping) else ABSENT


def _texts(value: object) -> tuple[str, ...]:
    """A claim as texts: the items of a list; of objects none."""
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple(text for item in values if (text := _text(item)) is not None)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _user_id(context: Context) -> Values:
    identity = context.request.identity
    shown = f"{identity.name}:{identity.session_name}" if identity.session_name else identity.name
    return _one(shown or None)


_READERS: Final[Mapping[str, Reader]] = {
    "aws:currenttime": lambda c: (datetime.fromtimestamp(c.now, UTC).isoformat(),),
    "aws:epochtime": lambda c: (str(int(c.now)),),
    "aws:referer": _header("referer"),
    "aws:securetransport": lambda c: ("true" if c.request.tls else "false",),
    "aws:sourceip": lambda c: (c.request.source,),
    "aws:userid": _user_id,
    "aws:username": lambda c: _one(c.request.identity.name or None),
    "s3:delimiter": _listing("delimiter"),
    "s3:if-match": _header("if-match"),
    "s3:if-none-match": _header("if-none-match"),
    "s3:max-keys": _listing("max-keys"),
    "s3:object-lock-legal-hold": _of_upload("x-amz-object-lock-legal-hold", str.upper, unseen=("PutObjectLegalHold",)),
    "s3:object-lock-mode": _of_upload("x-amz-object-lock-mode", str.upper, unseen=("PutObjectRetention",)),
    "s3:object-lock-remaining-retention-days": _remaining_days,
    "s3:object-lock-retain-until-date": _retain_until,
    "s3:prefix": _prefix,
    "s3:requestobjecttagkeys": _tag_keys,
    "s3:versionid": _version,
    "s3:x-amz-acl": _of_upload("x-amz-acl", str.lower, unseen=_ACL_BODIES),
    "s3:x-amz-copy-source": _copy_source,
    "s3:x-amz-grant-full-control": _of_upload("x-amz-grant-full-control", unseen=_ACL_BODIES),
    "s3:x-amz-grant-read": _of_upload("x-amz-grant-read", unseen=_ACL_BODIES),
    "s3:x-amz-grant-read-acp": _of_upload("x-amz-grant-read-acp", unseen=_ACL_BODIES),
    "s3:x-amz-grant-write": _of_upload("x-amz-grant-write", unseen=_ACL_BODIES),
    "s3:x-amz-grant-write-acp": _of_upload("x-amz-grant-write-acp", unseen=_ACL_BODIES),
    "s3:x-amz-metadata-directive": _header("x-amz-metadata-directive", str.upper),
    "s3:x-amz-object-ownership": _header("x-amz-object-ownership"),
    "s3:x-amz-server-side-encryption": _of_upload("x-amz-server-side-encryption"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _of_upload("x-amz-server-side-encryption-aws-kms-key-id"),
    "s3:x-amz-server-side-encryption-customer-algorithm": _of_upload("x-amz-server-side-encryption-customer-algorithm"),
    "s3:x-amz-storage-class": _of_upload("x-amz-storage-class", str.upper),
    "s3:x-amz-website-redirect-location": _of_upload("x-amz-website-redirect-location"),
}
_FAMILIES: Final[Mapping[str, Callable[[Context, str], Values]]] = {
    "aws:principaltag/": _principal_tag,
    "jwt:": _claim,
    "s3:requestobjecttag/": _tag,
}
