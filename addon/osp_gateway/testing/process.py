"""Processes that a test suite has for itself, and talks to."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

START_SECONDS: Final = 90.0
ANSWER_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
TOLD_OCTETS: Final = 4000
"""So much of a log is told with an error."""


class TestingError(Exception):
    """The gateway cannot be had, or not as it is wanted."""

    __test__ = False


class Process:
    """A child process whose log is a file, and which ends with its standard input."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        """Raise `OSError` where it cannot be started."""
        self.log = log
        self._out = log.open("wb")
        self.process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._out,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # Ctrl-C is for pytest
        )

    def written(self, since: int = 0) -> str:
        """Its log, from an octet on."""
        return self.log.read_bytes()[since:].decode("utf-8", "replace")

    def size(self) -> int:
        """Of its log, in octets."""
        return self.log.stat().st_size

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in its log.

        Raises:
            TestingError: it has ended, or does not come.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.written()):
                return found
            time.sleep(0.02)
        raise TestingError(f"{self.process.args!r} did not start:\n{self.written()[-TOLD_OCTETS:]}")

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):  # it has ended by itself
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        self.process.stdout.close()
        self._out.close()


class GatewayProcess(Process):
    """The gateway."""

    def __init__(self, configuration: Mapping[str, Any], log: Path) -> None:
        """Start it with `{"file": path}` or `{"written": {...}}`.

        Raises:
            TestingError: it does not start; the text says why.
        """
        super().__init__([sys.executable, "-m", "osp_gateway.testing.child"], log)
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._say(configuration)
            self.known = self._heard(START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Have something done; what it answers.

        Raises:
            TestingError: it cannot be done, or there is no answer in time.
        """
        self._say({"do": do, **order})
        return self._heard(ANSWER_SECONDS)

    def _say(self, order: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise TestingError(f"the gateway has ended:\n{self.written()[-TOLD_OCTETS:]}") from None

    def _heard(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TestingError(
                f"the gateway has not answered in {seconds:g} s:\n{self.written()[-TOLD_OCTETS:]}"
            ) from None
        if not line:
            raise TestingError(f"the gateway has ended:\n{self.written()[-TOLD_OCTETS:]}")
        answer = cast("dict[str, Any]", json.loads(line))
        if problems := answer.get("problems"):
            raise TestingError("\n".join(problems))
        return answer

    def _read(self) -> None:
        """An empty line at the end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")
