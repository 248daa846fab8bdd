"""A real Redis or Valkey server as a child process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest


def redis_server() -> str:
    """The program; skips the test where there is none, and fails it where there must be one."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        if os.environ.get("OSP_REQUIRE_REDIS"):
            pytest.fail("redis-server is not installed (Debian: apt-get install redis-server)")
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    return found


class Redis:
    """A server on a Unix socket, which no other test can meet."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.path = folder / "s"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--port", "0", "--unixsocket", str(self.path), "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen([self.program, *arguments], stdout=subprocess.DEVNULL)
        while self.process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.path)) == 0:
                    return
        raise AssertionError(f"redis-server ended with {self.process.returncode}")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def octets(self) -> bytes:
        """All that it holds, as it would go over the network."""
        return self.command(
            "EVAL \"local r={} for _,k in ipairs(redis.call('KEYS','*')) do r[#r+1]=k "
            "r[#r+1]=redis.call('GET',k) end return r\" 0"
        )

    def command(self, line: str) -> bytes:
        """What it answers to a command."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            client.sendall(f"{line}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b""))
