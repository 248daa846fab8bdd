"""Several authorizers as one: what each way of joining them makes of what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osp_gateway.access.authorizer import AccessRequest, Authorizer, Constraints, Decision
from osp_gateway.access.compose import all_of, any_of, first_decisive, unanimous

REQUEST = AccessRequest(
    token="client-fake-key",
    bucket="demo",
    method="GET",
    path="/demo/key",
    query={},
    headers={},
    operation="GetObject",
    key="key",
    source="192.0.2.7",
)
YES, NO, NOTHING = Decision(True, "yes"), Decision(False, "no"), Decision(False, "no opinion", decisive=False)
Joined = Callable[..., Authorizer]


class Says:
    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked = 0

    async def __call__(self, request: AccessRequest) -> Decision:
        self.asked += 1
        return self.decision


async def joined(way: Joined, *decisions: Decision) -> Decision:
    return await way(*(Says(decision) for decision in decisions))(REQUEST)


TABLE = [
    # decisions            all_of  any_of  first   unanimous
    ((YES,), True, True, True, True),
    ((NO,), False, False, False, False),
    ((NOTHING,), False, False, False, False),
    ((YES, YES), True, True, True, True),
    ((YES, NO), False, True, True, False),
    ((NO, YES), False, True, False, False),
    ((YES, NOTHING), False, True, True, True),
    ((NOTHING, YES), False, True, True, True),
    ((NOTHING, NO), False, False, False, False),
    ((NO, NOTHING), False, False, False, False),
    ((NOTHING, NOTHING), False, False, False, False),
    ((NOTHING, NO, YES), False, True, False, False),
    ((YES, NOTHING, NO), False, True, True, False),
    ((YES, YES, YES), True, True, True, True),
]


@pytest.mark.parametrize(("decisions", "every", "some", "first", "agreed"), TABLE)
async def test_what_they_come_to(
    decisions: tuple[Decision, ...], every: bool, some: bool, first: bool, agreed: bool
) -> None:
    answers = [await joined(way, *decisions) for way in (all_of, any_of, first_decisive, unanimous)]
    assert [answer.allowed for answer in answers] == [every, some, first, agreed]


@pytest.mark.parametrize("way", [all_of, unanimous])
async def test_after_the_first_no_nobody_else_is_asked(way: Joined) -> None:
    last = Says(YES)
    decision = await way(Says(YES), Says(NO), last)(REQUEST)
    assert (decision.reason, last.asked) == ("no", 0)


@pytest.mark.parametrize("way", [any_of, first_decisive])
async def test_after_the_first_yes_nobody_else_is_asked(way: Joined) -> None:
    last = Says(NO)
    assert (await way(Says(YES), last)(REQUEST)).allowed
    assert last.asked == 0


async def test_a_refusal_gives_the_reason_of_one_that_had_an_opinion() -> None:
    assert (await joined(any_of, NOTHING, NO)).reason == "no"


async def test_a_part_that_raises_refuses_whatever_the_others_say() -> None:
    async def broken(_request: AccessRequest) -> Decision:
        raise ValueError

    for way in (all_of, any_of, first_decisive, unanimous):
        with pytest.raises(ValueError):
            await way(broken, Says(YES))(REQUEST)


@pytest.mark.parametrize("way", [all_of, unanimous])
@pytest.mark.parametrize(("cached", "expected"), [((True, True), True), ((True, False), False), ((False, True), False)])
async def test_a_decision_is_remembered_where_all_its_parts_are(
    way: Joined, cached: tuple[bool, bool], expected: bool
) -> None:
    assert (await joined(way, *(Decision(True, "yes", c) for c in cached))).cached is expected


@pytest.mark.parametrize("way", [all_of, unanimous])
async def test_of_two_permissions_the_stricter_bounds_hold(way: Joined) -> None:
    one = Decision(True, "one", ttl=60, credentials="spare", constraints=Constraints(max_octets=10))
    other = Decision(True, "other", ttl=5, constraints=Constraints(max_octets=20))
    decision = await joined(way, one, other)
    assert (decision.ttl, decision.credentials, decision.constraints) == (5, "spare", Constraints(max_octets=10))


@pytest.mark.parametrize("way", [all_of, any_of, first_decisive, unanimous])
def test_nobody_at_all_is_a_mistake(way: Joined) -> None:
    with pytest.raises(ValueError, match="at least one"):
        way()
