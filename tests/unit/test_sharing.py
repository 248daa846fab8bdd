"""What gateways share: sealed, bounded, and never a reason to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from osp_gateway.access.authorizer import Constraints, Decision
from osp_gateway.access.validator import DECISION
from osp_gateway.backends.credentials import CREDENTIALS
from osp_gateway.backends.routes import ApiKey
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CircuitBreaker
from osp_gateway.sharing import MAX_ENTRY_OCTETS, TEXT, Coding, SharedCache, level
from osp_gateway.sigv4.keys import KeyPair

SECRET = "fake-secret-of-the-cache"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Memory:
    """A store in memory that can break."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.numbers: dict[str, int] = {}
        self.calls = 0
        self.broken: Exception | None = None
        self.hangs = False

    async def get(self, name: str) -> bytes | None:
        await self._work()
        return self.entries.get(name)

    async def set(self, name: str, value: bytes, milliseconds: int) -> None:
        await self._work()
        self.entries[name] = value

    async def count(self, name: str, milliseconds: int) -> int:
        await self._work()
        self.numbers[name] = self.numbers.get(name, 0) + 1
        return self.numbers[name]

    async def close(self) -> None:
        pass

    async def _work(self) -> None:
        self.calls += 1
        if self.broken:
            raise self.broken
        if self.hangs:
            await asyncio.Event().wait()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def gateway(
    memory: Memory, clock: Clock, secret: str = SECRET, namespace: str = "osp", coding: Coding[Any] = TEXT, **more: Any
) -> Any:
    """The second level of one gateway."""
    return level(SharedCache(memory, secret, namespace, clock, **more), "kind", coding)


async def test_what_one_gateway_has_found_out_the_other_knows(memory: Memory, clock: Clock) -> None:
    await gateway(memory, clock).save(("a", 1), Entry("value", 60))
    clock.now += 20
    assert await gateway(memory, clock).load(("a", 1)) == Entry("value", 40)


@pytest.mark.parametrize("value", ["", "text", "\ud800", "ü"])
@pytest.mark.parametrize("key", ["a", ("a", None), ("a", b"a"), (1, "1"), ("\ud800",)], ids=repr)
async def test_keys_and_values_are_any_texts(memory: Memory, clock: Clock, key: Hashable, value: str) -> None:
    subject = gateway(memory, clock)
    await subject.save(key, Entry(value, 60))
    assert await subject.load(key) == Entry(value, 60)


@pytest.mark.parametrize(("one", "other"), [(("a", "b"), ("a,b",)), (("1",), (1,)), ((b"a",), ("a",)), ((), ("",))])
async def test_keys_that_differ_are_others(memory: Memory, clock: Clock, one: Hashable, other: Hashable) -> None:
    subject = gateway(memory, clock)
    await subject.save(one, Entry("value", 60))
    assert await subject.load(other) is None


async def test_neither_keys_nor_values_can_be_read_on_the_server(memory: Memory, clock: Clock) -> None:
    await gateway(memory, clock).save("client-fake-key", Entry("client-fake-secret", 60))
    ((name, sealed),) = memory.entries.items()
    assert "client" not in name
    assert b"client" not in sealed


@pytest.mark.parametrize("other", [{"secret": "another-fake-secret"}, {"namespace": "other"}], ids=str)
async def test_gateways_of_another_kind_share_nothing(memory: Memory, clock: Clock, other: dict[str, str]) -> None:
    await gateway(memory, clock).save("a", Entry("value", 60))
    assert await gateway(memory, clock, **other).load("a") is None


async def test_an_entry_in_another_s_place_is_not_believed(memory: Memory, clock: Clock) -> None:
    """Whoever can write to the server copies the permission of one client to the name of another's."""
    subject = gateway(memory, clock)
    await subject.save("friend", Entry("allowed", 60))
    await subject.save("foe", Entry("denied", 60))
    friend, foe = memory.entries
    memory.entries[foe] = memory.entries[friend]
    assert await subject.load("foe") is None


@pytest.mark.parametrize("change", [lambda s: b"", lambda s: s[:-1], lambda s: s[:5], lambda s: b"\0" * len(s)])
async def test_an_entry_that_was_changed_is_not_believed(memory: Memory, clock: Clock, change: Any) -> None:
    subject = gateway(memory, clock)
    await subject.save("a", Entry("value", 60))
    for name, sealed in memory.entries.items():
        memory.entries[name] = change(sealed)
    assert await subject.load("a") is None


