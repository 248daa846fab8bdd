"""The aws CLI: the commands that people type."""

from __future__ import annotations

import sys
from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, run, same

client = Steps("aws CLI", package="awscli")


def aws(*words):
    try:
        return run(Path(sys.executable).parent / "aws", *words)
    except RuntimeError as error:  # of errors in parallel, one is told, and always the same
        raise RuntimeError(min(str(error).splitlines())) from None


@client.step
def put(target):
    Path("small").write_bytes(SMALL)
    aws("s3", "cp", "small", f"s3://{target.bucket}/{target.prefix}put")
    same(aws("s3", "cp", f"s3://{target.bucket}/{target.prefix}put", "-").encode(), SMALL)


@client.step
def get(target):
    aws("s3", "cp", f"s3://{target.bucket}/{SMALL_SEED}", "got")
    same(Path("got").read_bytes(), SMALL)


@client.step
def list_(target):
    lines = aws("s3", "ls", "--recursive", f"s3://{target.bucket}/seeds/list/").splitlines()
    equal([line.split(maxsplit=3)[3] for line in lines], list(LIST_SEEDS))


@client.step
def multipart(target):
    Path("large").write_bytes(large())
    aws("s3", "cp", "large", f"s3://{target.bucket}/{target.prefix}large")
    equal(int(aws("s3", "ls", f"s3://{target.bucket}/{target.prefix}large").split()[2]), len(large()))


@client.step
def download_large(target):
    aws("s3", "cp", f"s3://{target.bucket}/{LARGE_SEED}", "back")
    same(Path("back").read_bytes(), large())


@client.step
def presigned(target):
    url = aws("s3", "presign", f"s3://{target.bucket}/{SMALL_SEED}").strip()
    same(fetch(url), SMALL)


@client.step
def presigned_in_us_east_1(target):
    """There, the aws CLI signs with version 2."""
    url = aws("--region", "us-east-1", "s3", "presign", f"s3://{target.bucket}/{SMALL_SEED}").strip()
    same(fetch(url), SMALL)


@client.step
def sync(target):
    Path("tree/sub").mkdir(parents=True)
    for name in ("a.txt", "b c+d.txt", "sub/ü.txt"):
        Path("tree", name).write_text(name)
    aws("s3", "sync", "tree", f"s3://{target.bucket}/{target.prefix}tree")
    aws("s3", "sync", f"s3://{target.bucket}/{target.prefix}tree", "tree-back")
    equal((Path("tree-back/sub/ü.txt")).read_text(), "sub/ü.txt")


@client.step
def copy(target):
    there = f"s3://{target.bucket}/{target.prefix}copy"
    aws("s3", "cp", f"s3://{target.bucket}/{SMALL_SEED}", there)
    same(aws("s3", "cp", there, "-").encode(), SMALL)


@client.step
def remove(target):
    there = f"s3://{target.bucket}/{target.prefix}gone/"
    aws("s3", "cp", "small", f"{there}a")
    aws("s3", "rm", "--recursive", there)
    equal(
        aws("s3api", "list-objects-v2", "--bucket", target.bucket, "--prefix", f"{target.prefix}gone/").count('"Key"'),
        0,
    )


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
