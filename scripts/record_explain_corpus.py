#!/usr/bin/env python3
"""Records signed requests of real clients for tests/unit/sigv4/test_explain_corpus.py.

    PYTHONPATH=addon:tests .venv/bin/python scripts/record_explain_corpus.py

Each client is pointed at a recorder on loopback, with a key that is made up. What it sent is written, octet for octet,
into tests/unit/sigv4/explain_corpus/CLIENT-WHAT.http; a User-Agent that is not signed is replaced, for it tells of the
machine. Clients that are not installed are left out, and said so.
"""

import http.client
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from minio import Minio

from support.client_steps import Missing
from support.client_tools import installed
from support.explain_corpus import FOLDER, KEY, SECRET
from support.recorder import Answer, Recorded, Recorder

BUCKET = "demo"
KEY_OF_OBJECT = "folder//a b+c/d.txt"
PLAIN = "folder/plain.txt"
BODY = b"not much of a body\n"
REGION = "us-east-1"
METHODS = {"put": "PUT", "get": "GET", "head": "HEAD", "list": "GET", "delete": "DELETE", "presigned": "GET"}
LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>demo</Name><Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
    b"</ListBucketResult>"
)
JS = """
const { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const [what, Key] = process.argv.slice(2);
const s3 = new S3Client({ forcePathStyle: true, maxAttempts: 1 });
const Bucket = "demo";
const steps = {
  put: () => s3.send(new PutObjectCommand({ Bucket, Key, Body: "not much of a body\\n", ContentType: "text/plain" })),
  get: () => s3.send(new GetObjectCommand({ Bucket, Key })),
  list: () => s3.send(new ListObjectsV2Command({ Bucket, Prefix: "folder/a b", Delimiter: "/" })),
  presigned: async () => fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 600 })),
};
steps[what]().catch(() => undefined).finally(() => process.exit(0));
"""


