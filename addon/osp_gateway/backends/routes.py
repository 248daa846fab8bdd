"""The bucket map: from the bucket that a client names to the bucket on a backend."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Literal

from osp_gateway.backends.endpoints import AwsOptions, is_aws_host, is_multi_region, place_of
from osp_gateway.s3.address import AddressingStyle, is_bucket_name
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair

DEFAULT_REGION: Final = "us-east-1"
MAX_DESTINATIONS: Final = 4096
NAME: Final = "{name}"
"""In the name of a backend's bucket and in a prefix: the client's name of the bucket."""
PLACEHOLDER_SUFFIX: Final = ".invalid"
"""A reverse target below this domain (RFC 2606) stands for: there is none."""

_REGION_IN_HOST: Final = (
    re.compile(r"s3(?:-fips)?[.-](?:dualstack\.|fips\.)?([a-z]{2}(?:-[a-z]+)+-\d+)\.amazonaws\.com(?:\.cn)?\Z"),
    re.compile(r"[a-z0-9.-]+\.s3\.([a-z]{2}(?:-[a-z]+)+-\d+)\.vpce\.amazonaws\.com(?:\.cn)?\Z"),
    re.compile(r"s3\.(?:private\.|direct\.)?([a-z0-9-]+)\.cloud-object-storage\.appdomain\.cloud\Z"),
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z").match


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An IBM Cloud API key, to be exchanged for an IAM token."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChainSource:
    """Credentials that botocore finds: by its own chain of providers, or by a profile of the AWS configuration files.

    Where there is a `role_arn`, that role is assumed with them, or with the key `pair` where one is given. `region` is
    that of the token service; None leaves it to the AWS configuration.
    """

    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    session_name: str | None = None
    region: str | None = None
    pair: KeyPair | None = None


Credentials = KeyPair | ApiKey
CredentialSource = Credentials | ChainSource
PayloadMode = Literal["auto", "same", "plain"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A store's address."""

    host: str
    port: int
    tls: bool

    @property
    def is_aws(self) -> bool:
        """Whether this is a service of AWS itself."""
        return is_aws_host(self.host)

    @property
    def authority(self) -> str:
        """The Host header's value: the port is left out where it is the scheme's own."""
        return authority(self.host, self.port, self.tls)


def authority(host: str, port: int, tls: bool) -> str:
    """`host` or `host:port`, as clients write it in the Host header."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == (443 if tls else 80) else f"{shown}:{port}"


@dataclass(frozen=True, slots=True)
class BucketRoute:
    """What the operator configured for a bucket name or pattern.

    `endpoint` is None where the listener's reverse target is meant, or where botocore's rules are asked with `aws`;
    `backend_bucket` is None where the name stays the same; in it and in `prefix`, under which all keys are kept,
    `{name}` stands for the client's name of the bucket; `substitute` is set where the route stands in for a bucket
    that is not configured; `verify` is whether the backend's certificate is checked, or the PEM bundle of the
    authorities by which it is; `ttl` is in seconds; `credentials` is None where the fetcher is to be asked; `payload`
    says how aws-chunked bodies are sent on, see `bodies.resolve_mode`.
    """

    pattern: str
    endpoint: Endpoint | None = None
    region: str | None = None
    style: AddressingStyle | None = None
    backend_bucket: str | None = None
    verify: bool | Path = True
    ttl: float = 300.0
    credentials: CredentialSource | None = None
    payload: PayloadMode = "auto"
    prefix: str = ""
    read_only: bool = False
    aws: AwsOptions | None = None
    substitute: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether the name is a glob."""
        return any(c in self.pattern for c in "*?[")

    def configured(self, bucket: str) -> str:
        """The bucket that the operator's functions know: the one that is configured, where it stands in for others."""
        return self.pattern if self.substitute else bucket


@dataclass(frozen=True)
class Destination:
    """One bucket on one backend, all questions answered.

    `bucket` is the name on the backend, `client_bucket` the one that clients use; all of its keys are kept under
    `prefix`. The endpoint's host stands for the bucket as it is where it is `whole`. `service`, `region` and
    `asymmetric` say how requests are signed; `aws` is what botocore's rules were asked with, where they were.
    """

    client_bucket: str
    bucket: str
    endpoint: Endpoint
    region: str
    style: AddressingStyle
    verify: bool | Path
    prefix: str = ""
    service: str = "s3"
    asymmetric: bool = False
    whole: bool = False
    aws: AwsOptions | None = None

    @cached_property
    def authority(self) -> str:
        """The Host header's value."""
        if self.style is AddressingStyle.VIRTUAL and self.bucket and not self.whole:
            return authority(f"{self.bucket}.{self.endpoint.host}", self.endpoint.port, self.endpoint.tls)
        return self.endpoint.authority


