"""Events are not lost when the task that brings them is cancelled while it waits for its turn."""

from __future__ import annotations

import asyncio

import pytest
from mitmproxy.proxy.server import ConnectionHandler

from osp_gateway.mitm.steady import SteadyLock


def test_mitmproxy_still_has_the_lock_that_is_replaced() -> None:
    assert "_server_event_lock" in ConnectionHandler.__init__.__code__.co_names


class Queue:
    """Tasks that want the lock while somebody has it."""

    def __init__(self) -> None:
        self.lock = SteadyLock()
        self.done: list[str] = []
        self.released = asyncio.Event()

    async def hold(self) -> None:
        async with self.lock:
            await self.released.wait()

    async def take(self, name: str) -> None:
        async with self.lock:
            self.done.append(name)
        await asyncio.sleep(0)
        self.done.append(f"{name} went on")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_waits_first_is_served_first() -> None:
    queue = Queue()
    tasks = [asyncio.create_task(queue.hold()), *(asyncio.create_task(queue.take(name)) for name in "abc")]
    await settle()
    assert queue.done == []
    queue.released.set()
    await asyncio.gather(*tasks)
    assert [name for name in queue.done if len(name) == 1] == ["a", "b", "c"]


@pytest.mark.parametrize("moment", ["while it waits", "when it is its turn"])
async def test_a_cancelled_task_does_what_it_has_to_do_and_is_cancelled_then(moment: str) -> None:
    queue = Queue()
    holder, first, second = (
        asyncio.create_task(each) for each in (queue.hold(), queue.take("first"), queue.take("second"))
    )
    await settle()
    if moment == "while it waits":
        first.cancel("why")
        first.cancel("why")
        await settle()
    queue.released.set()
    if moment == "when it is its turn":
        await holder
        first.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        await first
    await asyncio.gather(holder, second)
    assert queue.done == ["first", "second", "second went on"]


async def test_a_lock_that_nobody_has_is_taken_without_waiting() -> None:
    lock = SteadyLock()
    entering = lock.__aenter__()
    with pytest.raises(StopIteration):
        entering.send(None)
    await lock.__aexit__(None, None, None)
    async with lock:
        pass


async def test_an_error_gives_the_lock_back() -> None:
    lock = SteadyLock()
    with pytest.raises(ValueError, match="broken"):
        async with lock:
            raise ValueError("broken")
    async with lock:
        pass
