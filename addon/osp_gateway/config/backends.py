"""What an operator writes about backends beyond hosts and keys: credentials that botocore finds, AWS, prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from osp_gateway.backends.endpoints import AwsOptions, is_arn, is_multi_region, place_of, region_of_arn
from osp_gateway.backends.routes import NAME, ApiKey, ChainSource, CredentialSource
from osp_gateway.config.model import BucketModel, CredentialsModel
from osp_gateway.s3.address import is_bucket_name
from osp_gateway.sigv4.keys import KeyPair

BOTOCORE: Final = "botocore"
_ANY_REGION: Final = "us-east-1"
"""For Multi-Region Access Points, which are in none."""
_EXAMPLE: Final = "example"
"""For buckets whose name is not known beforehand: whether their options go together."""

Written = BucketModel | CredentialsModel


def is_botocores(entry: Written) -> bool:
    """Whether botocore finds these credentials, or assumes a role for them."""
    return entry.credentials == BOTOCORE or entry.profile is not None or entry.role_arn is not None


def has_credentials(bucket: BucketModel) -> bool:
    """Whether a bucket has any of its own."""
    written = (bucket.access_key, bucket.api_key, bucket.credentials, bucket.profile, bucket.role_arn)
    return any(value is not None for value in written)


def source_of(entry: Written, names: Mapping[str, CredentialSource]) -> CredentialSource | None:
    """The credentials of an entry in which no mistake was found; `names` are those of `backend_credentials`."""
    pair = _pair(entry)
    if is_botocores(entry):
        return ChainSource(
            profile=entry.profile,
            role_arn=entry.role_arn,
            external_id=entry.external_id,
            session_name=entry.role_session_name,
            region=entry.region,
            pair=pair,
        )
    if entry.credentials is not None:
        return names[entry.credentials]
    return ApiKey(entry.api_key) if entry.api_key is not None else pair


def _pair(entry: Written) -> KeyPair | None:
    if entry.access_key is None or entry.secret_key is None:
        return None
    token = entry.session_token if isinstance(entry, CredentialsModel) else None
    return KeyPair(entry.access_key, entry.secret_key, token)


def aws_options(name: str, bucket: BucketModel) -> AwsOptions | None:
    """How a bucket is reached at AWS; None where it is elsewhere, or its host is written."""
    written = bucket.bucket or name
    if bucket.aws is None and not is_arn(written):
        return None
    region = bucket.region or region_of_arn(written) or (_ANY_REGION if is_multi_region(written) else "")
    options = bucket.aws
    return AwsOptions(
        region=region,
        dualstack=options is not None and options.dualstack,
        fips=options is not None and options.fips,
        accelerate=options is not None and options.accelerate,
        path_style=bucket.addressing_style == "path",
    )


def backend_problems(bucket: BucketModel, name: str, named: Mapping[str, CredentialsModel]) -> list[str]:
    """Mistakes of a bucket that no single field shows, each to be put after the bucket's place."""
    problems = chain_problems(bucket)
    if bucket.credentials not in (None, BOTOCORE, *named):
        problems.append('.credentials: expected "botocore" or a name in backend_credentials')
    if bucket.credentials not in (None, BOTOCORE) and (bucket.access_key or bucket.api_key):
        problems.append(": both `credentials` and a key, expected one of them")
    return problems + _aws_problems(bucket, name)


def chain_problems(entry: Written) -> list[str]:
    """Mistakes in how botocore is to find credentials."""
    problems = []
    if is_botocores(entry):
        if entry.api_key is not None:
            problems.append(": both an API key and credentials of AWS, expected one of them")
        if entry.access_key is not None and (entry.role_arn is None or entry.profile or entry.credentials):
            problems.append(": both access_key and credentials that botocore finds, expected one of them")
        if entry.credentials not in (None, BOTOCORE):
            problems.append(": both the name of credentials and a profile or a role, expected one of them")
    if entry.role_arn is None and (entry.external_id or entry.role_session_name):
        problems.append(".role_arn: missing, expected with external_id and role_session_name")
    return problems


def _aws_problems(bucket: BucketModel, name: str) -> list[str]:
    options = aws_options(name, bucket)
    if options is None:
        return []
    if bucket.host is not None:
        return [".host: expected none where botocore's rules say where AWS has the bucket (`aws`, or an ARN)"]
    if not options.region:
        return [".region: missing, expected with aws"]
    try:
        place_of(_an_example(bucket.bucket or name), options)
    except ValueError as error:
        return [f": botocore's endpoint rules do not know such a place: {error}"]
    return []


def _an_example(written: str) -> str:
    name = written.replace(NAME, _EXAMPLE)
    return name if is_arn(name) or is_bucket_name(name) else _EXAMPLE


def default_bucket_problems(default: str | None, buckets: Mapping[str, BucketModel]) -> list[str]:
    """Mistakes in what takes the names that are not configured."""
    if default is None:
        return []
    if default not in buckets or any(c in default for c in "*?["):
        return ["default_bucket: expected the name of a bucket in cos_map"]
    if "*" in buckets:
        return ["default_bucket: it would never be used, the pattern * takes all names"]
    return []
