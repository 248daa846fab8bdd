"""What a client does, in steps: the part that runs in a process of its own, and that needs nothing but Python.

A file `tests/clients/test_NAME.py` says what a client does with one object of this module::

    client = Steps("minio-py", package="minio")

    @client.step                       # the function's name is the step's: put, get, list, multipart, presigned
    def put(target: Target) -> None:   # returns: it worked; raises: it did not; NotApplicable: the client has no such
        ...

    def test_what_works_direct_works_through_the_gateway(verdict):
        assert not verdict.regressions

and the framework (support/clients.py) runs it in a fresh process against every backend, direct and through the
gateway. The process starts with the target's environment (`Target.env`), in which a client finds its credentials and
the certificate authority by its own standard means, with an empty home and an empty working directory.

A client that is not used from Python either runs its commands from such steps (`run`), or is one program that does all
steps: `Steps(..., program=lambda target: ["node", "steps.mjs"])`. Such a program finds the target as JSON in its
standard input and prints one line of JSON per step, as it comes, and anything else on other lines::

    {"step": "put", "outcome": "ok"}
    {"step": "get", "outcome": "error", "error": "the exact error"}
    {"step": "presigned", "outcome": "not applicable", "error": "why"}

A client that works nowhere shows nothing: what fails at the store as well is no regression. So the fixture `verdict`
fails where not one step worked, straight or through the gateway, unless `expected_nowhere` says of that store why.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

MIB = 1024 * 1024
LARGE_SIZE = 24 * MIB

SMALL = b"a small object\n"
"""What the step `put` writes, and what is in the seed SMALL_SEED."""

SMALL_SEED = "seeds/small.txt"
LARGE_SEED = "seeds/large.bin"
TABLE_SEEDS = ("seeds/table/0.parquet", "seeds/table/1.parquet")
"""Columns `id` (0 to 999, 1000 to 1999) and `name` (the id in words of digits): where pyarrow is installed."""
LIST_SEEDS = ("seeds/list/a.txt", "seeds/list/b c+d.txt", "seeds/list/sub/ü.txt")
"""Objects that are there before a client starts, so that reading does not depend on its own writing."""

OK, ERROR, NOT_APPLICABLE = "ok", "error", "not applicable"


def large() -> bytes:
    """What the step `multipart` writes, and what is in the seed LARGE_SEED."""
    return random.Random(24).randbytes(LARGE_SIZE)


def cache_folder() -> Path:
    """Where clients that need an environment of their own are kept: OSP_CLIENT_CACHE."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "osp-clients"
    folder = Path(os.environ.get("OSP_CLIENT_CACHE") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class NotApplicable(Exception):
    """The client has no such thing; says why."""


class Missing(Exception):
    """The client cannot be had here; says the exact error."""


@dataclass(frozen=True)
class Target:
    """Where a client is sent: an endpoint, a key, a bucket, and a key prefix of its own."""

    backend: str
    """rclone or rgw."""
    way: str
    """direct-http, direct-tls: straight to the store; http, tls, h2: to the gateway."""
    url: str
    """The endpoint: http://127.0.0.1:PORT or https://..., without a slash at its end."""
    key: str
    secret: str
    bucket: str
    prefix: str
    """Objects are written below it; ends with a slash. The seeds are not below it."""
    ca: str = ""
    """PEM file of the authority to trust, with TLS."""
    region: str = "eu-central-1"
    """Not us-east-1: there botocore still presigns with version 2, see the steps `presigned in us-east-1`."""

    @property
    def tls(self) -> bool:
        return self.url.startswith("https:")

    @property
    def direct(self) -> bool:
        return self.way.startswith("direct")

    @property
    def netloc(self) -> str:
        """127.0.0.1:PORT."""
        return urlsplit(self.url).netloc

    @property
    def env(self) -> dict[str, str]:
        """Endpoint, credentials and authority in the variables that clients look at."""
        found = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if self.ca:
            names = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
            found |= dict.fromkeys(names, self.ca)
        return found


@dataclass
class Steps:
    """A client.

    Its version is that of the distribution `package`, or what `version` returns or raises Missing for. `venv`: what
    pip installs into an environment of its own, for packages that conflict with ours; the steps run in there.
    `h2`: whether there is a target `h2` for it, where the gateway offers HTTP/2 (the others offer HTTP/1.1 only); a
    test asserts with `verdict.http_versions` that it was used. `fresh`: each step has a process of its own, for
    clients whose errors outlive a step. `timeout` (seconds) ends a client that hangs: the steps that it did not come to
    are errors. `step_timeout` (seconds, 0 for none) ends a step that hangs: the others have their turn.
    `end` is called after the last step, for what has to be gone before the client's folders are.
    `big`: hundreds of megabytes have to be fetched for it; its tests have the marker of that name.
    `expected_nowhere`: of a store (rclone, rgw) on which not one step works, straight or through the gateway, why.
    """

    name: str
    package: str = ""
    version: Callable[[], str] | None = None
    venv: Sequence[str] = ()
    h2: bool = False
    fresh: bool = False
    timeout: float = 150.0
    step_timeout: float = 0.0
    end: Callable[[], None] | None = None
    big: bool = False
    expected_nowhere: Mapping[str, str] = field(default_factory=dict)
    program: Callable[[Target], Sequence[str]] | None = None
    steps: dict[str, Callable[[Target], None]] = field(default_factory=dict)

    def step(self, function: Callable[[Target], None]) -> Callable[[Target], None]:
        """Make a function a step, by its name without an underscore at its end."""
        self.steps[function.__name__.removesuffix("_").replace("_", " ")] = function
        return function


def run(*command: object, env: Mapping[str, str] | None = None, data: bytes | None = None) -> str:
    """A command's standard output; its standard error is the error when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env={**os.environ, **(env or {})}, input=data, capture_output=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise RuntimeError(said or f"{words[0]} ended with status {done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def fetch(url: str, method: str = "GET", data: bytes | None = None) -> bytes:
    """The body that a (presigned) URL gives to anybody; an answer that is no success is an error."""
    request = urllib.request.Request(url, data, {"Content-Type": ""} if data is not None else {}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code}: {error.read().decode('utf-8', 'replace')}") from None


def same(found: bytes, wanted: bytes) -> None:
    """Fail if the octets are not the wanted ones."""
    if bytes(found) != wanted:
        raise AssertionError(f"got {len(found)} other octets instead of {len(wanted)}")


def equal(found: object, wanted: object) -> None:
    """Fail if the values differ."""
    if found != wanted:
        raise AssertionError(f"got {found!r} instead of {wanted!r}")


def described(error: BaseException) -> str:
    """An exception and what caused it, in a line."""
    text = f"{type(error).__name__}: {error}"
    cause = error.__cause__
    return text if cause is None or str(cause) in text else f"{text} <- {described(cause)}"


def load(file: Path) -> Steps:
    """The client of a test file."""
    spec = importlib.util.spec_from_file_location("the_client", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.client


def main(file: Path, target: Target) -> None:
    """Do all steps of a test file's client, and say of each how it went."""
    out = os.dup(1)
    os.dup2(2, 1)  # what a client prints is no answer of ours
    client = load(file)
    for name, step in client.steps.items():
        began = time.time()
        if not client.fresh:
            _say(out, name, began, *_done(step, target, client.step_timeout))
        elif (child := os.fork()) == 0:  # nothing of the client is imported yet
            _say(out, name, began, *_done(step, target, client.step_timeout))
            os._exit(0)
        elif status := os.waitpid(child, 0)[1]:
            _say(out, name, began, ERROR, f"the client's process ended with status {status}")
    if client.end is not None:
        client.end()
    os._exit(0)  # not every client's threads end


def _done(step: Callable[[Target], None], target: Target, seconds: float) -> tuple[str, str]:
    try:
        with _at_most(seconds):
            step(target)
    except NotApplicable as why:
        return NOT_APPLICABLE, str(why)
    except BaseException as failure:  # noqa: BLE001 - Rust's panics are no Exceptions
        return ERROR, described(failure)
    return OK, ""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Break off what takes longer, in the main thread; 0 is for ever."""
    late = TimeoutError(f"the step came to no end in {seconds:g} seconds")
    rang = False

    def ring(number: int, frame: object) -> None:
        nonlocal rang
        rang = True
        raise late

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if rang:
            raise late  # py4j, for one, makes an error of its own of it, without a cause


def _say(out: int, name: str, began: float, outcome: str, error: str) -> None:
    line = {"step": name, "outcome": outcome, "error": error, "began": began, "ended": time.time()}
    os.write(out, f"\n{json.dumps(line)}\n".encode())


if __name__ == "__main__":
    steps = importlib.import_module("support.client_steps")  # as the client's file knows it, exceptions and all
    steps.main(Path(sys.argv[1]), steps.Target(**json.load(sys.stdin)))
