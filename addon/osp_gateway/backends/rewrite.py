"""From the client's head to the backend's: URL, Host, copy source and the headers that stay behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from osp_gateway.backends.endpoints import is_arn
from osp_gateway.backends.routes import Destination
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import AddressingStyle, Resource, is_bucket_name, is_path_like
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead, is_reserved
from osp_gateway.s3.operations import COPY_SOURCE

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, section 7.6.1: they belong to the client's connection. `Expect` is answered by the gateway."""

PROXY_HEADERS: Final = frozenset(
    {
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
    }
)
"""Left by proxies in front of the gateway; a store might believe them."""

REPLACED: Final = frozenset(
    {
        "authorization",
        "date",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-region-set",
        "x-amz-security-token",
        COPY_SOURCE,
    }
)
"""Made anew for the backend."""

_FOREIGN_COPY_SOURCE: Final = re.compile(r"x-(?!amz-)[a-z0-9]{1,20}-copy-source(?:-.*)?").fullmatch
"""The same in the dialects of other stores (`x-goog-...`, `x-oss-...`): nobody was asked about that read."""
_MEANINGFUL: Final = frozenset({"cache-control", "expires"})
_LEFT_BEHIND: Final = HOP_BY_HOP | PROXY_HEADERS | REPLACED


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that a copy reads: decoded key, and the version's query pair if there is one."""

    bucket: str
    key: str
    version: tuple[Pair, ...]


def read_copy_source(value: str) -> CopySource:
    """Parse `x-amz-copy-source`: `[/]bucket/key[?versionId=id]`, percent-encoded. See CopyObject in the S3 API.

    Raises:
        S3Error: InvalidArgument (400); NotImplemented for access-point ARNs.
    """
    path, mark, query = value.partition("?")
    try:
        name = encoding.decode(path).decode("utf-8").removeprefix("/")
        version = encoding.parse_query(query)
    except ValueError as error:
        raise _bad_copy_source("it is not percent-encoded UTF-8") from error
    if name.startswith("arn:"):
        raise S3Error("NotImplemented", "Access points are not supported as a copy source.")
    bucket, _, key = name.partition("/")
    if not (is_bucket_name(bucket) and key):
        raise _bad_copy_source('expected "bucket/key"')
    if mark and (len(version) != 1 or version[0][0] != "versionId"):
        raise _bad_copy_source("only versionId may follow the question mark")
    return CopySource(bucket, key, version)


def write_copy_source(source: CopySource, destination: Destination) -> str:
    """The header's value for the backend.

    Args:
        source: what the client wrote.
        destination: the source bucket on its backend.

    Raises:
        S3Error: InvalidArgument, see `refuse_path_like`.
    """
    refuse_path_like(source.key, destination.style, "InvalidArgument")
    # "Specify the Amazon Resource Name of an access point": CopySource in the CopyObject reference.
    bucket = f"{destination.bucket}/object" if is_arn(destination.bucket) else destination.bucket
    path = encoding.encode(f"{bucket}/{source.key}".encode(), "/")
    return f"{path}?{encoding.join_query(source.version)}" if source.version else path


def _bad_copy_source(why: str) -> S3Error:
    return S3Error("InvalidArgument", f"Copy Source must mention the source bucket and key: {why}.")


def refuse_path_like(key: str, style: AddressingStyle, code: str = "InvalidURI") -> None:
    """Raise where a store that takes keys for paths would leave the bucket or the key that was authorized.

    Raises:
        S3Error: `code` under path style for keys with `.` and `..` segments and keys of slashes alone.
    """
    if style is AddressingStyle.PATH and is_path_like(key):
        raise S3Error(
            code,
            'A key with a "." or ".." segment, or of slashes alone, cannot be sent to a backend with path-style '
            "addressing.",
        )


def backend_path(resource: Resource, destination: Destination) -> str:
    """The canonical path on the backend.

    Raises:
        S3Error: InvalidURI, see `refuse_path_like`.
    """
    if destination.style is AddressingStyle.VIRTUAL or not destination.bucket:
        return "/" + resource.canonical_key
    refuse_path_like(resource.canonical_key, destination.style)
    bucket = encoding.encode(destination.bucket.encode())
    if not resource.canonical_key:
        return f"/{bucket}"
    return f"/{bucket}/{resource.canonical_key}"


def backend_headers(
    head: RequestHead, destination: Destination, hoisted: Mapping[str, str], copy_source: str | None
) -> list[Header]:
    """The headers for the backend, lower-case, without those that the signature adds.

    Args:
        head: the client's head.
        destination: where the request goes.
        hoisted: headers that the client's presigned URL carried in its query.
        copy_source: the rewritten copy source, if the request has one.

    Raises:
        S3Error: InvalidRequest where a Connection header would drop something that matters, or a header is
            given both in the query and as a header.
    """
    for name in (*head.fields, *hoisted):
        if "-copy-source" in name and _FOREIGN_COPY_SOURCE(name):
            raise S3Error("InvalidArgument", f"{name} names an object to be read; expected {COPY_SOURCE}.")
    dropped = _LEFT_BEHIND | _nominated(head) if "connection" in head.fields else _LEFT_BEHIND
    headers = [("host", destination.authority)]
    for name, values in head.fields.items():
        if name not in dropped:
            headers += [(name, value) for value in values]
    for name, value in hoisted.items():
        if name in head.fields:
            raise S3Error.invalid_request(f"{name} was given both as a header and as a query parameter.")
        if name not in dropped:
            headers.append((name, value))
    if copy_source is not None:
        headers.append((COPY_SOURCE, copy_source))
    return headers


def _nominated(head: RequestHead) -> frozenset[str]:
    """The headers that a Connection header says are for this connection only."""
    names = frozenset(
        token.strip().lower() for value in head.fields["connection"] for token in value.split(",") if token.strip()
    )
    for name in names:
        if is_reserved(name) or name in _MEANINGFUL or name.startswith(("content-", "if-")):
            raise S3Error.invalid_request(f"The Connection header must not name {name}.")
    return names
