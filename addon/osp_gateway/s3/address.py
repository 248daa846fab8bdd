"""Which bucket and which key a request is about: path style and virtual-hosted style.

See "Virtual hosting of buckets" in the Amazon S3 user guide.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.s3.errors import S3Error

MAX_KEY_OCTETS: Final = 1024
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}\Z").match


class AddressingStyle(enum.Enum):
    """Where the bucket's name stands in a URL."""

    PATH = "path"
    VIRTUAL = "virtual"


class Scope(enum.Enum):
    """What a request is about."""

    ROOT = "root"
    BUCKET = "bucket"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Resource:
    """The root (both empty), a bucket (`key` empty) or an object.

    `key` is text: S3's keys are UTF-8. `canonical_path` is the request's whole path as it is signed;
    `canonical_key` is the key alone, percent-encoded in the same way.
    """

    bucket: str
    key: str
    style: AddressingStyle
    canonical_path: str
    canonical_key: str

    @property
    def scope(self) -> Scope:
        """Root, bucket or object."""
        if self.key:
            return Scope.OBJECT
        return Scope.BUCKET if self.bucket else Scope.ROOT


def locate(path: str, host: str, domains: tuple[str, ...]) -> Resource:
    """Find bucket and key of a raw path under a Host header's value.

    Args:
        path: the raw path, percent-encoded as received.
        host: the value of the Host header, with or without a port.
        domains: lower-case domains below which the first labels name a bucket.

    Raises:
        S3Error: InvalidURI, InvalidBucketName or KeyTooLongError (400).
    """
    if not path.startswith("/"):
        raise S3Error("InvalidURI", "The request target must begin with a slash.")
    try:
        canonical = encoding.canonical_path(path)
    except ValueError as error:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI: invalid percent-encoding.") from error
    bucket = bucket_of_host(host, domains)
    if bucket is not None:
        style, canonical_key = AddressingStyle.VIRTUAL, canonical[1:]
    else:
        style = AddressingStyle.PATH
        encoded_bucket, _, canonical_key = canonical[1:].partition("/")
        bucket = _text(encoded_bucket)
    if (bucket or canonical != "/") and not is_bucket_name(bucket):
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": bucket})
    key = _text(canonical_key)
    if len(key) * 4 > MAX_KEY_OCTETS and len(key.encode()) > MAX_KEY_OCTETS:
        raise S3Error("KeyTooLongError", "Your key is too long")
    return Resource(bucket, key, style, canonical, canonical_key)


def object_in(bucket: Resource, key: str) -> Resource:
    """The object of this key in a bucket that was asked for."""
    encoded = encoding.encode(key.encode(), "/")
    path = f"{bucket.canonical_path.rstrip('/')}/{encoded}"
    return Resource(bucket.bucket, key, bucket.style, path, encoded)


def is_bucket_name(name: str) -> bool:
    """Whether a bucket could have this name: old S3 buckets and other stores allow more than today's S3."""
    return _BUCKET(name) is not None


def bucket_of_host(host: str, domains: tuple[str, ...]) -> str | None:
    """The bucket that a Host header names, or None where it names none."""
    return (_kept_bucket if len(host) <= encoding.MAX_KEPT_CHARS else _bucket_of_host)(host, domains)


def _bucket_of_host(host: str, domains: tuple[str, ...]) -> str | None:
    name = split_port(host)[0].lower()
    if name in domains:
        return None
    for domain in sorted(domains, key=len, reverse=True):
        if name.endswith(domain) and name[-len(domain) - 1 : -len(domain)] == ".":
            return name[: -len(domain) - 1]
    return None


# Clients repeat their Host header: 0.1 us instead of 2.
_kept_bucket: Final = lru_cache(maxsize=1024)(_bucket_of_host)


def split_port(host: str) -> tuple[str, str]:
    """`("name", "port")` of a Host header's value; the port is empty where there is none."""
    name, colon, port = host.rpartition(":")
    if colon and (port.isdecimal() or not port) and not name.endswith(":"):
        return name, port
    return host, ""


def is_path_like(key: str) -> bool:
    """Whether a server that takes keys for paths could read this one as another.

    That is: it has a `.` or `..` segment, which some servers resolve and others keep, or nothing but slashes, which
    some take for the bucket itself.
    """
    if "." in key and not {".", ".."}.isdisjoint(key.split("/")):
        return True
    return key.startswith("/") and not key.strip("/")


def _text(encoded: str) -> str:
    if "%" not in encoded:
        return encoded
    try:
        return encoding.decode(encoded).decode("utf-8")
    except UnicodeDecodeError as error:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI: it is not UTF-8.") from error