class Routes:
    """Finds the route of a bucket: an exact name first, then the most specific pattern."""

    def __init__(self, routes: Iterable[BucketRoute], default_bucket: str | None = None) -> None:
        """`default_bucket` is the name of the route that takes all names which no other one takes."""
        listed = tuple(routes)
        self._exact = {route.pattern: route for route in listed if not route.is_pattern}
        self._patterns = sorted((r for r in listed if r.is_pattern), key=_specificity, reverse=True)
        self._resolve = lru_cache(maxsize=MAX_DESTINATIONS)(resolve)
        self._default = None if default_bucket is None else _substitute(self._exact[default_bucket])

    @property
    def names(self) -> tuple[str, ...]:
        """The buckets that are configured by name."""
        return tuple(self._exact)

    @property
    def patterns(self) -> tuple[str, ...]:
        """All that is configured: names, then patterns, the most specific first."""
        return (*self._exact, *(route.pattern for route in self._patterns))

    @property
    def catch_all(self) -> BucketRoute | None:
        """The route of the pattern `*`, if there is one."""
        return next((route for route in self._patterns if route.pattern == "*"), None)

    def destination(self, route: BucketRoute, bucket: str, default: Endpoint | None) -> Destination:
        """See `resolve`; remembered, because the same few answers are wanted for every request."""
        return self._resolve(route, bucket, default)

    def find(self, bucket: str) -> BucketRoute:
        """The route of a bucket.

        Raises:
            S3Error: NoSuchBucket (404).
        """
        route = self._exact.get(bucket)
        if route is not None:
            return route
        for route in self._patterns:
            if fnmatch.fnmatchcase(bucket, route.pattern):
                return route
        if self._default is not None and is_bucket_name(bucket):
            return self._default
        raise _no_such_bucket(bucket)


def _no_such_bucket(bucket: str) -> S3Error:
    return S3Error("NoSuchBucket", "The specified bucket does not exist", details={"BucketName": bucket})


def _specificity(route: BucketRoute) -> tuple[int, int]:
    literal = re.sub(r"\[[^\]]*\]|[*?]", "", route.pattern)
    return len(literal), -route.pattern.count("*")


def _substitute(route: BucketRoute) -> BucketRoute:
    """The route as the one of other buckets: they are all the one that it names."""
    backend_bucket = named(route.backend_bucket or route.pattern, route.pattern)
    return replace(route, backend_bucket=backend_bucket, prefix=named(route.prefix, route.pattern), substitute=True)


def named(template: str, bucket: str) -> str:
    """A template with the client's name of the bucket put in."""
    return template.replace(NAME, bucket)


def resolve(route: BucketRoute, bucket: str, default: Endpoint | None) -> Destination:
    """The destination of `bucket` by its route.

    Args:
        route: what `Routes.find` gave.
        bucket: the name that the client used; empty for the root.
        default: the reverse target of the listener, if there is one.

    Raises:
        S3Error: ServiceUnavailable where neither the route nor the listener names a host; NoSuchBucket where the
            name that the template gives is none.
    """
    name = _backend_name(route, bucket)
    if route.aws is not None:
        return _aws_destination(route, route.aws, bucket, name)
    endpoint = route.endpoint or default
    if endpoint is None or endpoint.host.endswith(PLACEHOLDER_SUFFIX):
        raise S3Error.unavailable(
            "No backend is configured for this bucket.",
            reason=f"bucket {bucket!r} has no host and the listener no reverse target",
        )
    return Destination(
        client_bucket=bucket,
        bucket=name,
        endpoint=endpoint,
        region=route.region or region_of(endpoint.host) or DEFAULT_REGION,
        style=route.style or preferred_style(name, endpoint),
        verify=route.verify,
        prefix=named(route.prefix, bucket) if bucket else "",
    )


def _backend_name(route: BucketRoute, bucket: str) -> str:
    if not bucket:
        return ""
    name = bucket if route.backend_bucket is None else named(route.backend_bucket, bucket)
    if route.backend_bucket is not None and NAME in route.backend_bucket and not is_bucket_name(name):
        raise _no_such_bucket(bucket)
    return name


def _aws_destination(route: BucketRoute, options: AwsOptions, bucket: str, name: str) -> Destination:
    try:
        place = place_of(name, options)
    except ValueError as error:
        raise S3Error.unavailable(
            "No backend is configured for this bucket.", reason=f"bucket {bucket!r}: {error}"
        ) from None
    return Destination(
        client_bucket=bucket,
        bucket=name,
        endpoint=Endpoint(place.host, place.port, place.tls),
        region=place.region,
        style=place.style,
        verify=route.verify,
        prefix=named(route.prefix, bucket) if bucket else "",
        service=place.service,
        asymmetric=place.asymmetric,
        whole=place.whole,
        aws=None if is_multi_region(name) else options,
    )


def region_of(host: str) -> str | None:
    """The region that an AWS or IBM endpoint carries in its name."""
    for pattern in _REGION_IN_HOST:
        match = pattern.match(host)
        if match:
            return match[1]
    return None


def preferred_style(bucket: str, endpoint: Endpoint) -> AddressingStyle:
    """Virtual-hosted style, but for what cannot be a host name: IP addresses, unusual buckets, dots under TLS."""
    if is_ip_address(endpoint.host) or not all(_LABEL(label) for label in bucket.split(".")):
        return AddressingStyle.PATH
    if endpoint.tls and "." in bucket:
        return AddressingStyle.PATH
    return AddressingStyle.VIRTUAL


def is_ip_address(host: str) -> bool:
    """Whether a host is written as an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
