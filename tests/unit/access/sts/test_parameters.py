"""What an STS call says, and what it must not say."""

from __future__ import annotations

import pytest

from osp_gateway.access.sts.errors import StsError
from osp_gateway.access.sts.parameters import ACTIONS, Parameters, is_form

VERSION = "Version=2011-06-15"
ROLE = "arn:aws:iam::000000000000:role/reader"


def read(text: str, action: str = "AssumeRole") -> Parameters:
    return Parameters.of_form(f"Action={action}&{VERSION}&{text}".encode())


def code(text: str | bytes) -> str | None:
    try:
        Parameters.of_form(text if isinstance(text, bytes) else text.encode()).action  # noqa: B018
    except StsError as error:
        return error.code
    return None


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_named_with_its_version(action: str) -> None:
    assert read("", action).action == action


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "MissingAction"),
        (VERSION, "MissingAction"),
        (f"Action=&{VERSION}", "MissingAction"),
        (f"action=AssumeRole&{VERSION}", "MissingAction"),
        (f"Action=assumerole&{VERSION}", "InvalidAction"),
        (f"Action=AssumeRoleWithSAML&{VERSION}", "InvalidAction"),
        (f"Action=GetFederationToken&{VERSION}", "InvalidAction"),
        (f"Action=AssumeRole+&{VERSION}", "InvalidAction"),
        (f"Action=AssumeRole%00&{VERSION}", "InvalidAction"),
        ("Action=AssumeRole", "InvalidAction"),
        ("Action=AssumeRole&Version=2012-01-01", "InvalidAction"),
        (f"Action=AssumeRole&Action=AssumeRole&{VERSION}", "ValidationError"),
        (f"Action=GetCallerIdentity&Action=AssumeRole&{VERSION}", "ValidationError"),
        (f"Action=AssumeRole&action=GetSessionToken&{VERSION}", "ValidationError"),
        (f"Action=AssumeRole&%41ction=GetSessionToken&{VERSION}", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&{VERSION}", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&RoleArn=a&RoleArn=b", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&RoleArn=a&rolearn=b", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&=x", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&a%0d%0ab=x", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&RoleArn=%zz", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&RoleArn=%ff", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&SerialNumber=x", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&SourceIdentity=x", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&PolicyArns.member.1.arn=x", "ValidationError"),
        (f"Action=AssumeRole&{VERSION}&WebIdentityToken=x", "ValidationError"),
        (f"Action=AssumeRoleWithWebIdentity&{VERSION}&ExternalId=x", "ValidationError"),
        (f"Action=AssumeRoleWithWebIdentity&{VERSION}&ProviderId=x", "ValidationError"),
        (f"Action=AssumeRoleWithWebIdentity&{VERSION}&Tags.member.1.Key=x", "ValidationError"),
        (f"Action=GetSessionToken&{VERSION}&RoleArn=x", "ValidationError"),
        (f"Action=GetCallerIdentity&{VERSION}&DurationSeconds=900", "ValidationError"),
        ("&".join(f"a{n}=x" for n in range(257)), "ValidationError"),
        (b"Action=\xff", "ValidationError"),
    ],
    ids=str,
)
def test_what_is_not_clear_is_refused(text: str | bytes, expected: str) -> None:
    assert code(text) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/x-www-form-urlencoded", True),
        ("application/x-www-form-urlencoded; charset=utf-8", True),
        ("Application/X-WWW-Form-Urlencoded;charset=UTF-8", True),
        (None, False),
        ("", False),
        ("application/x-www-form-urlencoded; charset=utf-7", False),
        ("application/x-www-form-urlencoded; charset=utf-8; x=y", False),
        ("application/x-www-form-urlencodedx", False),
        ("application/x-www-form-urlencoded, text/plain", False),
        ("multipart/form-data; boundary=x", False),
        ("text/plain", False),
        ("application/json", False),
    ],
)
def test_a_body_has_to_be_a_form(content_type: str | None, expected: bool) -> None:
    assert is_form(content_type) is expected


def test_a_plus_is_a_space_in_a_form_and_a_plus_in_a_query() -> None:
    assert Parameters.of_form(b"ExternalId=a%2Bb").external_id == "a+b"
    with pytest.raises(StsError):
        Parameters.of_form(b"ExternalId=a+b").external_id  # noqa: B018
    assert Parameters.of_query("ExternalId=a+b").external_id == "a+b"


