from __future__ import annotations

import pytest

from osp_gateway.access.presign import PresignUses
from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import SharedCache


async def _code(uses: PresignUses, signature: str, expires_at: float = 100, now: float = 0) -> str | None:
    try:
        await uses.count(signature, expires_at, now)
    except S3Error as error:
        return error.code
    return None


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_url_may_be_used_as_often_as_configured_and_no_more(limit: int) -> None:
    uses = PresignUses(limit)
    assert [await _code(uses, "s") for _ in range(limit + 2)] == [None] * limit + ["AccessDenied"] * 2


async def test_without_a_limit_a_url_may_be_used_at_will() -> None:
    uses = PresignUses(None, room=1)
    assert [await _code(uses, name) for name in ("a", "b", "a", "a")] == [None] * 4


async def test_urls_are_counted_apart() -> None:
    uses = PresignUses(1)
    assert [await _code(uses, name) for name in ("a", "b", "a", "b")] == [None, None, "AccessDenied", "AccessDenied"]


async def test_a_url_is_counted_up_to_the_very_end_of_its_life() -> None:
    uses = PresignUses(1)
    assert [await _code(uses, "a", 100, now) for now in (0, 100)] == [None, "AccessDenied"]


async def test_when_there_is_no_room_a_new_url_is_refused_for_now() -> None:
    uses = PresignUses(1, room=2)
    assert [await _code(uses, name) for name in ("a", "b", "c")] == [None, None, "SlowDown"]


async def test_when_there_is_no_room_the_urls_that_are_counted_go_on() -> None:
    uses = PresignUses(2, room=1)
    assert [await _code(uses, name) for name in ("a", "b", "a", "a")] == [None, "SlowDown", None, "AccessDenied"]


async def test_a_refused_url_takes_no_room() -> None:
    uses = PresignUses(1, room=2)
    assert [await _code(uses, name) for name in ("a", "a", "a", "b")] == [None, "AccessDenied", "AccessDenied", None]


async def test_urls_that_have_expired_make_room() -> None:
    uses = PresignUses(1, room=1)
    assert await _code(uses, "a", expires_at=100, now=0) is None
    assert await _code(uses, "b", expires_at=300, now=101) is None


async def test_the_first_to_expire_makes_room_whatever_the_order_in_which_they_came() -> None:
    uses = PresignUses(1, room=3)
    for name, end in (("late", 300), ("early", 100), ("middle", 200)):
        await uses.count(name, end, 0)
    assert await _code(uses, "new", 400, now=150) is None
    assert [await _code(uses, name, 400, now=150) for name in ("late", "middle")] == ["AccessDenied"] * 2


# Together with others


class Counter:
    """A server that counts, until it is told to be away or to forget."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.milliseconds = 0
        self.away = False

    async def count(self, name: str, milliseconds: int) -> int:
        if self.away:
            raise OSError
        self.counts[name] = self.counts.get(name, 0) + 1
        self.milliseconds = milliseconds
        return self.counts[name]

    async def get(self, name: str) -> bytes | None:
        raise AssertionError

    async def set(self, name: str, value: bytes, milliseconds: int) -> None:
        raise AssertionError

    async def close(self) -> None:
        pass


def _together(limit: int, server: Counter) -> PresignUses:
    return PresignUses(limit, shared=SharedCache(server, "fake-secret-of-the-cache", "osp"))


@pytest.mark.parametrize("limit", [1, 3])
async def test_gateways_that_share_a_server_count_together(limit: int) -> None:
    server = Counter()
    gateways = [_together(limit, server) for _ in range(3)]
    answers = [await _code(gateway, "s") for gateway in gateways * 2]
    assert answers == [None] * limit + ["AccessDenied"] * (6 - limit)


async def test_the_server_keeps_a_count_for_longer_than_the_url_lives() -> None:
    """A gateway whose clock is behind takes the URL for good for that much longer."""
    server = Counter()
    await _code(_together(1, server), "s", expires_at=100, now=40)
    assert server.milliseconds == (60 + 15 * 60) * 1000


async def test_while_the_server_is_away_nothing_is_used_and_nothing_used_up() -> None:
    server = Counter()
    uses = _together(1, server)
    server.away = True
    assert await _code(uses, "s") == "ServiceUnavailable"
    server.away = False
    assert [await _code(uses, "s") for _ in range(2)] == [None, "AccessDenied"]


async def test_a_server_that_forgets_does_not_make_a_url_fresh() -> None:
    server = Counter()
    uses = _together(2, server)
    assert [await _code(uses, "s") for _ in range(2)] == [None, None]
    server.counts.clear()
    assert await _code(uses, "s") == "AccessDenied"


async def test_the_server_is_not_told_what_is_counted() -> None:
    server = Counter()
    await _code(_together(1, server), "signature-of-the-url")
    assert "signature-of-the-url" not in repr(server.counts)


async def test_without_a_limit_nothing_is_counted() -> None:
    server = Counter()
    server.away = True
    assert await _code(PresignUses(None, shared=SharedCache(server, "x" * 16, "osp")), "s") is None
