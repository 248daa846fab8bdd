"""s5cmd: a command line client for very many objects, on the AWS SDK for Go, version 1."""

from __future__ import annotations

import sys
from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, run, same

client = Steps("s5cmd", package="s5cmd")


def s5cmd(target, *words, data=None):
    """It has no variable of AWS's for the endpoint, but one of its own."""
    return run(Path(sys.executable).with_name("s5cmd"), *words, env={"S3_ENDPOINT_URL": target.url}, data=data)


@client.step
def put(target):
    Path("small").write_bytes(SMALL)
    s5cmd(target, "cp", "small", f"s3://{target.bucket}/{target.prefix}put")
    same(s5cmd(target, "cat", f"s3://{target.bucket}/{target.prefix}put").encode(), SMALL)


@client.step
def get(target):
    s5cmd(target, "cp", f"s3://{target.bucket}/{SMALL_SEED}", "got")
    same(Path("got").read_bytes(), SMALL)


@client.step
def list_(target):
    lines = s5cmd(target, "ls", f"s3://{target.bucket}/seeds/list/*").splitlines()
    equal([f"seeds/list/{line.split(maxsplit=3)[3]}" for line in lines], list(LIST_SEEDS))


@client.step
def multipart(target):
    """Parts are of 50 MiB unless told; two parts, then."""
    Path("large").write_bytes(large() * 3)
    s5cmd(target, "cp", "large", f"s3://{target.bucket}/{target.prefix}large")
    equal(int(s5cmd(target, "ls", f"s3://{target.bucket}/{target.prefix}large").split()[2]), 3 * len(large()))


@client.step
def download_large(target):
    s5cmd(target, "cp", f"s3://{target.bucket}/{LARGE_SEED}", "back")
    same(Path("back").read_bytes(), large())


@client.step
def presigned(target):
    same(fetch(s5cmd(target, "presign", f"s3://{target.bucket}/{SMALL_SEED}").strip()), SMALL)


@client.step
def pipe(target):
    there = f"s3://{target.bucket}/{target.prefix}piped"
    s5cmd(target, "pipe", there, data=SMALL)
    same(s5cmd(target, "cat", there).encode(), SMALL)


@client.step
def copy(target):
    there = f"s3://{target.bucket}/{target.prefix}copy"
    s5cmd(target, "cp", f"s3://{target.bucket}/{SMALL_SEED}", there)
    same(s5cmd(target, "cat", there).encode(), SMALL)


@client.step
def sync(target):
    Path("tree/sub").mkdir(parents=True)
    for name in ("a.txt", "b c+d.txt", "sub/ü.txt"):
        Path("tree", name).write_text(name)
    s5cmd(target, "sync", "tree/", f"s3://{target.bucket}/{target.prefix}tree/")
    s5cmd(target, "sync", f"s3://{target.bucket}/{target.prefix}tree/*", "tree-back/")
    equal(Path("tree-back/sub/ü.txt").read_text(), "sub/ü.txt")


@client.step
def remove_many(target):
    there = f"s3://{target.bucket}/{target.prefix}gone/"
    commands = [f"cp small {there}{number}" for number in range(20)]
    s5cmd(target, "run", data="\n".join(commands).encode())
    s5cmd(target, "rm", f"{there}*")
    equal(s5cmd(target, "ls", f"s3://{target.bucket}/{target.prefix}").count("gone/"), 0)


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