def test_a_web_identity_token_must_not_stand_in_a_url() -> None:
    with pytest.raises(StsError) as caught:
        Parameters.of_query(f"Action=AssumeRoleWithWebIdentity&{VERSION}&WebIdentityToken=fake")
    assert caught.value.code == "ValidationError"
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "reader",
        ROLE.replace("role/", "user/"),
        ROLE.replace("iam", "sts"),
        ROLE.replace("000000000000", "0"),
        ROLE + "%0a",
        ROLE + "%00",
        ROLE + "?",
        ROLE + "*",
        "%20" + ROLE,
        ROLE.upper(),
        ROLE + "x" * 600,
    ],
)
def test_a_role_is_named_by_its_arn(arn: str) -> None:
    with pytest.raises(StsError) as caught:
        read(f"RoleArn={arn}").role_arn  # noqa: B018
    assert caught.value.code == "ValidationError"


@pytest.mark.parametrize(
    "name",
    ["", "x", "x" * 65, "a b", "a%0ab", "a%00", "<b>", "a/b", "%C3%BC%C3%BC", "a%26b", "a;b", '"a"', "..%2f", "a:b"],
)
def test_a_sessions_name_has_letters_digits_and_few_other_characters(name: str) -> None:
    with pytest.raises(StsError):
        read(f"RoleSessionName={name.replace('+', '%2B')}").session_name  # noqa: B018


@pytest.mark.parametrize("name", ["me", "a.b@c-d=e_f,g%2Bh", "x" * 64])
def test_a_sessions_name_as_aws_takes_it(name: str) -> None:
    assert read(f"RoleSessionName={name}").session_name == name.replace("%2B", "+")


@pytest.mark.parametrize(
    "text", ["", "-1", "0", "899", "3601", "1e3", "900.0", "+900", " 900", "900 ", "0x384", "٩٠٠", "9" * 10, "nan"]
)
def test_a_duration_is_a_number_within_its_bounds(text: str) -> None:
    with pytest.raises(StsError) as caught:
        Parameters({"DurationSeconds": text}).duration(900, 3600, 3600)
    assert caught.value.code == "ValidationError"


def test_durations_at_their_bounds_and_by_default() -> None:
    assert [Parameters({"DurationSeconds": t}).duration(900, 3600, 3600) for t in ("900", "3600")] == [900, 3600]
    assert Parameters({}).duration(900, 7200, 3600) == 3600
    assert Parameters({}).duration(900, 1800, 3600) == 1800


def test_tags_are_read_in_their_order() -> None:
    call = read("Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Value=&Tags.member.2.Key=b%20c")
    assert call.action == "AssumeRole"
    assert dict(call.tags) == {"a": "1", "b c": ""}


def test_an_empty_list_is_written_as_an_empty_value() -> None:
    call = read("Tags=&TransitiveTagKeys=")
    assert call.action == "AssumeRole"
    assert (dict(call.tags), call.transitive_tag_keys) == ({}, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        "Tags.member.1.Value=x",
        "Tags.member.1.Key=&Tags.member.1.Value=x",
        "Tags.member.2.Key=a&Tags.member.2.Value=x",
        "Tags.member.0.Key=a",
        "Tags.member.01.Key=a",
        "Tags.member.1.Key.x=a",
        "Tags.member.1.Name=a",
        "Tags.member.1=a",
        "Tags.1.Key=a",
        "Tags=a",
        "Tags.member.x.Key=a",
        "Tags.member.1.Key=a&Tags.member.2.Key=A",
        "Tags.member.1.Key=aws:a",
        "Tags.member.1.Key=AWS:a",
        "Tags.member.1.Key=a%3Cb%3E",
        "Tags.member.1.Key=a&Tags.member.1.Value=%00",
        "Tags.member.1.Key=a&Tags.member.1.Value=a%0ab",
        "Tags.member.1.Key=a&Tags.member.1.Value=" + "x" * 257,
        "Tags.member.1.Key=" + "x" * 129,
        "&".join(f"Tags.member.{n}.Key=k{n}" for n in range(1, 52)),
    ],
    ids=lambda text: text[:40],
)
def test_tags_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(StsError) as caught:
        read(text).tags  # noqa: B018
    assert caught.value.code == "ValidationError"
