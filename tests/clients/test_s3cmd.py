"""s3cmd: the oldest of the command line clients."""

from __future__ import annotations

import sys
from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, run, same

client = Steps("s3cmd", package="s3cmd")


def s3cmd(target, *words):
    """With a configuration file as `s3cmd --configure` writes it."""
    lines = [
        "[default]",
        f"access_key = {target.key}",
        f"secret_key = {target.secret}",
        f"bucket_location = {target.region}",
        f"host_base = {target.netloc}",
        f"host_bucket = {target.netloc}",
        f"use_https = {target.tls}",
        *([f"ca_certs_file = {target.ca}"] if target.tls else []),
    ]
    Path("s3cfg").write_text("\n".join(lines) + "\n")
    script = Path(sys.executable).parent / "s3cmd"
    return run(sys.executable, script, "--config", "s3cfg", "--no-progress", *words)


@client.step
def put(target):
    Path("small").write_bytes(SMALL)
    s3cmd(target, "put", "small", f"s3://{target.bucket}/{target.prefix}put")
    same(s3cmd(target, "get", f"s3://{target.bucket}/{target.prefix}put", "-").encode(), SMALL)


@client.step
def get(target):
    s3cmd(target, "get", f"s3://{target.bucket}/{SMALL_SEED}", "got")
    same(Path("got").read_bytes(), SMALL)


@client.step
def list_(target):
    lines = s3cmd(target, "ls", "--recursive", f"s3://{target.bucket}/seeds/list/").splitlines()
    equal([line.split(maxsplit=3)[3] for line in lines], [f"s3://{target.bucket}/{key}" for key in LIST_SEEDS])


@client.step
def multipart(target):
    Path("large").write_bytes(large())
    s3cmd(target, "put", "large", f"s3://{target.bucket}/{target.prefix}large")
    equal(int(s3cmd(target, "ls", f"s3://{target.bucket}/{target.prefix}large").split()[2]), len(large()))


@client.step
def download_large(target):
    s3cmd(target, "get", f"s3://{target.bucket}/{LARGE_SEED}", "back")
    same(Path("back").read_bytes(), large())


@client.step
def presigned(target):
    """Signature version 2, whatever the endpoint."""
    url = s3cmd(target, "signurl", f"s3://{target.bucket}/{SMALL_SEED}", "+600").strip()
    same(fetch(url), SMALL)


@client.step
def info(target):
    if "File size: 15" not in s3cmd(target, "info", f"s3://{target.bucket}/{SMALL_SEED}"):
        raise AssertionError("no size in what it says")


@client.step
def sync(target):
    Path("tree/sub").mkdir(parents=True)
    for name in ("a.txt", "b c+d.txt", "sub/ü.txt"):
        Path("tree", name).write_text(name)
    s3cmd(target, "sync", "tree/", f"s3://{target.bucket}/{target.prefix}tree/")
    s3cmd(target, "sync", f"s3://{target.bucket}/{target.prefix}tree/", "tree-back/")
    equal(Path("tree-back/sub/ü.txt").read_text(), "sub/ü.txt")


@client.step
def copy(target):
    there = f"s3://{target.bucket}/{target.prefix}copy"
    s3cmd(target, "cp", f"s3://{target.bucket}/{SMALL_SEED}", there)
    same(s3cmd(target, "get", there, "-").encode(), SMALL)


@client.step
def remove(target):
    there = f"s3://{target.bucket}/{target.prefix}gone/"
    s3cmd(target, "put", "small", f"{there}a")
    s3cmd(target, "rm", "--recursive", there)
    equal(s3cmd(target, "ls", there), "")


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
