"""Processes that a test suite has for itself, and talks to."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
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


def python_module(name: str) -> list[str]:
    """The command for one of our modules: what lies in the folder that pytest runs in is none of its imports (-P)."""
    return [sys.executable, "-P", "-m", name]


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
        self._owner = os.getpid()
        _RUNNING.add(self)

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

    @property
    def ours(self) -> bool:
        """Whether this process has started it, and not one that this one was forked off."""
        return os.getpid() == self._owner

    def let_go(self) -> None:
        """After a fork: as long as two of us hold its input, it would not end with either."""
        assert self.process.stdin is not None
        if self.process.stdin.closed:
            return
        # Closed, its number could be that of another file by the time that Python closes it as well.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.process.stdin.fileno(), inheritable=False)
        os.close(nothing)

    def stop(self) -> None:
        """End it, and what it has started."""
        if not self.ours:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):  # it has ended by itself
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
        self.process.stdout.close()
        self._out.close()


_RUNNING: Final[weakref.WeakSet[Process]] = weakref.WeakSet()


def _let_go_of_all() -> None:
    for process in list(_RUNNING):
        process.let_go()


os.register_at_fork(after_in_child=_let_go_of_all)


class GatewayProcess(Process):
    """The gateway."""

    def __init__(self, configuration: Mapping[str, Any], log: Path) -> None:
        """Start it with `{"file": path}` or `{"written": {...}}`.

        Raises:
            TestingError: it does not start; the text says why.
        """
        super().__init__(python_module("osp_gateway.testing.child"), log)
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._lock = threading.Lock()
        self._asked = 0
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._say(_line(configuration))
            self.known = self._heard(0, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Have something done; what it answers. Threads take turns.

        Raises:
            TestingError: it cannot be done, or there is no answer in time.
        """
        if not self.ours:
            raise TestingError(f"{do}: expected this from the process that pytest runs in, not from a fork of it")
        with self._lock:
            self._asked += 1
            self._say(_line({"do": do, "number": self._asked, **order}))
            return self._heard(self._asked, ANSWER_SECONDS)

    def _say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except (OSError, ValueError):  # it has ended by itself, or by us
            raise self._ended() from None

    def _heard(self, number: int, seconds: float) -> dict[str, Any]:
        """The answer with this number: those before it are for somebody who did not wait for them."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TestingError(
                    f"the gateway has not answered in {seconds:g} s:\n{self.written()[-TOLD_OCTETS:]}"
                ) from None
            if not line:
                self._lines.put(line)  # for whoever asks next
                raise self._ended()
            answer = cast("dict[str, Any]", json.loads(line))
            if answer["number"] != number:
                continue
            if problems := answer.get("problems"):
                raise TestingError("\n".join(problems))
            return answer

    def _ended(self) -> TestingError:
        return TestingError(f"the gateway has ended:\n{self.written()[-TOLD_OCTETS:]}")

    def _read(self) -> None:
        """An empty line at the end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


def _line(order: Mapping[str, Any]) -> bytes:
    """As it is sent.

    Raises:
        TestingError: it holds something that JSON has not.
    """
    try:
        return json.dumps(order).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise TestingError(f"expected texts, numbers, lists and mappings of them: {error}") from None
