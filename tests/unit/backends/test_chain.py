"""Credentials that expire: renewed ahead, by one call, and used until their end whatever happens to the renewal."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from osp_gateway.backends.chain import REST_SECONDS, ChainCredentials, ChainFailure, Obtained
from osp_gateway.backends.routes import ChainSource
from osp_gateway.callables import CallableRunner
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair
from support.heads import NOW, Clock

SOURCE = ChainSource(profile="fake")


class Provider:
    """Gives numbered credentials that live for `life` seconds, or raises `failure`."""

    def __init__(self, clock: Clock, life: float | None = 3600.0) -> None:
        self.clock = clock
        self.life = life
        self.failure: Exception | None = None
        self.asked = 0
        self.threads: set[str] = set()
        self.gate: threading.Event | None = None

    def __call__(self, source: ChainSource) -> Obtained:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if self.gate is not None:
            self.gate.wait(30)
        if self.failure is not None:
            raise self.failure
        expires_at = None if self.life is None else self.clock() + self.life
        return Obtained(KeyPair(f"key-{self.asked}", "fake-secret", "fake-token"), expires_at)


class Subject:
    def __init__(self, life: float | None = 3600.0) -> None:
        self.clock = Clock()
        self.provider = Provider(self.clock, life)
        self.chain = ChainCredentials(self.clock, self.provider, CallableRunner(30.0))

    async def key(self) -> str:
        return (await self.chain.get(SOURCE)).access_key

    async def settled(self) -> None:
        """Until no renewal is under way."""
        for known in self.chain._known.values():
            if known.flight is not None:
                await asyncio.wait([known.flight])


@pytest.fixture
def subject() -> Subject:
    return Subject()


async def test_they_are_found_once_in_a_thread_for_all_who_wait(subject):
    keys = await asyncio.gather(*(subject.key() for _ in range(50)))
    assert set(keys) == {"key-1"}
    assert subject.provider.asked == 1
    assert threading.main_thread().name not in subject.provider.threads


async def test_the_session_token_comes_along(subject):
    assert (await subject.chain.get(SOURCE)).session_token == "fake-token"


async def test_they_are_renewed_ahead_of_their_end_while_the_old_ones_serve(subject):
    await subject.key()
    subject.clock.now = NOW + 3600 - 901
    assert await subject.key() == "key-1"
    assert subject.provider.asked == 1
    subject.clock.now = NOW + 3600 - 899
    subject.provider.gate = threading.Event()
    assert await asyncio.gather(*(subject.key() for _ in range(20))) == ["key-1"] * 20
    subject.provider.gate.set()
    await subject.settled()
    assert await subject.key() == "key-2"
    assert subject.provider.asked == 2


async def test_short_lives_are_renewed_after_three_quarters(subject):
    subject.provider.life = 100
    await subject.key()
    subject.clock.now = NOW + 74
    await subject.key()
    await subject.settled()
    assert subject.provider.asked == 1
    subject.clock.now = NOW + 76
    await subject.key()
    await subject.settled()
    assert subject.provider.asked == 2


async def test_old_ones_serve_until_they_really_end_and_the_failure_is_told_without_secrets(subject, caplog):
    await subject.key()
    subject.provider.failure = RuntimeError("fake-secret in a message")
    with caplog.at_level(logging.ERROR):
        for at in (2800, 3000, 3599):
            subject.clock.now = NOW + at
            assert await subject.key() == "key-1"
            await subject.settled()
    assert "profile fake: RuntimeError" in caplog.text
    assert "the old ones go on" in caplog.text
    assert "fake-secret" not in caplog.text
    subject.clock.now = NOW + 3600
    with pytest.raises(S3Error) as caught:
        await subject.key()
    assert caught.value.code == "ServiceUnavailable"


async def test_a_failure_is_not_hammered(subject):
    subject.provider.failure = ChainFailure("none")
    for _ in range(20):
        with pytest.raises(S3Error) as caught:
            await subject.key()
        assert "none" in caught.value.reason
        assert "none" not in caught.value.message
    assert subject.provider.asked == 1
    subject.clock.now += REST_SECONDS
    subject.provider.failure = None
    assert await subject.key() == "key-2"


async def test_a_failing_renewal_is_not_hammered_either(subject):
    await subject.key()
    subject.provider.failure = ChainFailure("none")
    subject.clock.now = NOW + 3000
    for _ in range(20):
        await subject.key()
        await subject.settled()
    assert subject.provider.asked == 2


async def test_what_has_expired_already_is_nothing(subject):
    subject.provider.life = -1
    with pytest.raises(S3Error) as caught:
        await subject.key()
    assert "expired" in caught.value.reason


async def test_those_without_an_end_are_looked_up_again_now_and_then():
    subject = Subject(life=None)
    assert await subject.key() == "key-1"
    subject.clock.now = NOW + 301
    assert await subject.key() == "key-1"
    await subject.settled()
    assert await subject.key() == "key-2"


async def test_sources_do_not_share(subject):
    assert await subject.key() == "key-1"
    other = await subject.chain.get(ChainSource(profile="other"))
    assert other.access_key == "key-2"
    assert await subject.key() == "key-1"


async def test_one_who_gives_up_does_not_end_it_for_the_others(subject):
    subject.provider.gate = threading.Event()
    first, second = asyncio.ensure_future(subject.key()), asyncio.ensure_future(subject.key())
    await asyncio.sleep(0)
    first.cancel()
    subject.provider.gate.set()
    assert await second == "key-1"


def test_no_secret_shows():
    source = ChainSource(external_id="fake-external-id", pair=KeyPair("key", "fake-secret"))
    assert "fake-external-id" not in repr(source)
    assert "fake-secret" not in repr(source)
    assert "fake-secret" not in repr(Obtained(KeyPair("key", "fake-secret"), None))
