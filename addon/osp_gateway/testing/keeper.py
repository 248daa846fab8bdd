"""Keeps a program for as long as its standard input is open: `python -m osp_gateway.testing.keeper PROGRAM ...`.

Where pytest is killed, its programs end with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Final

STOP_SECONDS: Final = 5.0


def main(command: Sequence[str]) -> None:
    """Run it, and end it with our input; we end with it, too."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - what we were started for
    threading.Thread(target=lambda: os._exit(program.wait()), daemon=True).start()
    sys.stdin.buffer.read()
    program.terminate()
    try:
        program.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    main(sys.argv[1:])
