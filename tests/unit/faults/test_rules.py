"""Rules for faults: what can be written, and what is said of what cannot."""

from __future__ import annotations

import pytest

from osp_gateway.faults.choosing import Faults
from osp_gateway.faults.plan import Facts
from osp_gateway.faults.rules import MAX_COUNT, MAX_FAULTS, MAX_SEED, TYPES, FaultsError, joined, load, read
from osp_gateway.faults.shaping import Shaper

EVERY_TYPE = {
    "bandwidth": {"rate": 100},
    "clock_skew": {"offset": -3600},
    "corrupt": {},
    "duplicate_part": {},
    "error": {"code": "SlowDown"},
    "latency": {"latency": 100},
    "limit_data": {"bytes": 10},
    "lost_part": {},
    "redirect": {"region": "eu-west-1"},
    "reset_peer": {},
    "slicer": {"average_size": 100},
    "slow_close": {"delay": 10},
    "stall": {"bytes": 10},
    "throttle": {"rate": 1},
    "timeout": {},
    "wrong_etag": {},
}


def problems(*faults, **more) -> list[str]:
    with pytest.raises(FaultsError) as caught:
        read({"faults": list(faults), **more})
    return caught.value.problems


def test_every_type_needs_no_more_than_this():
    assert set(EVERY_TYPE) == TYPES
    rules = read({"seed": 3, "faults": [{"type": name, **fields} for name, fields in EVERY_TYPE.items()]})
    assert rules.seed == 3
    assert [rule.type for rule in rules.faults] == list(EVERY_TYPE)


@pytest.mark.parametrize(
    "name", ["latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"]
)
def test_the_toxics_of_toxiproxy_have_its_names(name):
    assert name in TYPES


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize("name", ["latency", "bandwidth", "timeout", "reset_peer", "slicer", "limit_data"])
def test_and_its_streams(name, stream):
    (rule,) = read({"faults": [{"type": name, "stream": stream, **EVERY_TYPE[name]}]}).faults
    assert rule.stream == stream


def test_one_is_as_good_as_a_list_of_one():
    (rule,) = read({"faults": [{"type": "wrong_etag", "operations": "Put*", "nth": 2}]}).faults
    assert (rule.operations, rule.nth) == (("Put*",), (2,))


