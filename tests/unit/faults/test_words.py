"""Rules as words of a command line: a text is what stands there, and what cannot be used is said in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.faults.rules import FaultsError
from osp_gateway.faults.words import read_words


def the(*words: str):
    (rule,) = read_words(("type=error", "code=SlowDown", *words)).faults
    return rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not now, later", "not now, later"),
        ('"not now, later"', "not now, later"),
        ("'not now'", "not now"),
        ('say "please", first', 'say "please", first'),
        ('"one" and "two"', '"one" and "two"'),
        ("2026", "2026"),
        ("2026-01-01", "2026-01-01"),
        ("true", "true"),
        ("[" * 5000, "[" * 5000),
        ("9" * 5000, "9" * 5000),
        ('x\nname = "another"', 'x\nname = "another"'),
    ],
)
def test_a_text_is_what_stands_there(text, message):
    rule = the(f"message={text}")
    assert (rule.message, rule.name) == (message, "")


@pytest.mark.parametrize(
    ("text", "globs"),
    [
        ("a", ("a",)),
        ("a,b*", ("a", "b*")),
        ("a, b* ,\"c,d\",'e,f'", ("a", "b*", "c,d", "e,f")),
        ('["a", "b,c"]', ("a", "b,c")),
        ("2026", ("2026",)),
        ("2026-01-01,2026-01-02", ("2026-01-01", "2026-01-02")),
        ("[ab]*,[0-9]", ("[ab]*", "[0-9]")),
        ("[1]", ("[1]",)),
        ('5"-nails', ('5"-nails',)),
    ],
)
@pytest.mark.parametrize("field", ["keys", "buckets"])
def test_globs_are_separated_by_commas_outside_of_quotes(field, text, globs):
    assert getattr(the(f"{field}={text}"), field) == globs


@pytest.mark.parametrize(("text", "nth"), [("2", (2,)), ("1,3", (1, 3)), ("[1, 3]", (1, 3)), ("1, 3", (1, 3))])
def test_numbers_may_be_several(text, nth):
    assert the(f"nth={text}").nth == nth


@given(st.text(min_size=1))
def test_every_text_can_be_a_glob_and_a_message(text):
    quoted = '"' + "".join(f"\\U{ord(one):08X}" for one in text) + '"'
    rule = the(f"keys={quoted}", f"message={quoted}")
    assert (rule.keys, rule.message) == ((text,), text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["latency"], "expected name=value, got 'latency'"),
        (["=3"], "expected name=value, got '=3'"),
        (["type=latency", "type=error"], "type: expected once, got another one: 'error'"),
        (["type=stall", "bytes=" + "9" * 5000], "faults[0].bytes: "),
        (["type=stall", "bytes=" + "[" * 5000], "faults[0].bytes: "),
        (["type=stall", "bytes=0x" + "f" * 5000], "got a number with too many digits"),
        (["type=wrong_etag", "nth=1,x"], "faults[0].nth[1]: "),
        (["type=wrong_etag", "keys="], "faults[0].keys[0]: "),
    ],
)
def test_a_mistake_is_one_line(words, said):
    with pytest.raises(FaultsError) as caught:
        read_words(words)
    (problem,) = caught.value.problems
    assert said in problem
    assert len(problem) < 300
