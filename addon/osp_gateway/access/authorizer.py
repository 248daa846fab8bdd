"""May this caller do this? Deny is the default: nothing but a clear yes lets a request through."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner, CallTimeout, failure, name_of
from osp_gateway.s3.head import RequestHead

log = logging.getLogger(__name__)

CACHE_SIZE: Final = 50_000
DENIED_TTL: Final = 10.0
"""A denial is kept no longer than this many seconds, so that a new grant works soon."""

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


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What an authorizer is asked about.

    `operation` is S3's name for it (`GetObject`); `key` is empty for buckets; `query` and `headers` (lower-case
    names) are without signatures and per-request noise; `source` is the client's address; `tls_subject` whom the
    client's certificate stands for (RFC 4514), where `client_ca_path` is set and it has one.
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


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, why, and whether it was remembered."""

    allowed: bool
    reason: str
    cached: bool = False


class Authorizer(Protocol):
    """Decides about access."""

    async def decide(self, request: AccessRequest, ttl: float) -> Decision:
        """The decision; `ttl` is how many seconds it may be kept."""


class ValidatorAuthorizer:
    """The operator's `validator(token, bucket)` or `validator(token, bucket, request)`."""

    def __init__(self, validator: Callable[..., Any], takes_request: bool, runner: CallableRunner) -> None:
        self._validator = validator
        self._takes_request = takes_request
        self._runner = runner
        self._cache: SingleFlightCache[tuple[object, ...], Decision] = SingleFlightCache(CACHE_SIZE)

    async def decide(self, request: AccessRequest, ttl: float) -> Decision:
        """Ask, or remember. An answer is kept under everything that the validator could see."""
        key = cache_key(request) if self._takes_request else (request.token, request.bucket)
        if ttl > 0:
            known = self._cache.peek(key)
            if known is not None:
                return Decision(known.allowed, known.reason, cached=True)
        return await self._cache.get(key, lambda: self._ask(request, ttl), share=ttl > 0)

    async def _ask(self, request: AccessRequest, ttl: float) -> Entry[Decision]:
        arguments = (request.token, request.bucket, request)[: 3 if self._takes_request else 2]
        name = name_of(self._validator)
        try:
            answer = await self._runner.call(self._validator, *arguments)
        except CallTimeout as error:
            log.warning("validator refused: %s", error)
            return Entry(Decision(False, str(error)), 0)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no yes
            log.warning("validator %s refused: %s", name, failure(error))
            return Entry(Decision(False, f"{name} raised {type(error).__name__}"), 0)
        if answer is True:
            return Entry(Decision(True, f"allowed by {name}"), ttl)
        if answer is not False:
            log.warning("validator %s returned %s, expected bool: refused", name, type(answer).__name__)
            return Entry(Decision(False, f"{name} returned {type(answer).__name__}, expected bool"), 0)
        return Entry(Decision(False, f"denied by {name}"), min(ttl, DENIED_TTL))


class KeyBuckets:
    """Bucket patterns listed with each client key: for configurations without code."""

    def __init__(self, patterns: Mapping[str, Sequence[str]], *, others: bool = False) -> None:
        """`patterns` maps access keys to globs of bucket names; `others` is what keys without any may do."""
        self._patterns = {key: tuple(globs) for key, globs in patterns.items()}
        self._others = others

    async def decide(self, request: AccessRequest, ttl: float) -> Decision:  # noqa: ARG002 - nothing to keep
        """Whether one of the key's patterns matches the bucket."""
        if self._others and request.token not in self._patterns:
            return Decision(True, "allowed: no bucket patterns are listed with the key")
        for pattern in self._patterns.get(request.token, ()):
            if fnmatch.fnmatchcase(request.bucket, pattern):
                return Decision(True, f"allowed: the key may use buckets {pattern!r}")
        return Decision(False, "no bucket pattern of the key matches")


class AllOf:
    """Every one of several authorizers must say yes; the first no decides."""

    def __init__(self, parts: Sequence[Authorizer]) -> None:
        if not parts:
            raise ValueError("AllOf needs at least one authorizer")
        self._parts = tuple(parts)

    async def decide(self, request: AccessRequest, ttl: float) -> Decision:
        """The first denial, or the last permission."""
        decision = await self._parts[0].decide(request, ttl)
        for part in self._parts[1:]:
            if not decision.allowed:
                break
            decision = await part.decide(request, ttl)
        return decision


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
    )


def visible_headers(head: RequestHead) -> Mapping[str, str]:
    """The headers that an authorizer sees: lower-case names, repeated ones joined by commas."""
    return MappingProxyType({name: ",".join(values) for name, values in head.fields.items() if name not in NOISE})
