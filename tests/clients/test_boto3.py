"""boto3: the AWS SDK for Python."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, Target, equal, fetch, large, same

client = Steps("boto3", package="boto3")


def s3(target: Target) -> Any:
    """Endpoint, credentials and authority come from the environment."""
    import boto3

    return boto3.client("s3")


@client.step
def put(target):
    s3(target).put_object(Bucket=target.bucket, Key=f"{target.prefix}put", Body=SMALL)
    same(s3(target).get_object(Bucket=target.bucket, Key=f"{target.prefix}put")["Body"].read(), SMALL)


@client.step
def get(target):
    same(s3(target).get_object(Bucket=target.bucket, Key=SMALL_SEED)["Body"].read(), SMALL)


@client.step
def list_(target):
    found = s3(target).list_objects_v2(Bucket=target.bucket, Prefix="seeds/list/")
    equal([entry["Key"] for entry in found["Contents"]], list(LIST_SEEDS))


@client.step
def multipart(target):
    s3(target).upload_fileobj(io.BytesIO(large()), target.bucket, f"{target.prefix}large")
    equal(s3(target).head_object(Bucket=target.bucket, Key=f"{target.prefix}large")["ContentLength"], len(large()))


@client.step
def download_large(target):
    s3(target).download_file(target.bucket, LARGE_SEED, "large")
    same(Path("large").read_bytes(), large())


@client.step
def presigned(target):
    place = {"Bucket": target.bucket, "Key": SMALL_SEED}
    same(fetch(s3(target).generate_presigned_url("get_object", place)), SMALL)


@client.step
def presigned_in_us_east_1(target):
    """There, boto3 signs with version 2."""
    import boto3

    place = {"Bucket": target.bucket, "Key": SMALL_SEED}
    same(fetch(boto3.client("s3", region_name="us-east-1").generate_presigned_url("get_object", place)), SMALL)


@client.step
def presigned_put(target):
    place = {"Bucket": target.bucket, "Key": f"{target.prefix}presigned"}
    url = s3(target).generate_presigned_url("put_object", place)
    fetch(url, "PUT", SMALL)
    same(s3(target).get_object(**place)["Body"].read(), SMALL)


@client.step
def copy(target):
    source = {"Bucket": target.bucket, "Key": SMALL_SEED}
    s3(target).copy(source, target.bucket, f"{target.prefix}copy")
    same(s3(target).get_object(Bucket=target.bucket, Key=f"{target.prefix}copy")["Body"].read(), SMALL)


@client.step
def delete_many(target):
    s3(target).put_object(Bucket=target.bucket, Key=f"{target.prefix}gone", Body=SMALL)
    batch = {"Objects": [{"Key": f"{target.prefix}gone"}]}
    answer = s3(target).delete_objects(Bucket=target.bucket, Delete=batch)
    equal([entry["Key"] for entry in answer["Deleted"]], [f"{target.prefix}gone"])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
