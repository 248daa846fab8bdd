"""Wildcards and policy variables: what matches, and that no text costs more than its length."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.access.policy.patterns import Pattern, read_tokens


def matches(pattern: str, text: str, *, fold: bool = False, **values: str) -> bool | None:
    return Pattern(pattern, read_tokens(pattern, str), fold=fold).matches(text, values.get)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("*", "", True),
        ("a*", "a", True),
        ("a*", "a/b\nc", True),
        ("*a", "ba", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?c", "a/c", True),
        ("*a*b", "xaxb", True),
        ("*a*b", "xbxa", False),
        ("*ab", "aab", True),
        ("*aba", "ababa", True),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("a.c", "abc", False),
        ("[a]", "a", False),
        ("A", "a", False),
        ("a", "a\n", False),
        ("${*}", "*", True),
        ("${*}", "a", False),
        ("${?}${$}", "?$", True),
        ("$a", "$a", True),
        ("é?", "é\N{GRINNING FACE}", True),
        ("é", "e\u0301", False),
    ],
)
def test_what_matches(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


def test_upper_and_lower_case_can_be_the_same() -> None:
    assert matches("S3:Get*", "s3:gETobject", fold=True)


@pytest.mark.parametrize("value", ["*", "?", "a*", "**", ".*", "[a-z]", "${*}", "\\", "(", "a|b"])
def test_what_a_variable_stands_for_is_literal(value: str) -> None:
    assert matches("home/${name}/*", f"home/{value}/x", name=value)
    assert not matches("home/${name}/*", "home/alice/x", name=value)


def test_a_variable_that_stands_for_nothing_matches_nothing() -> None:
    assert matches("home/${name}/*", "home//x") is None
    assert matches("home/${name}/*", "home/${name}/x") is None
    assert matches("home/${name}/*", "home//x", name="") is None


@pytest.mark.parametrize("pattern", ["${name, 'all'}", "${name,'all'}", "${ name , 'all' }"])
def test_a_default_is_taken_where_there_is_no_value(pattern: str) -> None:
    assert matches(pattern, "all")
    assert matches(pattern, "me", name="me")
    assert not matches(pattern, "all", name="me")


def test_a_default_is_literal() -> None:
    assert matches("${name, '*'}", "*")
    assert not matches("${name, '*'}", "x")


@pytest.mark.parametrize(
    "pattern", ["${", "${name", "a${}", "${na me}", "${name,}", "${name, all}", "${a, 'b}", "${${a}}"]
)
def test_what_is_no_variable_is_a_mistake(pattern: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_tokens(pattern, str)


def test_without_variables_they_are_mistakes() -> None:
    with pytest.raises(ValueError, match="2012-10-17"):
        read_tokens("${name}")


TEXTS = st.text("ab/*?.[é\n", max_size=12)


@given(st.text("ab/*?.é\n", max_size=12), TEXTS)
def test_wildcards_are_those_of_fnmatch(pattern: str, text: str) -> None:
    """Which has character classes besides; there are none in these patterns."""
    assert matches(pattern, text) is (re.match(fnmatch.translate(pattern), text) is not None)


@given(TEXTS, TEXTS, TEXTS)
def test_no_value_of_a_variable_is_a_wildcard(value: str, before: str, text: str) -> None:
    literal = before.replace("*", "a").replace("?", "b")
    found = matches(f"{literal}${{name}}", text, name=value)
    assert found is (text == literal + value if value else None)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 500 + "b", "a" * 1024),
        ("*" * 1000 + "b", "a" * 1024),
        ("*?" * 500 + "b", "a" * 1024),
        ("*" + "?" * 500 + "b*c", "a" * 1024),
        ("*a?" * 300 + "b", "a" * 1024),
    ],
)
def test_hostile_patterns_end(pattern: str, text: str) -> None:
    """A matcher that tries runs again would not end within a lifetime."""
    assert matches(pattern, text) is False
