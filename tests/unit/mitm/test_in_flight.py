"""Requests under way are counted exactly, whatever order their ends are told in."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.limits import Limits
from osp_gateway.mitm.in_flight import InFlight


@pytest.fixture
def counted():
    return InFlight()


def test_a_request_is_in_flight_from_its_head_to_its_end(counted):
    counted.enter("a", 1)
    assert counted.total == 1
    counted.leave("a", 1)
    assert counted.total == 0


def test_an_end_that_is_told_twice_counts_once(counted):
    counted.enter("a", 1)
    counted.enter("a", 3)
    for _ in range(3):
        counted.leave("a", 1)
    assert counted.total == 1


def test_what_was_under_way_ends_with_its_connection(counted):
    for stream in (1, 3, 5):
        counted.enter("a", stream)
    counted.enter("b", 1)
    counted.gone("a")
    counted.leave("a", 3)
    assert counted.total == 1


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        (Limits(requests_per_connection=2), "3 requests in flight on one connection"),
        (Limits(requests_in_flight=3), "4 requests in flight"),
        (Limits(requests_per_connection=3, requests_in_flight=4), None),
        (Limits(requests_per_connection=0, requests_in_flight=0), None),
    ],
)
def test_a_limit_is_broken_by_the_request_that_is_one_too_many(counted, limits, broken):
    counted.enter("b", 1)
    for stream in (1, 3, 5):
        counted.enter("a", stream)
    assert counted.excess("a", limits) == broken


steps = st.lists(st.tuples(st.sampled_from(["enter", "leave", "gone"]), st.sampled_from("ab"), st.sampled_from([1, 3])))


@given(steps)
def test_the_total_is_that_of_the_connections(steps):
    counted, model = InFlight(), Counter()
    for what, client, stream in steps:
        if what == "enter":
            counted.enter(client, stream)
            model[client, stream] = 1
        elif what == "leave":
            counted.leave(client, stream)
            model.pop((client, stream), None)
        else:
            counted.gone(client)
            for key in [key for key in model if key[0] == client]:
                del model[key]
        assert counted.total == model.total()
    for client in "ab":
        counted.gone(client)
    assert counted.total == 0
    assert not counted._streams
