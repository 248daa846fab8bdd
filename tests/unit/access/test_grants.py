"""Exceptions that are made by hand, each for one request."""

from __future__ import annotations

import pytest

from osp_gateway.access.grants import LIFE_SECONDS, MAX_GRANTS, Grants, Wanted

WANTED = Wanted("client-fake-key", "GetObject", "demo", "a/key")


def test_an_exception_is_good_for_one_request() -> None:
    grants = Grants(lambda: 0.0)
    assert not grants.take(WANTED)
    grants.add(WANTED)
    assert [grants.take(WANTED) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        Wanted("another-fake-key", "GetObject", "demo", "a/key"),
        Wanted("client-fake-key", "DeleteObject", "demo", "a/key"),
        Wanted("client-fake-key", "GetObject", "other", "a/key"),
        Wanted("client-fake-key", "GetObject", "demo", "a/key2"),
    ],
)
def test_an_exception_is_for_no_other_request(other: Wanted) -> None:
    grants = Grants(lambda: 0.0)
    grants.add(WANTED)
    assert not grants.take(other)
    assert grants.take(WANTED)


def test_an_exception_ends() -> None:
    now = [0.0]
    grants = Grants(lambda: now[0])
    grants.add(WANTED)
    now[0] = LIFE_SECONDS
    assert not grants.take(WANTED)


def test_exceptions_are_bounded_and_those_that_ended_do_not_count() -> None:
    now = [0.0]
    grants = Grants(lambda: now[0])
    for number in range(MAX_GRANTS):
        grants.add(Wanted("client-fake-key", "GetObject", "demo", str(number)))
    with pytest.raises(ValueError, match="have not been used"):
        grants.add(WANTED)
    now[0] = LIFE_SECONDS + 1
    grants.add(WANTED)
    assert grants.take(WANTED)


def test_making_and_using_one_is_told_loudly(caplog: pytest.LogCaptureFixture) -> None:
    grants = Grants(lambda: 0.0)
    grants.add(WANTED)
    grants.take(WANTED)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert all("client-fake-key" in record.message for record in caplog.records)
