from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from osp_gateway.cache import Entry, SingleFlightCache


class Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Computes values, waits for `gate` on the way when there is one."""

    def __init__(self, ttl: float = 60, gate: asyncio.Event | None = None) -> None:
        self.ttl = ttl
        self.gate = gate
        self.calls = 0
        self.error: Exception | None = None

    async def __call__(self) -> Entry[str]:
        self.calls += 1
        number = self.calls
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Entry(f"value {number}", self.ttl)


async def _started(source: Source) -> None:
    while not source.calls:  # noqa: ASYNC110 - turns of the loop, not time
        await asyncio.sleep(0)


async def _all_waiting(count: int) -> None:
    for _ in range(count + 5):
        await asyncio.sleep(0)


async def test_a_missing_entry_is_computed_once_however_many_wait_for_it() -> None:
    source = Source(gate=asyncio.Event())
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    waiting = [asyncio.create_task(cache.get("key", source)) for _ in range(50)]
    await _all_waiting(50)
    source.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"value 1"}
    assert source.calls == 1


async def test_a_fresh_entry_is_not_computed_again() -> None:
    source = Source()
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    assert [await cache.get("key", source) for _ in range(3)] == ["value 1"] * 3


async def test_different_keys_are_computed_apart() -> None:
    source = Source()
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    assert [await cache.get(key, source) for key in ("a", "b", "a")] == ["value 1", "value 2", "value 1"]


async def test_one_slow_key_does_not_hold_up_another() -> None:
    slow, quick = Source(gate=asyncio.Event()), Source()
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    waiting = asyncio.create_task(cache.get("slow", slow))
    await _started(slow)
    assert await cache.get("quick", quick) == "value 1"
    assert not waiting.done()
    slow.gate.set()
    await waiting


async def test_an_error_reaches_everybody_who_waited() -> None:
    source = Source(gate=asyncio.Event())
    source.error = LookupError("no")
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    waiting = [asyncio.create_task(cache.get("key", source)) for _ in range(3)]
    await _all_waiting(3)
    source.gate.set()
    assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [LookupError] * 3
    assert source.calls == 1


async def test_an_error_is_not_kept() -> None:
    source = Source()
    source.error = LookupError("no")
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    with pytest.raises(LookupError):
        await cache.get("key", source)
    source.error = None
    assert await cache.get("key", source) == "value 2"


async def test_one_waiter_who_gives_up_does_not_take_the_others_with_it() -> None:
    source = Source(gate=asyncio.Event())
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    first, second = (asyncio.create_task(cache.get("key", source)) for _ in range(2))
    await _started(source)
    first.cancel()
    await asyncio.wait([first])
    source.gate.set()
    assert first.cancelled()
    assert await second == "value 1"
    assert source.calls == 1


async def test_a_computation_that_nobody_waits_for_any_more_still_fills_the_cache() -> None:
    source = Source(gate=asyncio.Event())
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    only = asyncio.create_task(cache.get("key", source))
    await _started(source)
    only.cancel()
    await asyncio.wait([only])
    source.gate.set()
    assert await cache.get("key", source) == "value 1"
    assert source.calls == 1


async def test_an_error_that_comes_after_all_waiters_have_gone_is_not_reported_as_forgotten() -> None:
    forgotten: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: forgotten.append(context))
    source = Source(gate=asyncio.Event())
    source.error = LookupError("too late")
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    only = asyncio.create_task(cache.get("key", source))
    await _started(source)
    only.cancel()
    await asyncio.wait([only])
    source.gate.set()
    await _all_waiting(5)
    assert forgotten == []


@pytest.mark.parametrize(("later", "expected"), [(59.9, "value 1"), (60.1, "value 2")])
async def test_an_entry_lives_for_its_time_to_live(later: float, expected: str) -> None:
    timer, source = Timer(), Source(ttl=60)
    cache: SingleFlightCache[str, str] = SingleFlightCache(10, timer)
    await cache.get("key", source)
    timer.now += later
    assert await cache.get("key", source) == expected


async def test_each_entry_has_a_time_to_live_of_its_own() -> None:
    timer, short, long = Timer(), Source(ttl=1), Source(ttl=100)
    cache: SingleFlightCache[str, str] = SingleFlightCache(10, timer)
    await cache.get("short", short)
    await cache.get("long", long)
    timer.now += 50
    assert (cache.peek("short"), cache.peek("long")) == (None, "value 1")


@pytest.mark.parametrize("ttl", [0, -5])
async def test_an_entry_without_time_to_live_is_not_kept(ttl: float) -> None:
    source = Source(ttl=ttl)
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    assert [await cache.get("key", source) for _ in range(2)] == ["value 1", "value 2"]
    assert len(cache) == 0


async def test_without_sharing_everybody_is_answered_by_a_computation_of_their_own() -> None:
    source = Source(gate=asyncio.Event())
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    waiting = [asyncio.create_task(cache.get("key", source, share=False)) for _ in range(5)]
    await _all_waiting(5)
    source.gate.set()
    assert sorted(await asyncio.gather(*waiting)) == [f"value {n}" for n in range(1, 6)]


async def test_without_sharing_nothing_is_kept() -> None:
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    await cache.get("key", Source(), share=False)
    assert cache.peek("key") is None


async def test_it_never_holds_more_entries_than_it_may() -> None:
    cache: SingleFlightCache[int, str] = SingleFlightCache(10)
    for number in range(100):
        await cache.get(number, Source())
    assert len(cache) == 10


async def test_what_is_being_computed_is_no_entry_yet() -> None:
    source = Source(gate=asyncio.Event())
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    waiting = asyncio.create_task(cache.get("key", source))
    await _started(source)
    assert cache.peek("key") is None
    source.gate.set()
    await waiting
    assert cache.peek("key") == "value 1"


async def test_clearing_forgets_what_is_kept() -> None:
    source = Source()
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    await cache.get("key", source)
    cache.clear()
    assert await cache.get("key", source) == "value 2"


async def test_clearing_does_not_disturb_those_who_wait() -> None:
    source = Source(gate=asyncio.Event())
    cache: SingleFlightCache[str, str] = SingleFlightCache(10)
    waiting = asyncio.create_task(cache.get("key", source))
    await _started(source)
    cache.clear()
    source.gate.set()
    assert await waiting == "value 1"


@pytest.mark.parametrize("value", [False, 0, ""])
async def test_a_falsy_value_is_kept_like_any_other(value: object) -> None:
    calls = []
    cache: SingleFlightCache[str, object] = SingleFlightCache(10)

    def make(value: object) -> Callable[[], Awaitable[Entry[object]]]:
        async def compute() -> Entry[object]:
            calls.append(value)
            return Entry(value, 60)

        return compute

    assert [await cache.get("key", make(value)) for _ in range(2)] == [value, value]
    assert len(calls) == 1
