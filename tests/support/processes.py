"""Real servers as child processes: rclone's S3 server and a gateway in mitmdump.

Ports come from the kernel and are read from what the process says; every process is ended by its own handle.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).parents[2]
ADDON = REPO / "addon" / "osp.py"
BIN = Path(sys.executable).parent

START_SECONDS = 90.0
STOP_SECONDS = 15.0

BACKEND_KEY = "backend-fake-key"
BACKEND_SECRET = "backend-fake-secret"
CLIENT_KEY = "client-fake-key"
CLIENT_SECRET = "client-fake-secret"


class Running:
    """A child process whose output goes to a file."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
    ) -> None:
        self.log = log
        self._out = log.open("wb")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            pass_fds=pass_fds,
        )

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """The first `count` matches of `pattern` in the output, as soon as they are there."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            matches = list(re.finditer(pattern, self.output()))
            if len(matches) >= count:
                return matches
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{self.process.args}: no {pattern!r} in its output:\n{self.output()}")

    def stop(self) -> int:
        """End it and return its status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_SECONDS)
        self._out.close()
        return self.process.returncode


@dataclass
class Store:
    """An S3 server with one key."""

    port: int
    root: Path
    access_key: str = BACKEND_KEY
    secret_key: str = BACKEND_SECRET
    tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def make_bucket(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder


@dataclass
class GatewayProcess:
    """A gateway in a mitmproxy program."""

    ports: list[int]
    running: Running
    flow_file: Path
    confdir: Path
    urls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def https_url(self) -> str:
        return f"https://127.0.0.1:{self.ports[0]}"

    def output(self) -> str:
        return self.running.output()


@contextmanager
def rclone_server(folder: Path, extra: Sequence[str] = ()) -> Iterator[Store]:
    """rclone's S3 server over the directories in `folder`."""
    root = folder / "buckets"
    root.mkdir(parents=True, exist_ok=True)
    tls = "--cert" in extra
    running = Running(
        [
            str(BIN / "rclone"),
            "serve",
            "s3",
            "--auth-key",
            f"{BACKEND_KEY},{BACKEND_SECRET}",
            "--addr",
            "127.0.0.1:0",
            "--config",
            str(folder / "rclone.conf"),
            "--vfs-cache-mode",
            "off",
            *extra,
            str(root),
        ],
        folder / "rclone.log",
    )
    try:
        match = running.wait_for(r"https?://127\.0\.0\.1:(\d+)/")[0]
        yield Store(int(match[1]), root, tls=tls)
    finally:
        running.stop()


@contextmanager
def gateway(
    folder: Path,
    config: str,
    *,
    modes: Sequence[str] = ("reverse:http://s3.invalid@127.0.0.1:0",),
    options: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    program: str = "mitmdump",
    config_name: str = "server.py",
    script: Path = ADDON,
) -> Iterator[GatewayProcess]:
    """A gateway with the given configuration file's text, listening on ports of the kernel's choice."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / config_name
    config_file.write_text(textwrap.dedent(config), encoding="utf-8")
    flow_file = folder / "flows.mitm"
    settings = {
        "osp_config": str(config_file),
        "confdir": str(folder / "confdir"),
        "flow_detail": "0",
        **(options or {}),
    }
    command = [str(BIN / program), "-s", str(script), "-w", str(flow_file)]
    for mode in modes:
        command += ["--mode", mode]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    running = Running(command, folder / f"{program}.log", env)
    try:
        matches = running.wait_for(r"listening at [^\s]*?:(\d+)\.?\s", len(modes))
        yield GatewayProcess([int(m[1]) for m in matches], running, flow_file, folder / "confdir")
    finally:
        running.stop()


def config_for(store: Store, *, extra_buckets: str = "", validator: str = "", extra: str = "") -> str:
    """A configuration in Python: bucket `demo` on `store`, one client key, a validator that allows."""
    validator = validator or "def validator(token, bucket):\n    return True"
    return (
        "import os, time, asyncio\n"
        "from osp_gateway import ProxyServerConfig\n"
        f"STORE = dict(host='127.0.0.1', port={store.port}, is_tls_enabled={store.tls},\n"
        f"    access_key={store.access_key!r}, secret_key={store.secret_key!r})\n"
        f"{textwrap.dedent(validator)}\n"
        "config = ProxyServerConfig(\n"
        f"    cos_map={{'demo': STORE, {extra_buckets}}},\n"
        f"    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],\n"
        "    validator=validator,\n"
        f"    {extra}\n"
        ")\n"
    )
