"""What a gateway process holds: descriptors, resident memory and, told by a signal, asyncio tasks."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from support.processes import START_SECONDS, Running

SETTLE_SECONDS = 30.0

COUNTS_TASKS = """
import signal
def tell_tasks(*_):
    loop = asyncio.get_running_loop()
    with open({file!r}, "a") as file:
        file.write(f"{{len(asyncio.all_tasks(loop))}}\\n")
signal.signal(signal.SIGUSR1, tell_tasks)
"""
"""Goes into a configuration file, formatted with `file`: on SIGUSR1 the number of tasks is added to it as a line."""


class Inside:
    """Looks into a process whose configuration has `COUNTS_TASKS`."""

    def __init__(self, running: Running, tasks_file: Path) -> None:
        self.running = running
        self.tasks_file = tasks_file
        tasks_file.touch()

    @property
    def _folder(self) -> Path:
        return Path(f"/proc/{self.running.process.pid}")

    def files(self) -> int:
        """Open descriptors."""
        return len(list((self._folder / "fd").iterdir()))

    def resident(self) -> int:
        """Resident memory in octets."""
        return self._status("VmRSS:")

    def forget_peak(self) -> int:
        """Let `peak` begin anew at what is resident now, in octets: proc(5), clear_refs."""
        (self._folder / "clear_refs").write_text("5")
        return self.peak()

    def peak(self) -> int:
        """The most that was resident since the start or the last `forget_peak`, in octets."""
        return self._status("VmHWM:")

    def tasks(self) -> int:
        """asyncio tasks that are not done."""
        before = self._told()
        self.running.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + START_SECONDS
        while len(told := self._told()) == len(before):
            assert time.monotonic() < deadline, "the gateway did not tell its tasks"
            time.sleep(0.02)
        return told[-1]

    def _told(self) -> list[int]:
        return [int(line) for line in self.tasks_file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def _status(self, name: str) -> int:
        lines = (self._folder / "status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def settled(number: Callable[[], int], most: int) -> int:
    """The number once it is small enough, or what it is when we stop waiting."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := number()) > most and time.monotonic() < deadline:
        time.sleep(0.2)
    return found