@pytest.mark.parametrize(
    ("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("NoSuchKey", 404), ("ExpiredToken", 400)]
)
def test_an_error_has_the_status_that_goes_with_its_code(code, status):
    (rule,) = read({"faults": [{"type": "error", "code": code}]}).faults
    assert rule.http_status == status


def test_or_one_of_its_own():
    (rule,) = read({"faults": [{"type": "error", "code": "ExpiredToken", "status": 403}]}).faults
    assert rule.http_status == 403


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"type": "latency"}, "faults[0].latency: missing, expected a value"),
        (
            {"type": "latency", "latency": -1},
            "faults[0].latency: Input should be greater than or equal to 0, got '-1'",
        ),
        (
            {"type": "latency", "latency": 600_001},
            "faults[0].latency: Input should be less than or equal to 600000, got '600001'",
        ),
        ({"type": "latency", "latency": True}, "faults[0].latency: expected a number, got 'True'"),
        ({"type": "corrupt", "where": 1}, "faults[0].where: unknown field"),
        (
            {"type": "error", "code": "OwnCode"},
            "faults[0]: no status is known for OwnCode, expected one in `status`, got",
        ),
        ({"type": "error", "code": "<x>"}, "faults[0].code: String should match"),
        ({"type": "slicer", "average_size": 5, "size_variation": 5}, "size_variation: expected less than average_size"),
        ({"type": "wrong_etag", "nth": [0]}, "faults[0].nth[0]: Input should be greater than or equal to 1"),
        ({"type": "wrong_etag", "probability": 2}, "faults[0].probability: Input should be less than or equal to 1"),
        ({"type": "wrong_etag", "operations": []}, "faults[0].operations: Value should have at least 1 item"),
        ({"type": "bandwidth", "rate": 1, "stream": "both"}, "faults[0].stream: Input should be 'downstream'"),
        ({"type": "toxic"}, "faults[0].type: expected one of bandwidth, clock_skew, corrupt"),
        ({}, "faults[0].type: expected one of bandwidth, clock_skew, corrupt"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(fault, said):
    (problem,) = problems(fault)
    assert said in problem
    assert "\n" not in problem


# Python calculates with none of these: a request would have passed without its fault.
@pytest.mark.parametrize(
    "fault",
    [
        {"type": "latency", "latency": 1, "tail": 0.001},
        {"type": "bandwidth", "rate": 1e308},
        {"type": "bandwidth", "rate": 5e-324},
        {"type": "throttle", "rate": 1, "burst": 10**400},
        {"type": "throttle", "rate": 1e308},
        {"type": "stall", "bytes": 10**5000},
        {"type": "corrupt", "at": 10**16},
        {"type": "slicer", "average_size": 10**400},
        {"type": "error", "code": "SlowDown", "retry_after": 10**5000},
        {"type": "wrong_etag", "times": 10**400},
    ],
)
def test_numbers_nobody_can_calculate_with_are_refused(fault):
    (problem,) = problems(fault)
    assert "Input should be" in problem
    assert len(problem) < 200


def test_seeds_too():
    (problem,) = problems(seed=10**5000)
    assert "seed: Input should be less than or equal to" in problem


@pytest.mark.parametrize("stream", ["downstream", "upstream"])
@pytest.mark.parametrize(
    "fault",
    [
        {"type": "latency", "latency": 600_000, "jitter": 600_000, "tail": 0.1},
        {"type": "bandwidth", "rate": 1e9},
        {"type": "bandwidth", "rate": 1e-6},
        {"type": "slicer", "average_size": MAX_COUNT, "size_variation": MAX_COUNT - 1, "delay": 600_000_000},
        {"type": "stall", "bytes": MAX_COUNT},
        {"type": "corrupt", "at": MAX_COUNT},
    ],
)
def test_the_largest_and_the_least_that_are_taken_work(fault, stream):
    chosen = Faults(read({"seed": MAX_SEED, "faults": [{**fault, "stream": stream}]}))
    for _ in range(1000):
        plan = chosen.plan(Facts("GetObject", "demo", "k", "alice"), 0.0)
    way = plan.down if stream == "downstream" else plan.up
    shaper = Shaper(way, bytes)
    shaper.head("head", 0.0)
    shaper.data(b"xy", 0.0)
    shaper.last("end", 0.0)
    while (due := shaper.due()) is not None:
        assert list(shaper.ready(due))


def test_tokens_of_the_largest_numbers():
    chosen = Faults(read({"faults": [{"type": "throttle", "rate": 1e9, "burst": MAX_COUNT}]}))
    assert [chosen.plan(Facts("GetObject", "demo", "k", "alice"), float(now)) for now in range(100)] == [None] * 100


def test_rules_are_joined_as_long_as_they_are_not_too_many():
    one = read({"seed": 3, "faults": [{"type": "wrong_etag"}]})
    both = joined(one, read({"seed": 4, "faults": [{"type": "corrupt"}]}))
    assert (both.seed, [rule.type for rule in both.faults]) == (3, ["wrong_etag", "corrupt"])
    with pytest.raises(FaultsError, match="expected 1000 faults at most, these would be 1001"):
        joined(read({"faults": [{"type": "wrong_etag"}] * MAX_FAULTS}), one)


def test_all_mistakes_are_told_at_once():
    assert len(problems({"type": "latency"}, {"type": "nothing"}, {"type": "corrupt", "at": -1}, speed=1)) == 4


def test_a_file(tmp_path):
    file = tmp_path / "faults.toml"
    file.write_text('seed = 9\n[[faults]]\ntype = "error"\ncode = "SlowDown"\noperations = ["GetObject"]\n')
    rules = load(file)
    assert rules.seed == 9
    assert rules.faults[0].operations == ("GetObject",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed =", "not TOML"),
        ("\xff", "not TOML"),
        ("faults = 1", "faults: "),
        ("[[fault]]", "fault: unknown field"),
        ("seed = " + "9" * 5000, "a number has too many digits"),
        ("seed = 0x" + "f" * 5000, "got a number with too many digits"),
        ("seed = " + "[" * 5000, "nested too deeply"),
        ("seed = " + "{a=" * 5000, "nested too deeply"),
        ("seed" + ".a" * 5000 + " = 1", "seed: .* got something that is nested too deeply"),
    ],
)
def test_a_file_that_is_none_says_so_with_its_name(tmp_path, text, said):
    file = tmp_path / "faults.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(FaultsError, match=said) as caught:
        load(file)
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)


def test_and_so_does_one_that_is_not_there(tmp_path):
    with pytest.raises(FaultsError, match="No such file"):
        load(tmp_path / "nothing.toml")
