"""How much work something is, counted and not timed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

_TOOL = 4  # free for whoever wants it; see `sys.monitoring`


def instructions(run: Callable[[], object]) -> int:
    """Instructions that the interpreter executes; what C code does within one of them does not show."""
    monitoring, count = sys.monitoring, 0

    def step(code: CodeType, offset: int) -> None:
        nonlocal count
        count += 1

    monitoring.use_tool_id(_TOOL, "osp-fuzz")
    monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, step)
    monitoring.set_events(_TOOL, monitoring.events.INSTRUCTION)
    try:
        run()
    finally:
        monitoring.set_events(_TOOL, 0)
        monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(_TOOL)
    return count
