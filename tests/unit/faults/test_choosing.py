"""Which faults a request has: by what it is about, by its number, by chance, and the same each time."""

from __future__ import annotations

from typing import Any

import pytest

from osp_gateway.faults.choosing import MAX_BUCKETS, Faults
from osp_gateway.faults.plan import BEFORE_THE_HEAD, Ending, Facts, Plan, Reached, Slices
from osp_gateway.faults.rules import read

GET = Facts("GetObject", "demo", "logs/2026/a.txt", "alice", "us-east-1")
PART = Facts("UploadPart", "demo", "large", "alice", "us-east-1")


def faults(*rules: dict[str, Any], seed: int = 0) -> Faults:
    return Faults(read({"seed": seed, "faults": list(rules)}))


def error(**more: Any) -> dict[str, Any]:
    return {"type": "error", "code": "SlowDown", **more}


def hits(chosen: Faults, number: int, facts: Facts = GET) -> list[int]:
    """The numbers, from 1, of the requests that have a fault."""
    return [n for n in range(1, number + 1) if chosen.plan(facts, 0.0) is not None]


def the(rule: dict[str, Any], facts: Facts = GET) -> Plan:
    plan = faults(rule).plan(facts, 0.0)
    assert plan is not None
    return plan


# Which requests


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"operations": "GetObject"}, True),
        ({"operations": ["Put*", "Get*"]}, True),
        ({"operations": "getobject"}, False),
        ({"operations": "PutObject"}, False),
        ({"buckets": "demo"}, True),
        ({"buckets": "dem"}, False),
        ({"keys": "logs/*"}, True),
        ({"keys": "logs"}, False),
        ({"keys": "*.txt", "buckets": "other"}, False),
        ({"identities": "al?ce"}, True),
        ({"identities": ["bob", "carol"]}, False),
    ],
)
def test_all_that_a_rule_says_has_to_be_true(rule, fits):
    assert bool(hits(faults(error(**rule)), 1)) is fits


def test_the_nth_of_those_that_match():
    chosen = faults(error(nth=[2, 4], operations="GetObject"))
    assert chosen.plan(PART, 0.0) is None
    assert hits(chosen, 6) == [2, 4]


def test_so_many_times_at_most():
    assert hits(faults(error(times=2)), 5) == [1, 2]


def test_by_chance_about_as_often_as_it_says():
    assert 400 < len(hits(faults(error(probability=0.5)), 1000)) < 600
    assert hits(faults(error(probability=0.0)), 100) == []


