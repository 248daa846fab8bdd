"""May this caller do this? Deny is the default: nothing but a clear yes lets a request through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import unquote

from osp_gateway.access.identity import NOBODY, Identity
from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.s3.operations import COPY_SOURCE

NOISE: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "connection",
        "content-md5",
        "date",
        "expect",
        "user-agent",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-user-agent",
        "x-amzn-trace-id",
    }
)
"""Headers that an authorizer does not see: they differ from request to request or carry the signature.
Whatever it does see is part of the cache key."""


_LISTINGS: Final = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"})


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What an authorizer is asked about.

    `token` is the access key as the client sent it; `operation` is S3's name for it (`GetObject`); `key` is empty for
    buckets; `query` and `headers` (lower-case names) are without signatures and per-request noise; `source` is the
    client's address; `tls_subject` whom the client's certificate stands for (RFC 4514), where `client_ca_path` is set
    and it has one; `identity` who was verified; `tls` whether the client came by TLS; `ttl` for how many seconds the
    operator lets decisions about this bucket be kept.
    """

    token: str
    bucket: str
    method: str
    path: str
    query: Mapping[str, str] = field(hash=False)
    headers: Mapping[str, str] = field(hash=False)
    operation: str
    key: str
    source: str
    tls_subject: str | None = None
    identity: Identity = NOBODY
    tls: bool = False
    ttl: float = 0.0

    @property
    def resource(self) -> str:
        """IAM's name of what the request is about: `arn:aws:s3:::bucket/key`."""
        return f"arn:aws:s3:::{self.bucket}/{self.key}" if self.key else f"arn:aws:s3:::{self.bucket}"

    @property
    def prefix(self) -> str:
        """Which keys a listing shows; empty where it shows all, and for what is no listing."""
        return self.query.get("prefix", "") if self.operation in _LISTINGS else ""

    @property
    def copy_source(self) -> str:
        """`bucket/key` that a copy reads, decoded and without its version; empty for what is no copy."""
        written = self.headers.get(COPY_SOURCE, "").partition("?")[0]
        try:
            return encoding.decode(written).decode().removeprefix("/")
        except ValueError:
            return unquote(written).removeprefix("/")  # such a request will be refused


@dataclass(frozen=True, slots=True)
class Constraints:
    """What an allowed request must keep to. `max_octets` bounds the body, as the client's head announces it."""

    max_octets: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, why, and whether it was remembered.

    `ttl` is for how many seconds the decision may be kept, None for as long as the request's; `credentials` names an
    entry of the configuration's `backend_credentials` to be used instead of the bucket's own; `decisive` is False for
    an authorizer that has no opinion, which allows nothing, but leaves the word to others.
    """

    allowed: bool
    reason: str
    cached: bool = False
    ttl: float | None = None
    credentials: str = ""
    constraints: Constraints | None = None
    decisive: bool = True


class Authorizer(Protocol):
    """Decides about access. What it raises refuses the request."""

    async def __call__(self, request: AccessRequest, /) -> Decision:
        """The decision."""


def abstain(reason: str) -> Decision:
    """No opinion."""
    return Decision(False, reason, decisive=False)


def cache_key(request: AccessRequest) -> tuple[object, ...]:
    """Everything that the authorizer could see, hashable."""
    return (
        request.token,
        request.bucket,
        request.operation,
        request.key,
        request.method,
        request.path,
        request.source,
        request.tls_subject,
        tuple(request.query.items()),
        tuple(request.headers.items()),
        request.identity.fingerprint,
        request.tls,
    )


def visible_headers(head: RequestHead) -> Mapping[str, str]:
    """The headers that an authorizer sees: lower-case names, repeated ones joined by commas."""
    return MappingProxyType({name: ",".join(values) for name, values in head.fields.items() if name not in NOISE})
