"""Sessions of clients as they are used: each makes, in a bucket, what it needs, and removes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET
from support.replays import everyday
from support.s3 import client

MIB = 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where a session is held, and with which key."""

    url: str
    bucket: str = "demo"
    key: str = CLIENT_KEY
    secret: str = CLIENT_SECRET

    @property
    def env(self) -> dict[str, str]:
        """For programs."""
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ALLOW_HTTP": "true",
        }


def run(command: list[object], env: Mapping[str, str]) -> str:
    """A program to its end; what it says."""
    done = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def folder_of_files(folder: Path) -> Path:
    """Three small files."""
    (folder / "folder").mkdir(exist_ok=True)
    for number in range(3):
        (folder / "folder" / f"{number}.txt").write_text(str(number))
    return folder / "folder"


def boto3(place: Place, _folder: Path) -> object:
    """All that programs do all day. Rclone answers ranges with the checksum of the whole."""
    s3 = client(place.url, place.key, place.secret, response_checksum_validation="when_required")
    return everyday(s3, "recorded/", place.bucket)


def aws_cli(place: Place, folder: Path) -> object:
    """What people type: one upload in parts, a folder, its listing, and its end."""
    files, there = folder_of_files(folder), f"s3://{place.bucket}/aws-recorded"
    (folder / "large").write_bytes(bytes(range(256)) * 40_960)

    def aws(*arguments: object) -> str:
        return run([BIN / "aws", "s3", *arguments], place.env)

    aws("cp", folder / "large", f"{there}/large")
    aws("sync", files, f"{there}/folder")
    listed = aws("ls", f"{there}/", "--recursive")
    aws("cp", f"{there}/large", folder / "back")
    aws("rm", f"{there}/", "--recursive")
    assert (folder / "back").read_bytes() == (folder / "large").read_bytes()
    return sorted(line.split()[-1] for line in listed.splitlines())


def rclone(place: Place, folder: Path) -> object:
    """A folder copied, checked and removed."""
    files = folder_of_files(folder)
    for file in files.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    remote = f":s3,provider=Other,endpoint='{place.url}',access_key_id={place.key},secret_access_key={place.secret}"
    there = f"{remote}:{place.bucket}/rclone-recorded"
    config = ["--config", folder / "rclone.conf", "--s3-no-check-bucket", "--retries", "1"]
    run([BIN / "rclone", "copy", files, there, *config], os.environ)
    run([BIN / "rclone", "check", files, there, *config], os.environ)
    listed = run([BIN / "rclone", "lsf", there, *config], os.environ)
    run([BIN / "rclone", "delete", there, *config], os.environ)
    return sorted(listed.split())


DELTALAKE = """
import sys
import pyarrow
from deltalake import DeltaTable, write_deltalake

place = f"s3://{sys.argv[1]}/delta-recorded/table"
for number, mode in enumerate(("error", "append", "overwrite")):
    write_deltalake(place, pyarrow.table({"id": [number]}), mode=mode)
assert DeltaTable(place).version() == 2
assert DeltaTable(place, version=1).count() == 2
print(DeltaTable(place).version())
"""


def deltalake(place: Place, _folder: Path) -> object:
    """A table that grows, whose commits are conditional requests."""
    version = run([sys.executable, "-c", DELTALAKE, place.bucket], place.env)
    s3 = client(place.url, place.key, place.secret)
    for entry in s3.list_objects_v2(Bucket=place.bucket, Prefix="delta-recorded/")["Contents"]:
        s3.delete_object(Bucket=place.bucket, Key=entry["Key"])
    return version


SESSIONS = {"boto3": boto3, "aws": aws_cli, "rclone": rclone, "deltalake": deltalake}
