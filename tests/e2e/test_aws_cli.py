"""The aws CLI as a client: the commands that people type."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess

import pytest

from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET
from support.raw_s3 import send

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def aws_config(tmp_path_factory):
    """Without it, `aws s3 presign` in us-east-1 still signs with version 2."""
    file = tmp_path_factory.mktemp("aws") / "config"
    file.write_text("[default]\nregion = us-east-1\noutput = json\ns3 =\n    signature_version = s3v4\n")
    return file


@pytest.fixture
def aws(osp, aws_config):
    """Run `aws` against the gateway and return its output; its keys are in its own environment only."""

    def run(*arguments, secret=CLIENT_SECRET, succeeds=True):
        env = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": CLIENT_KEY,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_CONFIG_FILE": str(aws_config),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
        command = [str(BIN / "aws"), "--endpoint-url", osp.url, *map(str, arguments)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
        return done.stdout if succeeds else done.stderr

    return run


@pytest.fixture
def keys_of(direct, prefix):
    """The keys below the test's prefix, as the store has them."""

    def keys(bucket="demo"):
        found = direct.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"].removeprefix(prefix) for entry in found]

    return keys


@pytest.fixture
def tree(tmp_path):
    """A folder with a few files in it."""
    root = tmp_path / "tree"
    for name in ("a.txt", "b c+d.txt", "sub/ü.txt", "sub/deep/100%.txt"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return root


TREE = ["a.txt", "b c+d.txt", "sub/deep/100%.txt", "sub/ü.txt"]


@pytest.mark.parametrize("size", [0, 5, 20 * MIB], ids=["empty", "small", "20-mib-in-parts"])
def test_cp_uploads(aws, direct, prefix, tmp_path, size):
    file = tmp_path / "a file"
    file.write_bytes(random.Random(size).randbytes(size))
    aws("s3", "cp", file, f"s3://demo/{prefix}a file")
    stored = direct.get_object(Bucket="demo", Key=f"{prefix}a file")["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(file.read_bytes()).digest()


@pytest.mark.parametrize("size", [0, 5, 20 * MIB], ids=["empty", "small", "20-mib-in-parts"])
def test_cp_downloads(aws, direct, prefix, tmp_path, size):
    """Uploaded in parts: rclone answers a range of what was put in one piece with the whole object's checksum."""
    body = random.Random(size).randbytes(size)
    direct.upload_fileobj(io.BytesIO(body), "demo", f"{prefix}a+b")
    aws("s3", "cp", f"s3://demo/{prefix}a+b", tmp_path / "back")
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(body).digest()


def test_cp_copies_between_buckets(aws, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}from", Body=b"copied")
    aws("s3", "cp", f"s3://demo/{prefix}from", f"s3://renamed/{prefix}to")
    assert direct.get_object(Bucket="backend-name", Key=f"{prefix}to")["Body"].read() == b"copied"


def test_mv_moves(aws, keys_of, direct, prefix, tmp_path):
    direct.put_object(Bucket="demo", Key=f"{prefix}from", Body=b"moved")
    aws("s3", "mv", f"s3://demo/{prefix}from", tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == b"moved"
    assert keys_of() == []


def test_ls_lists_the_buckets(aws):
    assert [line.split()[-1] for line in aws("s3", "ls").splitlines()] == ["demo", "renamed"]


def test_ls_shows_prefixes_and_objects(aws, direct, prefix):
    for name in ("file one", "folder/file"):
        direct.put_object(Bucket="demo", Key=prefix + name, Body=b"12345")
    folder, file = aws("s3", "ls", f"s3://demo/{prefix}").splitlines()
    assert folder.split() == ["PRE", "folder/"]
    assert file.endswith(" 5 file one")


def test_ls_recursive_shows_everything_below(aws, direct, prefix):
    for name in TREE:
        direct.put_object(Bucket="demo", Key=prefix + name, Body=b"x")
    lines = aws("s3", "ls", "--recursive", f"s3://demo/{prefix}").splitlines()
    assert [line.split(maxsplit=3)[3] for line in lines] == [prefix + name for name in TREE]


def test_ls_pages_through_a_listing(aws, direct, prefix):
    for number in range(7):
        direct.put_object(Bucket="demo", Key=f"{prefix}{number}", Body=b"x")
    assert len(aws("s3", "ls", "--page-size", "3", f"s3://demo/{prefix}").splitlines()) == 7


def test_sync_uploads_a_folder_and_then_nothing(aws, keys_of, prefix, tree):
    aws("s3", "sync", tree, f"s3://demo/{prefix}")
    assert keys_of() == TREE
    assert "upload:" not in aws("s3", "sync", "--size-only", tree, f"s3://demo/{prefix}")


def test_sync_downloads_a_folder(aws, direct, prefix, tmp_path):
    for name in TREE:
        direct.put_object(Bucket="demo", Key=prefix + name, Body=name.encode())
    aws("s3", "sync", f"s3://demo/{prefix}", tmp_path / "down")
    assert {str(f.relative_to(tmp_path / "down")): f.read_text() for f in (tmp_path / "down").rglob("*.txt")} == {
        name: name for name in TREE
    }


def test_sync_delete_removes_what_is_not_there_any_more(aws, keys_of, direct, prefix, tree):
    direct.put_object(Bucket="demo", Key=f"{prefix}gone", Body=b"x")
    aws("s3", "sync", "--delete", tree, f"s3://demo/{prefix}")
    assert keys_of() == TREE


def test_rm_recursive_removes_everything_below(aws, keys_of, direct, prefix):
    for name in TREE:
        direct.put_object(Bucket="demo", Key=prefix + name, Body=b"x")
    aws("s3", "rm", "--recursive", f"s3://demo/{prefix}")
    assert keys_of() == []


def test_head_object_describes_the_object(aws, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"12345", ContentType="text/x-thing")
    answer = json.loads(aws("s3api", "head-object", "--bucket", "demo", "--key", f"{prefix}x"))
    assert (answer["ContentLength"], answer["ContentType"]) == (5, "text/x-thing")


def test_delete_objects_removes_a_batch(aws, keys_of, direct, prefix):
    for name in ("a", "b"):
        direct.put_object(Bucket="demo", Key=prefix + name, Body=b"x")
    batch = json.dumps({"Objects": [{"Key": f"{prefix}a"}, {"Key": f"{prefix}b"}]})
    aws("s3api", "delete-objects", "--bucket", "demo", "--delete", batch)
    assert keys_of() == []


def test_presign_makes_a_url_that_anybody_can_read_with(aws, osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}a b", Body=b"shared")
    url = aws("s3", "presign", f"s3://demo/{prefix}a b", "--expires-in", "600").strip()
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    answer = send("GET", osp.url, url.removeprefix(osp.url))
    assert (answer.status, answer.body) == (200, b"shared")


def test_a_renamed_bucket_is_used_by_its_own_name(aws, keys_of, prefix, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    aws("s3", "cp", file, f"s3://renamed/{prefix}file")
    assert keys_of("backend-name") == ["file"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("s3api", "get-object", "--bucket", "demo", "--key", "denied/x", os.devnull), "AccessDenied"),
        (("s3api", "get-object", "--bucket", "nowhere", "--key", "x", os.devnull), "NoSuchBucket"),
        (("s3", "ls", "s3://nowhere"), "NoSuchBucket"),
        (("s3", "cp", "s3://demo/denied/x", "-"), "403"),
    ],
    ids=["denied", "unknown-bucket", "ls-unknown-bucket", "cp-denied"],
)
def test_a_refusal_is_told_in_the_words_of_s3(aws, arguments, said):
    assert said in aws(*arguments, succeeds=False)


def test_a_wrong_secret_is_told_in_the_words_of_s3(aws):
    assert "SignatureDoesNotMatch" in aws("s3", "ls", secret="another-fake-secret", succeeds=False)
