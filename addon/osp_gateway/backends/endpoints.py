"""Where AWS has a bucket: by botocore's own endpoint rules for S3, never by putting strings together.

The rules know partitions, dual-stack, FIPS and accelerated endpoints, and what access-point ARNs and aliases stand for.
They also say with which name, region and algorithm requests are signed there (`authSchemes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.endpoint_provider import EndpointProvider, RuleSetStandardLibrary
from botocore.exceptions import EndpointResolutionError
from botocore.loaders import Loader

from osp_gateway.s3.address import AddressingStyle

MAX_PLACES: Final = 4096
SYMMETRIC: Final = "sigv4"
ASYMMETRIC: Final = "sigv4a"


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """What the rules are asked with, besides the bucket: the parameters of the same names in botocore."""

    region: str
    dualstack: bool = False
    fips: bool = False
    accelerate: bool = False
    path_style: bool = False

    def in_region(self, region: str) -> AwsOptions:
        """The same in another region."""
        return replace(self, region=region)


@dataclass(frozen=True, slots=True)
class Place:
    """What the rules say about a bucket.

    `host` is without the bucket's name, unless the bucket has a host of its own (`whole`), as access points have;
    `service` and `region` are those of the credential scope; where `asymmetric`, `region` is a set of regions.
    """

    host: str
    port: int
    tls: bool
    style: AddressingStyle
    whole: bool
    service: str
    region: str
    asymmetric: bool


def is_arn(bucket: str) -> bool:
    """Whether a bucket is named by an Amazon Resource Name."""
    return bucket.startswith("arn:")


def region_of_arn(bucket: str) -> str | None:
    """The region that an ARN names; None for what is none and for those that have no region."""
    parts = bucket.split(":")
    return parts[3] or None if is_arn(bucket) and len(parts) > 3 else None


def is_multi_region(bucket: str) -> bool:
    """Whether a bucket is a Multi-Region Access Point: an ARN without a region."""
    return is_arn(bucket) and region_of_arn(bucket) is None


@lru_cache(maxsize=MAX_PLACES)
def place_of(bucket: str, options: AwsOptions) -> Place:
    """Where a bucket is.

    Args:
        bucket: a name, an access point's alias or an ARN; empty for the service itself.
        options: how it is to be reached.

    Raises:
        ValueError: there is no such place; the message is what the rules say.
    """
    parameters: dict[str, Any] = {
        "Region": options.region,
        "UseDualStack": options.dualstack,
        "UseFIPS": options.fips,
        "Accelerate": options.accelerate,
        "ForcePathStyle": options.path_style,
        "UseArnRegion": True,
        "DisableMultiRegionAccessPoints": False,
    }
    if bucket:
        parameters["Bucket"] = bucket
    try:
        endpoint = _provider().resolve_endpoint(**parameters)
    except EndpointResolutionError as error:
        raise ValueError(str(error)) from None
    scheme = _scheme(endpoint.properties.get("authSchemes", ()))
    url = urlsplit(endpoint.url)
    host, in_path = url.hostname or "", bool(url.path.strip("/"))
    own = f"{bucket}."
    whole = bool(bucket) and not in_path and not host.startswith(own)
    inner = host.removeprefix(own) if bucket and not in_path else host
    asymmetric = scheme["name"] == ASYMMETRIC
    return Place(
        host=inner,
        port=url.port or (443 if url.scheme == "https" else 80),
        tls=url.scheme == "https",
        style=AddressingStyle.PATH if in_path else AddressingStyle.VIRTUAL,
        whole=whole,
        service=scheme.get("signingName", "s3"),
        region=",".join(scheme["signingRegionSet"]) if asymmetric else scheme["signingRegion"],
        asymmetric=asymmetric,
    )


def _scheme(schemes: Any) -> Mapping[str, Any]:
    """The first way of signing that is known here, as botocore chooses."""
    for scheme in schemes:
        if scheme["name"] in (SYMMETRIC, ASYMMETRIC):
            found: Mapping[str, Any] = scheme
            return found
    names = ", ".join(scheme["name"] for scheme in schemes) or "none"
    raise ValueError(f"it is signed by {names}, which is not supported")


@lru_cache(maxsize=1)
def _provider() -> EndpointProvider:
    loader = Loader()
    rules = loader.load_service_model("s3", "endpoint-rule-set-1")
    return EndpointProvider(rules, _partitions())


@lru_cache(maxsize=1)
def _partitions() -> Mapping[str, Any]:
    partitions: Mapping[str, Any] = Loader().load_data("partitions")
    return partitions


@lru_cache(maxsize=1)
def _suffixes() -> tuple[str, ...]:
    outputs = [partition["outputs"] for partition in _partitions()["partitions"]]
    names = {output[name] for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")}
    return tuple(sorted(f".{name}" for name in names))


def is_aws_host(host: str) -> bool:
    """Whether a host name is one of AWS's, in any of its partitions."""
    return host.endswith(_suffixes())


@lru_cache(maxsize=1024)
def partition_of(region: str) -> str:
    """The partition of a region: worlds of their own, with their own accounts."""
    return str(_library().aws_partition(region)["name"])


@lru_cache(maxsize=1)
def _library() -> RuleSetStandardLibrary:
    return RuleSetStandardLibrary(_partitions())
