"""Buckets in another region than expected: what a store says about it, and where such a bucket is then to be found.

See "Making requests over IPv4 and IPv6" and "Error responses" in the Amazon S3 API reference: 301 PermanentRedirect,
307 TemporaryRedirect and 400 AuthorizationHeaderMalformed tell the region, in a header or in the document. Only the
region's name is taken from them, never an address: the request stays within the endpoint that the operator configured.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

from cachetools import TTLCache
from defusedxml.ElementTree import fromstring

from osp_gateway.backends.endpoints import partition_of, place_of
from osp_gateway.backends.routes import Destination, Endpoint

log = logging.getLogger(__name__)

REGION_STATUSES: Final = frozenset({301, 307, 400})
REGION_CODES: Final = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "Redirect", "TemporaryRedirect"})
MAX_ANSWER_OCTETS: Final = 16 * 1024
"""An answer about a region is a short document."""
MAX_BUCKETS: Final = 4096
REMEMBERED_SECONDS: Final = 3600.0

_REGION: Final = re.compile(r"[a-z0-9-]{1,32}").fullmatch
_AWS_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+").fullmatch
_AWS_HOST: Final = re.compile(
    r"(?P<before>(?:[a-z0-9.-]+\.)?s3(?:-fips)?)(?P<kind>[.-](?:dualstack\.|fips\.)?)(?P<region>[a-z]{2}(?:-[a-z]+)+-\d+)"
    r"(?P<after>\.amazonaws\.com(?:\.cn)?)"
).fullmatch
_AWS_ANYWHERE: Final = "s3.amazonaws.com"


def read_region(headers: Mapping[str, str], body: bytes) -> str | None:
    """The region that an answer with one of `REGION_STATUSES` is about.

    Args:
        headers: the answer's, by names of any case.
        body: its document, or nothing.

    Returns:
        A name of the form that regions have, or None where the answer is not about a region.
    """
    said = headers.get("x-amz-bucket-region") or _in_document(body) or _in_address(headers.get("location", ""))
    return said if said and _REGION(said) else None


def _in_document(body: bytes) -> str | None:
    try:
        root = fromstring(body.decode("utf-8"), forbid_dtd=True)
    except (ParseError, ValueError):  # what defusedxml forbids is a ValueError, too
        return None
    texts = {child.tag.rpartition("}")[2]: child.text or "" for child in root}
    if texts.get("Code") not in REGION_CODES:
        return None
    return texts.get("Region") or _in_address("//" + texts.get("Endpoint", ""))


def _in_address(url: str) -> str | None:
    """The region that the name of an AWS endpoint carries."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    match = _AWS_HOST(host)
    return match["region"] if match else None


def in_region(destination: Destination, region: str) -> Destination | None:
    """The same bucket in another region of the same service, or None where the destination does not reach there.

    An endpoint of AWS is replaced by the other region's, any other stays and only what is signed changes.
    """
    if not _REGION(region) or region == destination.region or destination.whole:
        return None
    if destination.aws is not None:
        return _by_the_rules(destination, region)
    host: str | None = destination.endpoint.host
    if destination.endpoint.is_aws:
        host = _aws_host(destination.endpoint.host, region)
    if host is None:
        return None
    return replace(destination, endpoint=replace(destination.endpoint, host=host), region=region)


def _by_the_rules(destination: Destination, region: str) -> Destination | None:
    """The bucket where botocore's rules say that it is in another region of the same partition."""
    assert destination.aws is not None
    if not _AWS_REGION(region) or partition_of(region) != partition_of(destination.aws.region):
        return None
    options = destination.aws.in_region(region)
    try:
        place = place_of(destination.bucket, options)
    except ValueError:
        return None
    endpoint = Endpoint(place.host, place.port, place.tls)
    return replace(destination, endpoint=endpoint, region=place.region, style=place.style, aws=options)


def _aws_host(host: str, region: str) -> str | None:
    """The endpoint of another region. China's regions are a world of their own, and so is a VPC's endpoint."""
    if not _AWS_REGION(region) or region.startswith("cn-") != host.endswith(".cn") or ".vpce." in host:
        return None
    if host == _AWS_ANYWHERE:
        return f"s3.{region}.amazonaws.com"
    match = _AWS_HOST(host)
    return f"{match['before']}{match['kind']}{region}{match['after']}" if match else host


def _service(destination: Destination) -> Hashable:
    """What the endpoints of all regions have in common."""
    endpoint = destination.endpoint
    if destination.aws is not None:
        return partition_of(destination.aws.region), destination.aws.in_region("")
    if not endpoint.is_aws:
        return endpoint
    match = _AWS_HOST(endpoint.host)
    return replace(endpoint, host=f"{match['before']}.*{match['after']}" if match else endpoint.host)


class Regions:
    """The buckets of which a store has said that they are in another region than expected."""

    def __init__(self, size: int = MAX_BUCKETS, ttl: float = REMEMBERED_SECONDS) -> None:
        """Remember up to `size` buckets, each for `ttl` seconds."""
        self._regions: TTLCache[tuple[Hashable, str], str] = TTLCache(size, ttl)

    def learn(self, destination: Destination, region: str) -> Destination | None:
        """Remember a bucket's region.

        Args:
            destination: where a request for the bucket went.
            region: what the store said about it.

        Returns:
            Where to go instead; None where that changes nothing or leads nowhere.
        """
        moved = in_region(destination, region) if destination.bucket else None
        if moved is not None:
            log.info("bucket %s is in %s, not in %s", destination.bucket, region, destination.region)
            self._regions[_service(destination), destination.bucket] = region
        return moved

    def place(self, destination: Destination) -> Destination:
        """The destination, in the region that is known for its bucket."""
        if not self._regions:
            return destination
        region = self._regions.get((_service(destination), destination.bucket))
        return (in_region(destination, region) if region else None) or destination
