"""Runs clients against stores, direct and through the gateway, and records how it went.

What a client is and does is said with support/client_steps.py: read its beginning. The stores are those of
support/client_backends.py. Here are the run of one client on one way, and the verdict: what works direct has to work
through the gateway.

Results go as one JSON file per client, backend and way into the directory OSP_CLIENT_RESULTS (by default
`osp-client-results` in the temporary folder); scripts/clients_table.py makes docs/clients.md of them.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitmproxy.exceptions import FlowReadException
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader

from support.client_backends import Backend
from support.client_steps import ERROR, NOT_APPLICABLE, OK, Missing, Steps, Target, cache_folder
from support.client_tools import failure
from support.processes import REPO

STEPS_MODULE = Path(__file__).parent / "client_steps.py"

DIRECT_WAYS = {"http": "direct-http", "tls": "direct-tls", "h2": "direct-tls"}
"""What each way through the gateway is compared with."""

NOT_IMPLEMENTED = "501"
"""The outcome of a step that the gateway refused because it has no such thing yet."""


@dataclass(frozen=True)
class ByDesign:
    """An error of the gateway's where a store may answer, and why it is right."""

    pattern: str
    reason: str


BY_DESIGN = (
    ByDesign(
        r"mechanism you have provided is not supported\. Please use AWS4-HMAC-SHA256",
        "signature version 2: refused with AWS's own error, as in every region opened since 2014",
    ),
)
REFUSED = "refused"
"""The outcome of a step that the gateway refused by design."""


# Where results go


def results_folder() -> Path:
    default = Path(tempfile.gettempdir()) / "osp-client-results"
    folder = Path(os.environ.get("OSP_CLIENT_RESULTS") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def record(result: dict[str, Any]) -> None:
    """Keep one result, in place of an earlier one of the same client, backend and way."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{result['client']}.{result['backend']}.{result['way']}".lower())
    file = results_folder() / f"{name}.json"
    draft = file.with_name(f".{name}.{uuid.uuid4().hex}")
    draft.write_text(json.dumps(result, indent=1, sort_keys=True), encoding="utf-8")
    draft.replace(file)


# A client's run


def interpreter(client: Steps) -> Path:
    """The Python that a client's steps run in: ours, or one in an environment of the client's own."""
    if not client.venv:
        return Path(sys.executable)
    found = _own_environment(tuple(client.venv))
    if isinstance(found, str):
        raise Missing(found)
    return found


@functools.cache
def _own_environment(requirements: tuple[str, ...]) -> Path | str:
    """Its Python, or the error with which it was not to be made."""
    name = re.sub(r"[^\w.]+", "-", f"{sys.version_info[0]}.{sys.version_info[1]}-{'-'.join(requirements)}")
    folder = cache_folder() / name
    with (cache_folder() / f"{name}.lock").open("w") as lock:  # other workers wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for command in (
                [sys.executable, "-m", "venv", str(folder)],
                [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
            ):
                if error := failure(command):
                    return error
            (folder / "complete").touch()
        return python


def version_of(client: Steps) -> str:
    """The version of a client; Missing, with the exact error, where it cannot be had."""
    interpreter(client)
    if client.version is not None:
        return client.version()
    if client.venv:
        code = f"import importlib.metadata as m; print(m.version({client.package!r}))"
        done = subprocess.run([interpreter(client), "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(done.stderr.strip().splitlines()[-1])
        return done.stdout.strip()
    try:
        return importlib.metadata.version(client.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing(f"PackageNotFoundError: {error} (pip install {client.package})") from error


def run_client(client: Steps, version: str, file: Path, backend: Backend, way: str) -> dict[str, Any]:
    """Do a client's steps on a way, and record and return the result."""
    target = backend.target(way)
    running = backend.gateways.get(way)
    with tempfile.TemporaryDirectory(prefix="osp-client-") as folder:
        lines, ended = _answers(client, file, target, Path(folder))
        steps = {line["step"]: _outcome(line, target, folder) for line in lines}
    for name in client.steps:
        steps.setdefault(name, {"outcome": ERROR, "error": ended})
    if not steps:
        steps["start"] = {"outcome": ERROR, "error": ended}
    backend.clear(target.prefix)
    run = target.prefix.strip("/")
    seen = [flow for flow in flows(running.flow_file) if run in flow.request.path] if running else []
    for line in lines if running else ():
        step = steps[line["step"]]
        statuses = {_status(flow) for flow in seen if _during(flow, line)}
        if step["outcome"] == ERROR:
            step["outcome"] = gateway_outcome(step["error"], statuses)
    result = {
        "client": client.name,
        "version": version,
        "backend": backend.name,
        "backend_version": backend.version,
        "way": way,
        "steps": steps,
        "expected_nowhere": client.expected_nowhere.get(backend.name, ""),
        "http_versions": sorted({flow.request.http_version for flow in seen}),
        "payloads": sorted({_payload(flow) for flow in seen} - {""}),
    }
    record(result)
    return result


def gateway_outcome(error: str, statuses: set[int]) -> str:
    """What it was that a step failed of: `statuses` are those with which the gateway answered meanwhile."""
    if 501 in statuses or re.search(r"NotImplemented|\b501\b", error):
        return NOT_IMPLEMENTED
    if any(re.search(rule.pattern, error) for rule in BY_DESIGN):
        return REFUSED
    return ERROR


def _answers(client: Steps, file: Path, target: Target, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """What the client's process said of its steps, and how it ended."""
    home = folder / "home"
    home.mkdir()
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "SSL_")) and "proxy" not in n.lower()}
    env = {
        **inherited,
        "HOME": str(home),
        "TMPDIR": str(folder),
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "PYTHONPATH": str(STEPS_MODULE.parents[1]),
        "OSP_CLIENT_CACHE": str(cache_folder()),  # by default it is in what is no longer the home
        **target.env,
    }
    command = (
        list(map(str, client.program(target)))
        if client.program
        else [str(interpreter(client)), str(STEPS_MODULE), str(file)]
    )
    out, said = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, said.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=home, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, process_group=0
        )
        ended = ""
        try:
            process.communicate(json.dumps(dataclasses.asdict(target)).encode(), client.timeout)
        except subprocess.TimeoutExpired:
            ended = "the client came to no end"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with what it started: a Java machine, for instance
                process.wait()
    text = out.read_text(encoding="utf-8", errors="replace")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"step"')]
    last = said.read_text(encoding="utf-8", errors="replace").strip()[-600:]
    return lines, ended or _plain(f"the client ended with status {process.returncode}: {last}", target, str(folder))


