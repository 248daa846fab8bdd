"""Sessions recorded through a gateway, `osp replay` as a process, and a store that has changed."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from botocore.exceptions import ClientError

from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET, GatewayProcess, Running, Store, config_for, gateway
from support.s3 import client

TOLERANCES = Path(__file__).with_name("rclone.tolerances.toml")
"""What rclone's server answers otherwise each time."""
MIB = 1024 * 1024
SERVING = r"reverse proxy to [^\n]* listening at [^\s]*?:(\d+)\.?\s"


def keys(key: str = CLIENT_KEY, secret: str = CLIENT_SECRET) -> dict[str, str]:
    """An environment in which `osp replay` finds a key."""
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}


def osp(*arguments: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `osp` to its end."""
    return subprocess.run(
        [str(BIN / "osp"), *map(str, arguments)],
        env={**os.environ, **(env or keys())},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def replay(file: Path, url: str, *arguments: object, env: Mapping[str, str] | None = None) -> Any:
    """`osp replay`: its status, and its report as `result`."""
    done = osp("replay", file, "--against", url, "--json", "-", "--tolerances", TOLERANCES, *arguments, env=env)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return Replayed(done.returncode, json.loads(done.stdout), done.stderr)


@dataclass(frozen=True)
class Replayed:
    """What came of a replay."""

    status: int
    result: dict[str, Any]
    said: str

    @property
    def found(self) -> list[str]:
        """`GetObject key: where`, for each difference."""
        return [
            f"{entry['operation']} {entry['key'].rpartition('/')[2]}: {found['where']}"
            for entry in self.result["differences"]
            for found in entry["found"]
        ]

    def is_green(self, exchanges: int) -> bool:
        return self.status == 0 and self.result["same"] == exchanges == self.result["exchanges"]


@contextmanager
def recording(folder: Path, store: Store, validator: str = "", **options: str) -> Iterator[GatewayProcess]:
    """A gateway in mitmdump that records into `folder / "session.osp"`."""
    settings = {"osp_record": str(folder / "session.osp"), **options}
    with gateway(folder / "gateway", config_for(store, validator=validator), options=settings) as running:
        yield running


@contextmanager
def served(file: Path, folder: Path, *more: str) -> Iterator[str]:
    """`osp replay --serve`."""
    running = Running([str(BIN / "osp"), "replay", str(file), "--serve", *more], folder / "serve.log")
    try:
        yield f"http://127.0.0.1:{running.wait_for(SERVING)[0][1]}"
    finally:
        running.stop()


def error_of(call: Callable[..., Any], **arguments: Any) -> str:
    """The S3 code that a call fails with."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def everyday(s3: Any, prefix: str, bucket: str = "demo") -> list[Any]:
    """What programs do all day: returns what they saw. What it makes it removes."""
    seen: list[Any] = []
    small, other = f"{prefix}small.txt", f"{prefix}a key with spaces + signs é"
    s3.put_object(Bucket=bucket, Key=small, Body=b"small", Metadata={"colour": "blue"}, ContentType="text/plain")
    s3.put_object(Bucket=bucket, Key=other, Body=b"other", ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key=small)
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    seen.append((head["ContentLength"], metadata.get("colour")))
    got = s3.get_object(Bucket=bucket, Key=small)
    seen.append(got["Body"].read())
    seen.append(s3.get_object(Bucket=bucket, Key=other, Range="bytes=1-3")["Body"].read())
    seen.append(error_of(s3.get_object, Bucket=bucket, Key=small, IfNoneMatch=got["ETag"]))
    seen.append(error_of(s3.get_object, Bucket=bucket, Key=f"{prefix}missing"))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": 1})
    seen.append(sorted(entry["Key"] for page in pages for entry in page.get("Contents", [])))
    s3.copy_object(Bucket=bucket, Key=f"{prefix}copy", CopySource={"Bucket": bucket, "Key": small})
    seen.append(s3.get_object(Bucket=bucket, Key=f"{prefix}copy")["Body"].read())
    seen.append(in_parts(s3, bucket, f"{prefix}parts"))
    gone = [{"Key": key} for key in (small, other, f"{prefix}copy")]
    seen.append(sorted(found["Key"] for found in s3.delete_objects(Bucket=bucket, Delete={"Objects": gone})["Deleted"]))
    s3.delete_object(Bucket=bucket, Key=f"{prefix}parts")
    seen.append(at_once(s3, bucket, f"{prefix}at-once/"))
    seen.append(s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []))
    return seen


def at_once(s3: Any, bucket: str, prefix: str) -> list[bytes]:
    """Objects that are put, read and removed by several threads, one step after the other."""

    def each(step: Callable[[str], Any]) -> list[Any]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(step, [f"{prefix}{number}" for number in range(6)]))

    each(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode()))
    found = each(lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    each(lambda key: s3.delete_object(Bucket=bucket, Key=key))
    return found


def in_parts(s3: Any, bucket: str, key: str) -> tuple[int, bytes]:
    """A multipart upload, and what is read of it: its length, and octets about the seam."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, octets in enumerate((b"1" * (5 * MIB), b"the end"), 1):
        arguments = {"Bucket": bucket, "Key": key, "UploadId": upload, "PartNumber": number}
        parts.append({"ETag": s3.upload_part(**arguments, Body=octets)["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    abandoned = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=abandoned)
    whole = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    seam = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={5 * MIB - 2}-{5 * MIB + 2}")["Body"].read()
    return len(whole), seam


def through(running: GatewayProcess) -> Any:
    """boto3 through a gateway. Rclone answers ranges with the checksum of the whole."""
    return client(running.url, response_checksum_validation="when_required")


@dataclass
class Answer:
    """What a store has answered, to be changed."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes
    length: int | None = field(default=None)
    """The Content-Length, where it is to be another one than the body has."""

    def replace(self, old: bytes, new: bytes) -> None:
        assert old in self.body, self.body
        self.body = self.body.replace(old, new)

    def fails(self, status: int, code: str) -> None:
        self.status, self.headers = status, {"Content-Type": "application/xml"}
        self.body = b"" if self.method == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()


Change = Callable[[Answer], None]


@contextmanager
def changed(store: Store, change: Change) -> Iterator[str]:
    """The URL of a store that answers as `store` does, but for a change."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            found = Answer(self.command, self.path, response.status, dict(response.getheaders()), response.read())
            connection.close()
            length = found.headers.pop("Content-Length", None)
            found.headers.pop("Transfer-Encoding", None)
            change(found)
            self.send_response_only(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            if self.command != "HEAD":
                length = str(len(found.body) if found.length is None else found.length)
            if length is not None and found.status not in (204, 304):
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(found.body)
            self.close_connection = found.length is not None

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
