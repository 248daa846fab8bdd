"""What a POST policy says: until when, and of each field what it may be."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.policy import MAX_TYPES, Condition, Policy, Upload
from support.forms import BUCKET, FAILED, VIOLATED, document, fields_of, judge, refusal, signed_fields
from support.oracle import NOW, generated

DAY = 24 * 3600


@generated
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_whatever_a_policy_says_it_is_read_or_refused(text: bytes) -> None:
    for written in (text.decode("latin-1"), base64.b64encode(text).decode()):
        try:
            Policy.parse(written)
        except S3Error as error:
            assert error.code == "InvalidPolicyDocument"


# Time


@pytest.mark.parametrize(("life", "at"), [(60, 60), (60, 61), (0, 0), (-1, 0), (30 * DAY, 8 * DAY)])
def test_a_policy_that_has_expired_is_refused(life: float, at: float) -> None:
    error = refusal(signed_fields({"key": "k"}, life=life), now=NOW + at)
    assert (error.code, error.message, error.status) == ("AccessDenied", VIOLATED + "Policy expired.", 403)


def test_a_policy_holds_until_it_expires() -> None:
    assert judge(fields_of(signed_fields({"key": "k"}, life=60)), now=NOW + 59).key == "k"


def test_a_policy_from_the_future_is_refused() -> None:
    error = refusal(signed_fields({"key": "k"}), now=NOW - 1000)
    assert (error.code, error.message) == ("AccessDenied", "Request is not yet valid")


@pytest.mark.parametrize("fraction", ["", ".5", ".123456789"])
def test_expirations_as_clients_write_them(fraction: str) -> None:
    pairs = signed_fields({"key": "k"}, document=document([], f"2026-01-01T12:01:00{fraction}Z"))
    error = refusal(pairs)
    assert error.message == VIOLATED + "Extra input fields: key"  # it was read: the next thing is wrong


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2026-01-01",
        "2026-01-01 12:01:00Z",
        "2026-01-01T12:01:00",
        "2026-01-01T12:01:00+00:00",
        "2026-13-01T12:01:00Z",
        "2026-01-01T12:01:00Z\n",
        "２０２６-01-01T12:01:00Z",
        "9999999-01-01T12:01:00Z",
        1767269000,
        [],
    ],
)
def test_an_expiration_that_is_no_time_is_refused(written: Any) -> None:
    error = refusal(signed_fields({"key": "k"}, document=document([], written)))
    assert error.code == "InvalidPolicyDocument"
    assert error.message.startswith("Invalid Policy: Invalid 'expiration' value: ")


# The document


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Expecting '{' but found End-of-Input"),
        (b"{", "Invalid JSON."),
        (b"[]", "Invalid JSON."),
        (b"null", "Invalid JSON."),
        (b"\xff", "Invalid JSON."),
        (b"[" * 15_000, "Invalid JSON."),
        (b'{"expiration": NaN, "conditions": []}', "Invalid JSON."),
        (b'{"expiration": 1.5, "conditions": []}', "Invalid JSON."),
        (b'{"expiration": ' + b"9" * 5000 + b', "conditions": []}', "Invalid JSON."),
        (b'{"expiration": "a", "conditions": [], "conditions": []}', "Invalid JSON."),
        (b'{"expiration": "2027-01-01T00:00:00Z", "conditions": [{"acl": "a", "acl": "b"}]}', "Invalid JSON."),
        (b'{"expiration": "2027-01-01T00:00:00Z", "conditions": [],}', "Invalid JSON."),
        (b'{"conditions": []}', "Policy missing expiration."),
        (b'{"EXPIRATION": "2027-01-01T00:00:00Z", "conditions": []}', "Unexpected: 'expiration'"),
        (b'{"expiration": "2027-01-01T00:00:00Z"}', "Policy missing conditions."),
        (b'{"expiration": "2027-01-01T00:00:00Z", "CONDITIONS": []}', "Unexpected: 'conditions'"),
        (b'{"expiration": "2027-01-01T00:00:00Z", "conditions": {}}', "Invalid 'conditions' value: must be a List."),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_a_document_that_is_no_policy_is_refused(text: bytes, message: str) -> None:
    error = refusal(signed_fields({"key": "k"}, document=text))
    assert (error.code, error.status, error.message) == ("InvalidPolicyDocument", 400, f"Invalid Policy: {message}")


@pytest.mark.parametrize("text", ["e30", "e30=\n", "e3 0=", "e30=e30=", "é", "e30-"])
def test_base64_is_strict(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        Policy.parse(text)
    assert caught.value.message == "Invalid Policy: invalid Base64 encoding."


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({}, "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (
            {"bucket": BUCKET, "key": "k"},
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
        ),
        ({"key": 1}, "Invalid Simple-Condition: value must be a string."),
        ({"key": None}, "Invalid Simple-Condition: value must be a string."),
        ("key", "Invalid condition: must be a List or Object."),
        ([], "Invalid Condition: missing operation identifier."),
        ([["eq"], "$key", "k"], "Invalid Condition: missing operation identifier."),
        (["ends-with", "$key", "k"], "Invalid Condition: unknown operation 'ends-with'."),
        (["eq", "$key"], "Invalid eq: wrong number of arguments."),
        (["eq", "$key", "k", "l"], "Invalid eq: wrong number of arguments."),
        (["content-length-range", 1], "Invalid content-length-range: wrong number of arguments."),
        (["eq", "$key", 1], "Invalid JSON."),
        (["starts-with", "$key", None], "Invalid JSON."),
    ],
)
def test_a_condition_that_is_none_is_refused(condition: Any, message: str) -> None:
    error = refusal(signed_fields({"key": "k"}, [condition]))
    assert (error.code, error.message) == ("InvalidPolicyDocument", f"Invalid Policy: {message}")


# Conditions


@pytest.mark.parametrize(
    "condition",
    [
        {"key": "user/a"},
        {"KEY": "user/a"},
        ["eq", "$key", "user/a"],
        ["EQ", "$Key", "user/a"],
        ["starts-with", "$key", "user/"],
        ["StArTs-WiTh", "$key", ""],
    ],
)
def test_a_condition_that_holds(condition: Any) -> None:
    assert judge(fields_of(signed_fields({"key": "user/a"}, [condition]))).key == "user/a"


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        ({"key": "user/b"}, '["eq", "$key", "user/b"]'),
        ({"$key": "user/a"}, '["eq", "$$key", "user/a"]'),
        (["eq", "$key", "USER/a"], '["eq", "$key", "USER/a"]'),
        (["eq", "key", "user/a"], '["eq", "key", "user/a"]'),
        (["starts-with", "$key", "user/a/"], '["starts-with", "$key", "user/a/"]'),
        (["starts-with", "$key", "ser"], '["starts-with", "$key", "ser"]'),
        (["eq", "$key", 'a"é'], '["eq", "$key", "a\\"é"]'),
        (["starts-with", "$x-amz-meta-absent", ""], '["starts-with", "$x-amz-meta-absent", ""]'),
        (["starts-with", "$bucket", ""], '["starts-with", "$bucket", ""]'),
        (["starts-with", "$X-Amz-Date", "2"], '["starts-with", "$X-Amz-Date", "2"]'),
        (["content-length-range", "a", 5], '["content-length-range", "a", 5]'),
        (["content-length-range", -1, 5], '["content-length-range", -1, 5]'),
        (["content-length-range", True, 5], '["content-length-range", true, 5]'),
    ],
)
def test_a_condition_that_does_not_hold_is_named(condition: Any, shown: str) -> None:
    error = refusal(signed_fields({"key": "user/a"}, [{"key": "user/a"}, condition]))
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, FAILED + shown)


@pytest.mark.parametrize(
    ("content_type", "allowed"),
    [
        ("image/png", True),
        ("image/jpg,image/png", True),
        ("image/jpg, image/png", True),
        ("image/jpg,text/html", False),
        ("image/jpg,", False),
        ("text/html", False),
        ("Image/png", False),
    ],
)
def test_each_of_several_content_types_must_begin_as_the_policy_says(content_type: str, allowed: bool) -> None:
    conditions = [{"key": "k"}, ["starts-with", "$Content-Type", "image/"]]
    pairs = signed_fields({"key": "k", "Content-Type": content_type}, conditions)
    if allowed:
        assert judge(fields_of(pairs)).headers == {"content-type": content_type}
    else:
        assert refusal(pairs).message == FAILED + '["starts-with", "$Content-Type", "image/"]'


@pytest.mark.parametrize(
    ("ranges", "bounds"),
    [
        ([], (0, None)),
        ([(5, 10)], (5, 10)),
        ([("5", "10")], (5, 10)),
        ([(5, 10), (0, 8)], (5, 8)),
        ([(0, 0)], (0, 0)),
        ([(9, 3)], (9, 3)),
    ],
)
def test_ranges_bound_the_file(ranges: list[tuple[Any, Any]], bounds: tuple[int, int | None]) -> None:
    conditions = [{"key": "k"}, *(["content-length-range", *one] for one in ranges)]
    upload = judge(fields_of(signed_fields({"key": "k"}, conditions)))
    assert (upload.minimum, upload.maximum) == bounds


@pytest.mark.parametrize(
    ("size", "code", "details"),
    [
        (4, "EntityTooSmall", {"ProposedSize": "4", "MinSizeAllowed": "5"}),
        (11, "EntityTooLarge", {"ProposedSize": "11", "MaxSizeAllowed": "10"}),
    ],
)
def test_a_file_beyond_its_bounds_is_refused(size: int, code: str, details: dict[str, str]) -> None:
    upload = Upload("k", (), 5, 10)
    upload.check_size(5)
    upload.check_size(10)
    with pytest.raises(S3Error) as caught:
        upload.check_size(size)
    assert (caught.value.code, caught.value.status, caught.value.details) == (code, 400, details)


def test_documented_escapes_are_understood() -> None:
    text = rb'{"expiration": "2027-01-01T00:00:00Z", "conditions": [["eq", "$key", "a\$b\v\\$c\u0041"]]}'
    (condition,) = Policy.parse(base64.b64encode(text).decode()).conditions
    assert condition.text == "a$b\v\\$cA"


@pytest.mark.parametrize(("count", "met"), [(1, True), (MAX_TYPES, True), (MAX_TYPES + 1, False), (20_000, False)])
def test_a_list_of_content_types_has_an_end(count: int, met: bool) -> None:
    condition = Condition("starts-with", "", name="content-type", text="a/")
    assert condition.holds({"content-type": ", ".join(["a/b"] * count)}) is met