def main() -> None:
    """Record all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, record in (
        ("boto3", sdk_for_python),
        ("awscli", aws_cli),
        ("minio", minio),
        ("rclone", rclone),
        ("js", javascript),
    ):
        with Recorder().running() as recorder, tempfile.TemporaryDirectory() as folder:
            recorder.answer = answer
            try:
                steps = record(f"http://127.0.0.1:{recorder.port}", Path(folder))
            except (Missing, FileNotFoundError) as error:
                print(f"{name}: left out: {error}")
                continue
            for what, step in steps.items():
                recorder.requests.clear()
                step()
                write(f"{name}-{what}", recorder.requests)


def answer(request: Recorded) -> Answer:
    """Something that lets a client go on."""
    if request.method == "GET" and request.path.rstrip("/") == f"/{BUCKET}":
        return Answer(200, (("Content-Type", "application/xml"),), LISTING)
    body = BODY if request.method in ("GET", "HEAD") else b""
    return Answer(200, (("ETag", '"0123456789abcdef0123456789abcdef"'), ("Content-Type", "text/plain")), body)


def write(name: str, requests: list[Recorded]) -> None:
    """The request that a step is about."""
    method = METHODS[name.partition("-")[2]]
    signed = [r for r in requests if r.get("authorization") or "X-Amz-Signature" in r.target]
    wanted = [r for r in signed if r.method == method and ("list" in name or "/folder/" in r.path)]
    if not wanted:
        print(f"{name}: not seen among {[(r.method, r.target[:60]) for r in requests]}")
        return
    request = wanted[-1]
    head = request.raw_head
    names = (request.get("authorization") or "").partition("SignedHeaders=")[2].partition(",")[0]
    if "user-agent" not in names.split(";"):
        lines = head.split(b"\r\n")
        agent = b"User-Agent: " + name.partition("-")[0].encode()
        head = b"\r\n".join([agent if line.lower().startswith(b"user-agent:") else line for line in lines])
    (FOLDER / f"{name}.http").write_bytes(head + request.body)
    print(f"{name}: {request.method} {request.target[:60]}")


def environment(url: str, folder: Path) -> dict[str, str]:
    """What AWS's own clients look at."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("AWS_") and "proxy" not in n.lower()}
    return {
        **inherited,
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run(command: list[object], env: dict[str, str], data: bytes = b"") -> str:
    """A client's process; that it does not like the recorder's answer does not matter."""
    done = subprocess.run(list(map(str, command)), env=env, input=data, capture_output=True, check=False, timeout=60)
    return done.stdout.decode()


Steps = dict[str, Callable[[], Any]]


def sdk_for_python(url: str, _: Path) -> Steps:
    """The SDK for Python."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
    s3 = boto3.client("s3", endpoint_url=url, config=config, **keys)
    get = {"Bucket": BUCKET, "Key": KEY_OF_OBJECT}
    return {
        "put": lambda: s3.put_object(**get, Body=BODY, ContentType="text/plain", Metadata={"colour": "light  blue"}),
        "get": lambda: s3.get_object(Bucket=BUCKET, Key=PLAIN),
        "list": lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="folder/a b+c", Delimiter="/"),
        "delete": lambda: s3.delete_object(**get),
        "presigned": lambda: fetch(s3.generate_presigned_url("get_object", Params=get, ExpiresIn=600)),
    }


def fetch(url: str) -> None:
    """A presigned URL, as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", f"{parts.path}?{parts.query}")
    connection.getresponse().read()
    connection.close()


def aws_cli(url: str, folder: Path) -> Steps:
    """The command line of AWS."""
    env = environment(url, folder)
    file = folder / "file"
    file.write_bytes(BODY)
    (folder / ".aws").mkdir()
    (folder / ".aws/config").write_text("[default]\ns3 =\n  addressing_style = path\n  signature_version = s3v4\n")
    aws = Path(sys.executable).parent / "aws"
    return {
        "put": lambda: run([aws, "s3", "cp", file, f"s3://{BUCKET}/{KEY_OF_OBJECT}"], env),
        "head": lambda: run([aws, "s3api", "head-object", "--bucket", BUCKET, "--key", PLAIN], env),
        "list": lambda: run([aws, "s3", "ls", f"s3://{BUCKET}/folder/"], env),
        "presigned": lambda: fetch(run([aws, "s3", "presign", f"s3://{BUCKET}/{PLAIN}"], env).strip()),
    }


def minio(url: str, _: Path) -> Steps:
    """minio-py."""
    client = Minio(urlsplit(url).netloc, KEY, SECRET, secure=False, region=REGION)

    def put() -> None:
        client.put_object(BUCKET, PLAIN, io.BytesIO(BODY), len(BODY), content_type="text/plain")

    return {
        "put": put,
        "get": lambda: client.get_object(BUCKET, "folder/a b+c/d.txt").read(),
        "list": lambda: list(client.list_objects(BUCKET, prefix="folder/a b")),
        "presigned": lambda: fetch(client.presigned_get_object(BUCKET, PLAIN)),
    }


def rclone(url: str, folder: Path) -> Steps:
    """rclone: the SDK for Go, which signs Accept-Encoding."""
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET, "ENDPOINT": url}
    env = {**environment(url, folder), "RCLONE_CONFIG_STORE_REGION": REGION}
    env |= {f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()}
    program = Path(sys.executable).parent / "rclone"
    words = ["--retries", 1, "--low-level-retries", 1]
    return {
        "put": lambda: run([program, "rcat", f"store:{BUCKET}/{PLAIN}", *words], env, BODY),
        "head": lambda: run([program, "cat", f"store:{BUCKET}/folder/a b+c/d.txt", *words], env),
        "list": lambda: run([program, "lsf", f"store:{BUCKET}/folder/a b", *words], env),
    }


def javascript(url: str, folder: Path) -> Steps:
    """The SDK for JavaScript."""
    packages = ("@aws-sdk/client-s3", "@aws-sdk/lib-storage", "@aws-sdk/s3-request-presigner")
    place = installed("aws-sdk-js", ["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", *packages])
    env = {**environment(url, folder), "NODE_PATH": str(place / "node_modules")}
    script = folder / "client.cjs"
    script.write_text(JS, encoding="utf-8")
    keys = {"put": KEY_OF_OBJECT, "get": "folder/a b+c/d.txt", "list": "", "presigned": PLAIN}
    return {what: lambda w=what, k=key: run(["node", script, w, k], env) for what, key in keys.items()}


if __name__ == "__main__":
    main()
