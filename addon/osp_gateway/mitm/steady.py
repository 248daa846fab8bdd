"""A lock that is not lost to a cancellation.

mitmproxy hands events to a connection's layers one at a time, behind a lock, and ends the task of a connection by
cancelling it: for instance when what was sent to a store could not be written. A task that is cancelled while it waits
for the lock takes its event with it. Where that event is the end of the store's connection, nobody hears of that end,
the request waits for its time limit, and the socket stays open (one in a hundred uploads to stores that hang up early).
"""

from __future__ import annotations

import asyncio
from collections import deque


class SteadyLock:
    """`async with`, first come first served. A cancellation comes true at the next thing that is awaited after it."""

    def __init__(self) -> None:
        self._locked = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._put_off: dict[asyncio.Task[object], tuple[object, ...]] = {}

    async def __aenter__(self) -> None:
        if not self._locked and not self._waiting:
            self._locked = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        task = asyncio.current_task()
        assert task is not None
        while not turn.done():
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError as error:
                task.uncancel()
                self._put_off[task] = error.args
        self._waiting.remove(turn)
        self._locked = True

    async def __aexit__(self, *_error: object) -> None:
        self._locked = False
        if self._waiting:
            self._waiting[0].set_result(None)
        if self._put_off and (task := asyncio.current_task()) in self._put_off:
            assert task is not None
            task.cancel(*self._put_off.pop(task))
