"""What is found in caches, and what is fetched, is counted once each."""

import asyncio

import pytest

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.access.keystore import Keystore
from osp_gateway.access.validator import ValidatorAuthorizer
from osp_gateway.backends.credentials import BackendCredentials
from osp_gateway.backends.iam import HttpReply, IamTokens
from osp_gateway.backends.routes import BucketRoute
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner
from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import SharedCache
from osp_gateway.tallies import CacheTally, RefreshTally, Tallies


def numbers(tally):
    return (tally.hits, tally.misses)


async def test_a_cache_counts_what_it_has_and_what_it_has_not():
    tally = CacheTally()
    cache = SingleFlightCache(10, tally=tally)

    async def compute():
        return Entry("value", 60)

    await cache.get("a", compute)
    await cache.get("a", compute)
    assert cache.peek("a") == "value"
    assert cache.peek("b") is None
    assert numbers(tally) == (2, 1)
    assert cache.glance("a") == "value"
    assert numbers(tally) == (2, 1)


async def test_those_who_wait_for_one_computation_have_all_missed():
    tally = CacheTally()
    cache = SingleFlightCache(10, tally=tally)

    async def compute():
        await asyncio.sleep(0)
        return Entry("value", 60)

    await asyncio.gather(*(cache.get("a", compute) for _ in range(3)))
    assert numbers(tally) == (0, 3)


@pytest.mark.parametrize(("ttl", "expected"), [(60.0, (2, 1)), (0.0, (0, 3))])
async def test_decisions(ttl, expected):
    tally = CacheTally()
    authorizer = ValidatorAuthorizer(lambda token, bucket: True, False, CallableRunner(), tally=tally)
    request = AccessRequest("t", "b", "GET", "/b/k", {}, {}, "GetObject", "k", "192.0.2.1", ttl=ttl)
    for _ in range(3):
        await authorizer(request)
    assert numbers(tally) == expected


async def test_client_secrets_but_not_those_that_are_listed_or_explained():
    tally = CacheTally()
    keystore = Keystore({}, lambda key: "secret" if key == "known" else None, CallableRunner(), tally=tally)
    assert await keystore.secret("known") == "secret"
    assert await keystore.secret("known") == "secret"
    for _ in range(2):
        with pytest.raises(S3Error):
            await keystore.secret("unknown")
    assert numbers(tally) == (2, 2)
    assert keystore.known("known") == "secret"
    assert numbers(tally) == (2, 2)


async def test_backend_credentials_and_their_fetches():
    tallies = Tallies()

    def fetch(token, bucket):
        if bucket == "broken":
            raise OSError("no vault")
        return "key", "secret"

    credentials = BackendCredentials(fetch, CallableRunner(), tallies=tallies)
    for bucket in ("good", "good", "broken", "broken"):
        try:
            await credentials.get(BucketRoute(bucket), "token", bucket)
        except S3Error:
            assert bucket == "broken"
    assert numbers(tallies.cache("backend_credentials")) == (1, 3)
    assert tallies.refresh("backend_credentials") == RefreshTally(1, 2)


async def test_iam_tokens_and_their_renewals():
    tallies, now, works = Tallies(), [0.0], [True]

    async def post(url, form):
        return HttpReply(200, b'{"access_token": "fake", "expires_in": 100}') if works[0] else HttpReply(400, b"")

    tokens = IamTokens(post, clock=lambda: now[0], first_pause=0, tallies=tallies)
    await tokens.token("key")
    await tokens.token("key")
    now[0] = 90.0  # past the time of renewal, before the end
    await tokens.token("key")
    await asyncio.sleep(0)
    now[0], works[0] = 1000.0, False
    with pytest.raises(S3Error):
        await tokens.token("key")
    assert numbers(tallies.cache("iam_tokens")) == (2, 2)
    assert tallies.refresh("iam_tokens") == RefreshTally(2, 1)


class Memory:
    """A store that works, or does not."""

    def __init__(self):
        self.entries = {}
        self.works = True

    async def get(self, name):
        if not self.works:
            raise ConnectionError
        return self.entries.get(name)

    async def set(self, name, value, milliseconds):
        if not self.works:
            raise ConnectionError
        self.entries[name] = value


async def test_what_gateways_share():
    tally, memory = CacheTally(), Memory()
    shared = SharedCache(memory, "a-fake-secret-of-gateways", "osp", tally=tally)
    assert await shared.load("kind", "a") is None
    await shared.save("kind", "a", Entry("value", 60))
    assert (await shared.load("kind", "a")).value == "value"
    memory.works = False
    assert await shared.load("kind", "a") is None
    await shared.save("kind", "b", Entry("value", 60))
    assert (tally.hits, tally.misses, tally.failures) == (1, 2, 2)


async def test_a_fetch_that_is_given_up_has_neither_worked_nor_failed():
    tally = RefreshTally()
    fetch = asyncio.ensure_future(tally.counted(asyncio.sleep(60)))
    await asyncio.sleep(0)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert tally == RefreshTally(0, 0)
