"""A request in the backend's terms, before it is signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from osp_gateway.backends.prefixes import Confinement
from osp_gateway.backends.rewrite import backend_headers, backend_path
from osp_gateway.backends.routes import BucketRoute, Destination
from osp_gateway.s3.address import Resource
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead

_OF_THE_BUCKET_ITSELF = frozenset({"CreateBucket", "DeleteBucket"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Path, query and headers; see `backend_path`, `backend_headers`."""

    path: str
    query: tuple[Pair, ...] = field(repr=False)
    headers: list[Header] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """What a copy reads: `x-amz-copy-source` as it is `written` for the backend, and the bucket's place there."""

    written: str
    destination: Destination


def refuse_beyond(route: BucketRoute, operation: str, *, reads: bool) -> None:
    """Keep to what the operator lets be done with a bucket at all, whoever asks.

    Raises:
        S3Error: AccessDenied (403) for what is no read in a bucket that is read-only, and for the making and unmaking
            of the bucket that stands in for others.
    """
    if route.read_only and not reads:
        raise S3Error.access_denied(reason=f"the bucket is read-only, and {operation} is no read")
    if route.substitute and operation in _OF_THE_BUCKET_ITSELF:
        raise S3Error.access_denied(reason=f"{operation} would be about the default bucket itself")


def outgoing(
    head: RequestHead,
    resource: Resource,
    operation: str,
    query: tuple[Pair, ...],
    hoisted: Mapping[str, str],
    source: Source | None,
    destination: Destination,
    confinement: Confinement | None,
) -> Outgoing:
    """The request for the backend.

    Args:
        head: the client's.
        resource: what it is about, in the client's terms.
        operation: S3's name of it.
        query: canonically encoded pairs, without authentication.
        hoisted: headers that came in the query.
        source: what it copies, if it does.
        destination: where it goes.
        confinement: there where the client's bucket is a part of the backend's.

    Raises:
        S3Error: see `backend_path`, `backend_headers` and `Confinement`.
    """
    headers = backend_headers(head, destination, hoisted, None if source is None else source.written)
    if confinement is None:
        return Outgoing(backend_path(resource, destination), query, headers)
    confinement.refuse_unconfined(operation, headers, query)
    return Outgoing(
        backend_path(confinement.resource(resource), destination),
        confinement.query(operation, query),
        [header for header in confinement.headers(headers) if header[0] != "accept-encoding"],
    )
