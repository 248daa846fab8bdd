"""Lines to a file or to standard output, by a thread of its own.

Whoever has a line never waits: what cannot be written in time, because a disk is full or a reader does not read, is
dropped and counted. A file is opened anew when it has been moved away, as logrotate does it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

STDOUT: Final = "-"
MAX_LINES: Final = 10_000
MAX_OCTETS: Final = 16 * 1024 * 1024
"""What may wait to be written."""
PAUSE_SECONDS: Final = 0.1
"""After a line has come, others may join it: to wake the thread for each would cost more than all the rest."""
CLOSE_SECONDS: Final = 2.0
"""For what waits at the end."""
FILE_MODE: Final = 0o640


class LineWriter:
    """Writes lines in the order in which they come. `written` and `dropped` count them."""

    def __init__(self, target: str, max_lines: int = MAX_LINES, max_octets: int = MAX_OCTETS) -> None:
        """`target` is a path, or `-` for standard output.

        Raises:
            OSError: the file cannot be opened.
        """
        self.target = target
        self.written = 0
        self.dropped = 0
        self._max_lines = max_lines
        self._max_octets = max_octets
        self._descriptor = opened(target)
        self._waiting: deque[bytes | int] = deque()
        self._octets = 0
        self._news = threading.Condition()
        self._ending = False
        self._failing = False
        self._torn = False
        self._thread = threading.Thread(target=self._work, name="access log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Have a line written, if there is room for it."""
        with self._news:
            full = len(self._waiting) >= self._max_lines or self._octets + len(line) > self._max_octets
            if full or self._ending:
                self._drop("it is not written as fast as requests come" if full else "it is closed")
                return
            self._waiting.append(line)
            self._octets += len(line)
            if len(self._waiting) == 1 or self._is_much():
                self._news.notify()

    def _is_much(self) -> bool:
        return 2 * len(self._waiting) > self._max_lines or 2 * self._octets > self._max_octets

    def reopen(self) -> None:
        """Open the file anew: what has come so far goes to the one that was open.

        Raises:
            OSError: it cannot be opened; the one that is open stays in use.
        """
        if self.target == STDOUT:
            return
        descriptor = opened(self.target)
        with self._news:
            self._waiting.append(descriptor)
            self._news.notify()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, but wait no longer than `seconds`."""
        with self._news:
            self._ending = True
            self._news.notify()
        self._thread.join(seconds)

    # In the thread

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._ending)
                self._news.wait_for(lambda: self._ending or self._is_much(), PAUSE_SECONDS)
                if not self._waiting:
                    break
                batch, self._waiting, self._octets = self._waiting, deque(), 0
            self._write_all(batch)
        self._release(self._descriptor)

    def _write_all(self, batch: deque[bytes | int]) -> None:
        lines: list[bytes] = []
        for each in batch:
            if isinstance(each, bytes):
                lines.append(each)
                continue
            self._write(lines)
            lines = []
            former, self._descriptor, self._torn = self._descriptor, each, False
            self._release(former)
        self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        """As many of the lines as can be written; they count as soon as all of a line is."""
        if not lines:
            return
        mend = b"\n" if self._torn else b""
        octets = mend + b"".join(lines)
        sent, problem = _write_out(self._descriptor, octets)
        whole, begun = _whole_lines(lines, sent - len(mend))
        self._torn = begun if sent else self._torn
        with self._news:
            self.written += whole
            if problem:
                self._drop(problem, len(lines) - whole)
            elif self._failing:
                self._failing = False
                log.info("the access log is written again; %d lines were dropped so far", self.dropped)

    def _drop(self, why: str, count: int = 1) -> None:
        self.dropped += count
        if not self._failing:
            self._failing = True
            log.warning("the access log loses lines: %s", why)

    def _release(self, descriptor: int) -> None:
        if self.target != STDOUT:
            os.close(descriptor)


def _write_out(descriptor: int, octets: bytes) -> tuple[int, str]:
    """How many octets could be written, and what stood in the way of the others."""
    rest = memoryview(octets)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        return len(octets) - len(rest), error.strerror or type(error).__name__
    return len(octets), ""


def _whole_lines(lines: list[bytes], octets: int) -> tuple[int, bool]:
    """How many lines `octets` of them hold, and whether a further one is begun."""
    for number, line in enumerate(lines):
        if octets < len(line):
            return number, octets > 0
        octets -= len(line)
    return len(lines), False


def opened(target: str) -> int:
    """A descriptor to append to. A pipe that nobody reads is an error, rather than something to wait for.

    Raises:
        OSError: it cannot be had.
    """
    if target == STDOUT:
        return 1
    descriptor = os.open(
        Path(target), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, FILE_MODE
    )
    os.set_blocking(descriptor, True)
    return descriptor