def test_the_same_each_time_and_otherwise_with_another_seed():
    one, same, other = (hits(faults(error(probability=0.3), seed=seed), 50) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_rule_is_not_disturbed_by_the_others_before_it():
    alone = faults({"type": "corrupt", "at": 5, "times": 1000}, error(probability=0.3), seed=1)
    crowd = faults({"type": "latency", "latency": 5, "jitter": 5}, error(probability=0.3), seed=1)
    assert [bool(alone.plan(GET, 0).answer) for _ in range(50)] == [bool(crowd.plan(GET, 0).answer) for _ in range(50)]


def test_requests_that_another_rule_answers_are_counted_too():
    chosen = faults(error(nth=1), {"type": "corrupt", "nth": 2})
    plans = [chosen.plan(GET, 0.0) for _ in range(3)]
    assert (plans[0].answer.code, plans[0].down.corrupt) == ("SlowDown", ())
    assert (plans[1].answer, plans[1].down.corrupt) == (None, (0,))
    assert plans[2] is None


def test_without_rules_there_is_nothing():
    assert not faults()
    assert faults().plan(GET, 0.0) is None
    assert faults(error())


# What happens


def test_an_error_ends_it():
    plan = faults(error(name="busy", retry_after=7), {"type": "corrupt"}).plan(GET, 0.0)
    assert (plan.answer.code, plan.answer.status, plan.answer.headers) == ("SlowDown", 503, (("retry-after", "7"),))
    assert plan.answer.reason == "fault busy: 503 SlowDown"
    assert [str(one) for one in plan.happened] == ["fault busy: 503 SlowDown"]


def test_what_comes_before_it_happens_too():
    plan = faults({"type": "latency", "latency": 250}, error()).plan(GET, 0.0)
    assert plan.down.latency == 0.25
    assert plan.answer is not None
    assert [one.rule for one in plan.happened] == ["faults[0]", "faults[1]"]


def test_latencies_add_up_and_the_slowest_rate_counts():
    plan = faults(
        {"type": "latency", "latency": 100},
        {"type": "latency", "latency": 50},
        {"type": "latency", "latency": 70, "stream": "upstream"},
        {"type": "bandwidth", "rate": 20},
        {"type": "bandwidth", "rate": 10},
        {"type": "bandwidth", "rate": 30},
    ).plan(GET, 0.0)
    assert (plan.down.latency, plan.up.latency) == (pytest.approx(0.15), 0.07)
    assert (plan.down.rate, plan.up.rate) == (10_000, None)


def test_jitter_stays_within_its_bounds_and_is_never_negative():
    chosen = faults({"type": "latency", "latency": 100, "jitter": 200})
    found = [chosen.plan(GET, 0.0).down.latency for _ in range(500)]
    assert all(0 <= latency <= 0.3 for latency in found)
    assert max(found) > 0.2
    assert min(found) == 0


def test_a_long_tail_has_most_near_the_least_and_few_far_beyond():
    chosen = faults({"type": "latency", "latency": 100, "tail": 1.2})
    found = sorted(chosen.plan(GET, 0.0).down.latency for _ in range(1000))
    assert found[0] >= 0.1
    assert found[500] < 0.25
    assert found[990] > 1.5
    assert found[-1] <= 600


@pytest.mark.parametrize(
    ("rule", "ending"),
    [
        ({"type": "timeout", "timeout": 500}, Ending(BEFORE_THE_HEAD, 0.5, "close")),
        ({"type": "timeout"}, Ending(BEFORE_THE_HEAD, 600, "close")),
        ({"type": "reset_peer"}, Ending(BEFORE_THE_HEAD, 0, "reset")),
        ({"type": "reset_peer", "bytes": 0, "timeout": 20}, Ending(0, 0.02, "reset")),
        ({"type": "limit_data", "bytes": 100}, Ending(100, 0, "close")),
        ({"type": "stall", "bytes": 100}, Ending(100, 600, "close")),
        ({"type": "stall", "bytes": 100, "timeout": 5}, Ending(100, 0.005, "close")),
    ],
)
@pytest.mark.parametrize("stream", ["downstream", "upstream"])
def test_endings(rule, ending, stream):
    plan = the({**rule, "stream": stream})
    found, other = (plan.down, plan.up) if stream == "downstream" else (plan.up, plan.down)
    assert (found.ending, other.ending) == (ending, None)


def test_of_several_endings_the_first_counts():
    chosen = faults(
        {"type": "limit_data", "bytes": 100}, {"type": "stall", "bytes": 50}, {"type": "stall", "bytes": 70}
    )
    assert chosen.plan(GET, 0.0).down.ending.after == 50


def test_and_only_it_is_said_to_happen():
    rules = ({"type": "limit_data", "bytes": 100, "times": 1}, {"type": "stall", "bytes": 50})
    chosen = faults(*rules, {"type": "stall", "bytes": 50, "stream": "upstream"}, {"type": "timeout", "nth": 3})
    assert [one.number for one in chosen.plan(GET, 0.0).happened] == [1, 2]
    assert [one.number for one in chosen.plan(GET, 0.0).happened] == [1, 2]
    assert [one.number for one in chosen.plan(GET, 0.0).happened] == [2, 3]


@pytest.mark.parametrize(
    ("rule", "when"),
    [
        (error(), "at once"),
        ({"type": "throttle", "rate": 1e-6}, "at once"),
        ({"type": "redirect", "region": "eu-west-1"}, "at once"),
        ({"type": "wrong_etag"}, "etag"),
        ({"type": "lost_part"}, "part"),
        ({"type": "duplicate_part"}, "part"),
        ({"type": "slow_close", "delay": 5}, Reached("downstream", BEFORE_THE_HEAD)),
        ({"type": "latency", "latency": 5, "stream": "upstream"}, Reached("upstream", BEFORE_THE_HEAD)),
        ({"type": "bandwidth", "rate": 5}, Reached("downstream", 0)),
        ({"type": "slicer", "average_size": 5}, Reached("downstream", 0)),
        ({"type": "corrupt", "at": 7}, Reached("downstream", 7)),
        ({"type": "limit_data", "bytes": 7}, Reached("downstream", 7, ends=True)),
        ({"type": "stall", "bytes": 7, "stream": "upstream"}, Reached("upstream", 7, ends=True)),
        ({"type": "timeout"}, Reached("downstream", BEFORE_THE_HEAD, ends=True)),
        ({"type": "reset_peer"}, Reached("downstream", BEFORE_THE_HEAD, ends=True)),
        ({"type": "reset_peer", "bytes": 7}, Reached("downstream", 7, ends=True)),
    ],
)
def test_when_it_is_certain_that_it_happens(rule, when):
    chosen = faults(rule)
    chosen.plan(PART, 0.0)
    (one,) = chosen.plan(PART, 0.0).happened
    assert one.when == when


def test_what_has_not_happened_is_not_counted():
    chosen = faults({"type": "corrupt", "at": 1000, "times": 1})
    (one,) = chosen.plan(GET, 0.0).happened
    assert chosen.plan(GET, 0.0) is None
    chosen.give_back(one.number)
    assert chosen.plan(GET, 0.0) is not None
    assert chosen.plan(GET, 0.0) is None


def test_slices_and_closing_and_corruption():
    plan = faults(
        {"type": "slicer", "average_size": 10, "size_variation": 3, "delay": 1500},
        {"type": "slow_close", "delay": 40},
        {"type": "corrupt", "at": 9},
        {"type": "corrupt", "at": 2},
    ).plan(GET, 0.0)
    assert plan.down.slices == Slices(10, 3, 0.0015)
    assert plan.down.closing == 0.04
    assert plan.down.corrupt == (2, 9)


@pytest.mark.parametrize(("type_", "flags"), [("lost_part", (True, False)), ("duplicate_part", (False, True))])
def test_parts_of_uploads(type_, flags):
    assert faults({"type": type_}).plan(GET, 0.0) is None
    plan = the({"type": type_}, PART)
    assert (plan.lost, plan.unanswered) == flags


# Redirects, clocks, buckets of tokens


def test_only_who_signed_for_another_region_is_sent_away():
    chosen = faults({"type": "redirect", "region": "eu-west-1", "nth": 1})
    assert chosen.plan(Facts("GetObject", "demo", "k", "alice", "eu-west-1"), 0.0) is None
    plan = chosen.plan(GET, 0.0)
    assert (plan.answer.status, plan.answer.code) == (301, "PermanentRedirect")
    assert ("x-amz-bucket-region", "eu-west-1") in plan.answer.headers
    assert "Endpoint" not in plan.answer.details


def test_what_is_about_no_bucket_is_in_no_region():
    assert faults({"type": "redirect", "region": "x"}).plan(Facts("ListBuckets", "", "", "alice", "y"), 0.0) is None


def test_a_clock_is_wrong_before_anything_is_known_for_certain():
    chosen = faults({"type": "clock_skew", "offset": -90, "operations": "GetObject", "name": "slow clock"})
    assert chosen.skews_clocks
    assert not faults(error()).skews_clocks
    seconds, happened = chosen.skew(GET)
    assert seconds == -90
    assert [str(one) for one in happened] == ["fault slow clock: the clock is off by -90 s"]
    assert chosen.skew(PART) == (0.0, ())
    assert chosen.plan(GET, 0.0) is None


def test_a_token_bucket_lets_a_burst_pass_and_fills_again():
    chosen = faults({"type": "throttle", "rate": 2, "burst": 3})
    passed = [chosen.plan(GET, now) is None for now in (0, 0, 0, 0, 0.4, 0.5, 0.6, 60, 60, 60, 60)]
    assert passed == [True, True, True, False, False, True, False, True, True, True, False]


@pytest.mark.parametrize(("per", "passes"), [("gateway", False), ("identity", True), ("bucket", True)])
def test_one_for_all_or_one_for_each(per, passes):
    chosen = faults({"type": "throttle", "rate": 0.001, "per": per})
    assert chosen.plan(GET, 0.0) is None
    assert (chosen.plan(Facts("GetObject", "other", "k", "bob"), 0.0) is None) is passes
    assert chosen.plan(GET, 0.0).answer.code == "SlowDown"


def test_there_are_never_too_many_of_them():
    chosen = faults({"type": "throttle", "rate": 0.001, "per": "identity"})
    for number in range(MAX_BUCKETS + 10):
        chosen.plan(Facts("GetObject", "demo", "k", f"user-{number}"), 0.0)
    assert len(chosen._states[0].tokens) == MAX_BUCKETS
