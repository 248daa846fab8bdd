from __future__ import annotations

import pytest

from osp_gateway.access.presign import PresignUses
from osp_gateway.s3.errors import S3Error


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
