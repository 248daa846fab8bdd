"""Processes that end with the test suite that has started them."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator

import pytest

from osp_gateway.testing import process as processes
from osp_gateway.testing.process import Process

UNTIL_THE_END = "import sys; sys.stdin.read()"
NEVER = (
    "import subprocess, sys; child = subprocess.Popen(['sleep', '1000']); print(child.pid, flush=True); child.wait()"
)


@pytest.fixture
def forked() -> Iterator[list[int]]:
    """Numbers of forks, which do nothing until the end of the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def fork(pids: list[int]) -> None:
    if (pid := os.fork()) == 0:
        signal.pause()
        os._exit(0)
    pids.append(pid)


def test_a_fork_does_not_keep_them(tmp_path, forked):
    one = Process([sys.executable, "-c", UNTIL_THE_END], tmp_path / "log")
    fork(forked)
    one.process.stdin.close()
    assert one.process.wait(60) == 0
    one.stop()


def test_a_fork_does_not_stop_them(tmp_path):
    one = Process([sys.executable, "-c", UNTIL_THE_END], tmp_path / "log")
    if (pid := os.fork()) == 0:
        one.stop()
        os._exit(0 if not one.ours else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert one.process.poll() is None
    one.stop()
    assert one.process.returncode == 0


def test_what_does_not_end_is_ended_with_what_it_has_started(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.2)
    one = Process([sys.executable, "-c", NEVER], tmp_path / "log")
    started = os.pidfd_open(int(one.process.stdout.readline()))
    one.stop()
    assert one.process.returncode == -signal.SIGKILL
    ended, _, _ = select.select([started], [], [], 60)
    os.close(started)
    assert ended