async def test_an_entry_ends_even_where_the_server_keeps_it(memory: Memory, clock: Clock) -> None:
    await gateway(memory, clock).save("a", Entry("value", 60))
    clock.now += 60
    assert await gateway(memory, clock).load("a") is None


async def test_after_a_reload_only_what_is_younger_counts(memory: Memory, clock: Clock) -> None:
    await gateway(memory, clock).save("a", Entry("value", 60))
    clock.now += 1
    assert await gateway(memory, clock, not_before=clock.now).load("a") is None


async def test_what_is_too_long_is_not_kept(memory: Memory, clock: Clock) -> None:
    await gateway(memory, clock).save("a", Entry("x" * MAX_ENTRY_OCTETS, 60))
    assert not memory.entries


async def test_a_server_that_fails_is_given_a_rest_and_nobody_notices(memory: Memory, clock: Clock) -> None:
    timer = Clock()
    subject = gateway(memory, clock, breaker=CircuitBreaker(2, 5, timer))
    memory.broken = ConnectionError("gone")
    for _ in range(10):
        assert await subject.load("a") is None
        await subject.save("a", Entry("value", 60))
    assert memory.calls == 2
    memory.broken, timer.now = None, timer.now + 5
    await subject.save("a", Entry("value", 60))
    assert await subject.load("a") == Entry("value", 60)


async def test_a_server_that_hangs_holds_nobody_up(memory: Memory, clock: Clock) -> None:
    memory.hangs = True
    assert await gateway(memory, clock).load("a") is None


async def test_counts_are_common(memory: Memory, clock: Clock) -> None:
    one, other = (SharedCache(memory, SECRET, "osp", clock) for _ in range(2))
    assert [await shared.count("presigned", "url", 60) for shared in (one, other, one)] == [1, 2, 3]
    memory.broken = ConnectionError()
    assert await one.count("presigned", "url", 60) is None


DECISIONS = [
    Decision(True, "yes"),
    Decision(False, "no"),
    Decision(False, "nothing", decisive=False),
    Decision(True, "yes", credentials="spare", constraints=Constraints(7)),
    Decision(True, "yes", constraints=Constraints()),
]


@pytest.mark.parametrize("decision", DECISIONS, ids=str)
async def test_decisions_come_back_as_they_were(memory: Memory, clock: Clock, decision: Decision) -> None:
    subject = gateway(memory, clock, coding=DECISION)
    await subject.save("a", Entry(decision, 60))
    assert await subject.load("a") == Entry(decision, 60)


@pytest.mark.parametrize("credentials", [KeyPair("a", "b"), KeyPair("a", "b", "c"), ApiKey("k")], ids=type)
async def test_credentials_come_back_as_they_were(memory: Memory, clock: Clock, credentials: Any) -> None:
    subject = gateway(memory, clock, coding=CREDENTIALS)
    await subject.save("a", Entry(credentials, 60))
    assert await subject.load("a") == Entry(credentials, 60)


@pytest.mark.parametrize("coding", [DECISION, CREDENTIALS], ids=["decision", "credentials"])
async def test_an_entry_of_another_version_is_left_alone(memory: Memory, clock: Clock, coding: Coding[Any]) -> None:
    await gateway(memory, clock).save("a", Entry("text", 60))
    assert await gateway(memory, clock, coding=coding).load("a") is None


async def test_a_cache_asks_its_second_level_before_it_computes(memory: Memory, clock: Clock) -> None:
    computed = []

    async def compute() -> Entry[str]:
        computed.append(1)
        return Entry("value", 60)

    for _ in range(3):
        cache: SingleFlightCache[str, str] = SingleFlightCache(10, clock, gateway(memory, clock))
        assert [await cache.get("a", compute) for _ in range(2)] == ["value", "value"]
    assert len(computed) == 1


async def test_what_came_from_the_second_level_lives_no_longer_in_the_first(memory: Memory, clock: Clock) -> None:
    async def compute() -> Entry[str]:
        return Entry(f"at {clock.now}", 60)

    one, other = (SingleFlightCache(10, clock, gateway(memory, clock)) for _ in range(2))
    first = await one.get("a", compute)
    clock.now += 50
    assert await other.get("a", compute) == first
    clock.now += 10
    assert await other.get("a", compute) != first