def _outcome(line: dict[str, Any], target: Target, folder: str) -> dict[str, str]:
    assert line["outcome"] in (OK, ERROR, NOT_APPLICABLE), line
    return {"outcome": line["outcome"], "error": _plain(line.get("error") or "", target, folder)}


VARYING = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"127\.0\.0\.1:\d+", "ENDPOINT"),
    (r"\btx[0-9a-f]{21}-[0-9a-f-]+(?:-default)?\b", "REQUEST-ID"),
    (r"\(?Request ID: [^)\s]*\)?", "REQUEST-ID"),
    (r"(?i)(<RequestId>|RequestId: |request_id: ?)[\w-]+", r"\1REQUEST-ID"),
    (r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b", "UUID"),
    (r"\b[0-9A-F]{16}\b", "REQUEST-ID"),
    (r"\b\d+(?:\.\d+)?(?:ns|us|µs|ms|s)\b", "A-WHILE"),
    (r"2~[\w-]{20,}", "UPLOAD-ID"),
    (r"0x[0-9a-f]{6,}", "ADDRESS"),
    (r"\bcalling o\d+\.", "calling OBJECT."),
    (r"[\w./-]*/site-packages/", ""),
    (r"https?://(?!ENDPOINT)[^\s\"'<>]+", "URL"),
    (r"\s+", " "),
)
"""What in an error differs from run to run, and what stands for it."""


def _plain(error: str, target: Target, folder: str) -> str:
    """An error without what is of this run only."""
    named = {target.prefix: "RUN/", target.prefix.strip("/"): "RUN", folder: "FOLDER", target.bucket: "BUCKET"}
    for value, stand_in in named.items():
        error = error.replace(value, stand_in)
    error = error.replace(sys.prefix, "VENV").replace(str(REPO), "REPO")
    for pattern, stand_in in VARYING:
        error = re.sub(pattern, stand_in, error)
    return error.strip()[:600]


# What the gateway saw

_read: dict[Path, tuple[int, list[HTTPFlow]]] = {}


def flows(file: Path) -> list[HTTPFlow]:
    """The exchanges in a flow file of a gateway that is still running."""
    offset, found = _read.get(file, (0, []))
    with file.open("rb") as stream, suppress(FlowReadException, ValueError):  # the last one may be half written
        stream.seek(offset)
        for flow in FlowReader(stream).stream():
            offset = stream.tell()
            if isinstance(flow, HTTPFlow):
                found.append(flow)
    _read[file] = (offset, found)
    return found


def _status(flow: HTTPFlow) -> int:
    return flow.response.status_code if flow.response else 0


def _during(flow: HTTPFlow, line: dict[str, Any]) -> bool:
    return line.get("began", 0) <= flow.request.timestamp_start <= line.get("ended", 0)


def _payload(flow: HTTPFlow) -> str:
    """How a client signed a body."""
    value = flow.request.headers.get("x-amz-content-sha256", "")
    return "hash" if re.fullmatch("[0-9a-f]{64}", value) else value


# The verdict


@dataclass(frozen=True)
class Verdict:
    """How a client did on a way through the gateway, beside how it did direct."""

    direct: dict[str, Any]
    through: dict[str, Any]

    @property
    def regressions(self) -> list[str]:
        """Steps that work direct but not through the gateway, each with its error; not those that it has not yet."""
        lines = []
        for name, step in self.through["steps"].items():
            before = self.direct["steps"].get(name, {"outcome": ERROR})
            if step["outcome"] == ERROR and before["outcome"] == OK:
                lines.append(f"{name}: works direct, but not through the gateway: {step['error']}")
        return lines

    @property
    def nowhere(self) -> str:
        """What is wrong if not one step worked, neither direct nor through the gateway, or if one did unexpectedly."""
        expected = self.through.get("expected_nowhere", "")
        outcomes = [step["outcome"] for result in (self.direct, self.through) for step in result["steps"].values()]
        where = f"on {self.through['backend']}, straight or through the gateway ({self.through['way']})"
        if OK in outcomes:
            return f"there are steps that work {where}, unlike what was expected: {expected}" if expected else ""
        if expected:
            return ""
        said = dict.fromkeys(step["error"] for step in self.through["steps"].values() if step["error"])
        return "\n".join([f"no step works {where}, and the client's `expected_nowhere` does not say why:", *said])

    @property
    def gains(self) -> list[str]:
        """Steps that work through the gateway, but not direct."""
        before = self.direct["steps"]
        gained = {name for name, step in self.through["steps"].items() if step["outcome"] == OK}
        return sorted(name for name in gained if before.get(name, {}).get("outcome") == ERROR)

    @property
    def http_versions(self) -> list[str]:
        """Those that the gateway saw."""
        return self.through["http_versions"]
