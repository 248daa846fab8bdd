"""What authorizers are asked: a request, and the requests that it contains.

A copy reads its source, a batch deletes each of its keys, a form uploads an object, and a list of buckets shows each of
them: whoever may not do the one must not get it by way of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from osp_gateway.access.authorizer import NOISE, AccessRequest, visible_headers
from osp_gateway.access.identity import Identity
from osp_gateway.backends.rewrite import CopySource
from osp_gateway.outcomes import Arrival
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import Resource
from osp_gateway.s3.batch import ObjectName
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.operations import POST_OBJECT

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
ROOT: Final = "*"
"""The bucket of a request that is about none."""
_OF_THE_FORM: Final = frozenset({"content-length", "content-type"})


def about_request(
    arrival: Arrival,
    identity: Identity,
    resource: Resource,
    operation: str,
    query: tuple[Pair, ...],
    hoisted: Mapping[str, str],
    ttl: float,
) -> AccessRequest:
    """The request itself.

    Args:
        arrival: as it came.
        identity: who sent it.
        resource: what it is about.
        operation: S3's name of it.
        query: canonically encoded pairs, without authentication.
        hoisted: headers that came in the query.
        ttl: for how many seconds decisions about the bucket may be kept.
    """
    headers = visible_headers(arrival.head)
    return AccessRequest(
        token=identity.access_key,
        bucket=resource.bucket or ROOT,
        method=arrival.head.method,
        path=resource.canonical_path,
        query=_decoded(query),
        headers=MappingProxyType({**headers, **hoisted}) if hoisted else headers,
        operation=operation,
        key=resource.key,
        source=arrival.source,
        tls_subject=arrival.tls_subject,
        identity=identity,
        tls=arrival.tls,
        ttl=ttl,
    )


def about_copy_source(arrival: Arrival, identity: Identity, source: CopySource, ttl: float) -> AccessRequest:
    """The read that a copy contains."""
    return AccessRequest(
        token=identity.access_key,
        bucket=source.bucket,
        method="GET",
        path="/" + encoding.encode(f"{source.bucket}/{source.key}".encode(), "/"),
        query=_decoded(source.version),
        headers=NOTHING,
        operation="GetObject",
        key=source.key,
        source=arrival.source,
        tls_subject=arrival.tls_subject,
        identity=identity,
        tls=arrival.tls,
        ttl=ttl,
    )


def about_listing(arrival: Arrival, identity: Identity, bucket: str, ttl: float) -> AccessRequest:
    """Whether a bucket may be listed, and so be shown in the list of buckets."""
    return AccessRequest(
        token=identity.access_key,
        bucket=bucket,
        method="GET",
        path=f"/{bucket}",
        query=NOTHING,
        headers=NOTHING,
        operation="ListObjectsV2",
        key="",
        source=arrival.source,
        tls_subject=arrival.tls_subject,
        identity=identity,
        tls=arrival.tls,
        ttl=ttl,
    )


def about_batch_key(batch: AccessRequest, name: ObjectName) -> AccessRequest:
    """One key of a batch as the DeleteObject that it would be alone."""
    return replace(
        batch,
        method="DELETE",
        path=f"{batch.path.rstrip('/')}/{encoding.encode(name.key.encode(), '/')}",
        query=MappingProxyType({"versionId": name.version}) if name.version else NOTHING,
        operation="DeleteObject",
        key=name.key,
    )


def about_form(
    arrival: Arrival, identity: Identity, target: Resource, fields: Mapping[str, str], ttl: float
) -> AccessRequest:
    """A form as the upload that it is; its fields stand where a PutObject has its headers."""
    visible = {name: value for name, value in visible_headers(arrival.head).items() if name not in _OF_THE_FORM}
    visible.update((name, value) for name, value in fields.items() if name not in NOISE)
    return AccessRequest(
        token=identity.access_key,
        bucket=target.bucket,
        method="POST",
        path=target.canonical_path,
        query=NOTHING,
        headers=MappingProxyType(visible),
        operation=POST_OBJECT,
        key=target.key,
        source=arrival.source,
        tls_subject=arrival.tls_subject,
        identity=identity,
        tls=arrival.tls,
        ttl=ttl,
    )


def _decoded(query: tuple[Pair, ...]) -> Mapping[str, str]:
    return MappingProxyType({unquote(name): unquote(value) for name, value in query}) if query else NOTHING
