"""How much memory an object keeps alive."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""What is there once for all: classes, modules, functions."""


def kept_octets(root: object) -> int:
    """Octets of all objects that `root` refers to, itself and through others; their headers count, too."""
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        if isinstance(thing, memoryview):
            waiting.append(thing.obj)
        elif isinstance(thing, MethodType):
            waiting.append(thing.__self__)
        else:
            waiting.extend(gc.get_referents(thing))
    return total
