"""minio-py: MinIO's client for Python."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, same

client = Steps("minio-py", package="minio")


def minio(target):
    """The authority comes from the environment."""
    from minio import Minio

    return Minio(target.netloc, access_key=target.key, secret_key=target.secret, secure=target.tls)


def read(target, key):
    answer = minio(target).get_object(bucket_name=target.bucket, object_name=key)
    with answer:
        return answer.read()


def write(target, key, body):
    minio(target).put_object(bucket_name=target.bucket, object_name=key, data=io.BytesIO(body), length=len(body))


@client.step
def put(target):
    write(target, f"{target.prefix}put", SMALL)
    same(read(target, f"{target.prefix}put"), SMALL)


@client.step
def get(target):
    same(read(target, SMALL_SEED), SMALL)


@client.step
def list_(target):
    found = minio(target).list_objects(bucket_name=target.bucket, prefix="seeds/list/", recursive=True)
    equal([entry.object_name for entry in found], list(LIST_SEEDS))


@client.step
def multipart(target):
    write(target, f"{target.prefix}large", large())
    equal(minio(target).stat_object(bucket_name=target.bucket, object_name=f"{target.prefix}large").size, len(large()))


@client.step
def download_large(target):
    minio(target).fget_object(bucket_name=target.bucket, object_name=LARGE_SEED, file_path="large")
    same(Path("large").read_bytes(), large())


@client.step
def presigned(target):
    url = minio(target).presigned_get_object(bucket_name=target.bucket, object_name=SMALL_SEED)
    same(fetch(url), SMALL)


@client.step
def presigned_put(target):
    url = minio(target).presigned_put_object(bucket_name=target.bucket, object_name=f"{target.prefix}presigned")
    fetch(url, "PUT", SMALL)
    same(read(target, f"{target.prefix}presigned"), SMALL)


@client.step
def post_form(target):
    from minio.datatypes import PostPolicy
    from urllib3 import PoolManager

    key = f"{target.prefix}posted"
    policy = PostPolicy(target.bucket, datetime.now(UTC) + timedelta(hours=1))
    policy.add_equals_condition("key", key)
    fields = {**minio(target).presigned_post_policy(policy), "key": key, "file": ("small", SMALL)}
    answer = PoolManager(ca_certs=target.ca or None).request("POST", f"{target.url}/{target.bucket}", fields=fields)
    if answer.status != 204:
        raise RuntimeError(f"{answer.status}: {answer.data.decode()}")
    same(read(target, key), SMALL)


@client.step
def stat_with_metadata(target):
    key = f"{target.prefix}metadata"
    minio(target).put_object(
        bucket_name=target.bucket, object_name=key, data=io.BytesIO(SMALL), length=len(SMALL),
        content_type="text/x-thing", metadata={"colour": "green"},
    )  # fmt: skip
    found = minio(target).stat_object(bucket_name=target.bucket, object_name=key)
    equal((found.content_type, found.metadata["x-amz-meta-colour"]), ("text/x-thing", "green"))


@client.step
def copy(target):
    from minio.commonconfig import CopySource

    key = f"{target.prefix}copy"
    source = CopySource(bucket_name=target.bucket, object_name=SMALL_SEED)
    minio(target).copy_object(bucket_name=target.bucket, object_name=key, source=source)
    same(read(target, key), SMALL)


@client.step
def compose(target):
    from minio.commonconfig import ComposeSource

    key = f"{target.prefix}composed"
    sources = [ComposeSource(bucket_name=target.bucket, object_name=name) for name in (LARGE_SEED, SMALL_SEED)]
    minio(target).compose_object(bucket_name=target.bucket, object_name=key, sources=sources)
    same(read(target, key), large() + SMALL)


@client.step
def remove_many(target):
    from minio.deleteobjects import DeleteObject

    keys = [f"{target.prefix}gone/{name}" for name in "ab"]
    for key in keys:
        write(target, key, SMALL)
    errors = minio(target).remove_objects(
        bucket_name=target.bucket, delete_object_list=[DeleteObject(key) for key in keys]
    )
    equal([error.message for error in errors], [])
    equal(list(minio(target).list_objects(bucket_name=target.bucket, prefix=f"{target.prefix}gone/")), [])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
