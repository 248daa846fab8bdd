"""How much work something is, counted and not timed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from threading import get_ident
from types import CodeType

_TOOL = 4  # free for whoever wants it; see `sys.monitoring`


def instructions(run: Callable[[], object]) -> int:
    """Instructions that the interpreter executes for it; what C code does within one of them does not show.

    Neither those of other threads (whoever runs the tests has some), nor of what the garbage collector wakes up:
    both come when they like.
    """
    monitoring, count, thread = sys.monitoring, 0, get_ident()

    def step(code: CodeType, offset: int) -> None:
        nonlocal count
        if get_ident() == thread:
            count += 1

    monitoring.use_tool_id(_TOOL, "osp-fuzz")
    monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, step)
    collecting = gc.isenabled()
    gc.disable()
    monitoring.set_events(_TOOL, monitoring.events.INSTRUCTION)
    try:
        run()
    finally:
        monitoring.set_events(_TOOL, 0)
        if collecting:
            gc.enable()
        monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(_TOOL)
    return count
