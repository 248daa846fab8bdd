"""What clients write, on its way into a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.observe.clean import bounded, from_octets, masked_target, masked_text, masked_words, readable

SECRET = "FAKESECRET"


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Signature",
        "x-amz-signature",
        "X-AMZ-SIGNATURE",
        "X-Amz-Sign%61ture",
        "X-Amz-Sign%2561ture",
        "%58-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "x-amz-security-token",
        "Signature",
        "AWSAccessKeyId",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-key",
        "WebIdentityToken",
        "SAMLAssertion",
        "access_token",
        "+X-Amz-Signature",
        "apikey",
        "password",
    ],
)
@pytest.mark.parametrize("place", ["/b/k?{}={}", "/b/k?a=1&{}={}&z=2", "/b/k?a=1;{}={};z=2", "/b/k?a=1?{}={}"])
def test_the_value_of_what_opens_a_door_is_masked(name, place):
    shown = masked_target(place.format(name, SECRET))
    assert SECRET not in shown
    assert f"{name}=***" in shown


@pytest.mark.parametrize(
    "written",
    [
        "/b/k?a=b%26X%2DAmz%2DSignature={}",
        "/b/k?a=b%26X-Amz-Signature%3D{}",
        "/b/k?X-Amz-Signature%3D{}%26a=b",
        "/b/k?X-Amz-Signature%253D{}",
        "/b/k?X-Amz-Signature%25%33%44{}",
        "/b/k?X-Amz-Signature[]={}",
        "/b/k?Signature%5B0%5D={}",
        "/b/k?X_Amz_Security_Token={}",
        "/b/k?a=b&amp;Signature={}",
        "/b/k?u=http%3A%2F%2Fh%3FAWSAccessKeyId%3DA%26Signature%3D{}",
        "/b/k%3FAWSAccessKeyId=A%26Signature={}",
        "/b/k%25253FSignature%25253D{}",
        "/b/k?X-Ticket={}",
        "/b/k?x_ticket={}",
        "/b/k%3Fx-ticket%3D{}",
        "http%3A%2F%2Fh%2Fk%3FX-Amz-Signature%3D{}",
    ],
)
def test_no_other_spelling_leaves_it(written):
    url = written.format(SECRET)
    names = frozenset({"x-ticket"})
    assert SECRET not in masked_target(url, names)
    assert SECRET not in masked_target(f"https://h{url}", names)
    assert SECRET not in masked_text(url, names)
    assert SECRET not in masked_words(f"agent/1 ({url})", names)


@pytest.mark.parametrize(
    "text", ["Boto3/1.35 md/Botocore#1.35 lang/python#3.12.3 cfg/retry-mode#legacy", "a=b; token: c (x; y=z) 100%"]
)
def test_what_clients_call_themselves_stays(text):
    assert masked_words(text) == text


def test_a_name_without_a_value_is_masked_as_a_whole():
    assert SECRET not in masked_target(f"/b/k?X-Amz-Signature%3D{SECRET}&a=1")


@pytest.mark.parametrize(
    "target",
    [
        "/b/k",
        "/b?list-type=2&prefix=a%2Fb&continuation-token=1%2F2",
        "/b/k?versionId=1&partNumber=2&uploadId=x",
        "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260101T000000Z&X-Amz-Expires=5&X-Amz-SignedHeaders=host",
        "/b?prefix=X-Amz-Signature",
        "/X-Amz-Signature=1/k",
    ],
)
def test_everything_else_stays(target):
    assert masked_target(target) == target


@pytest.mark.parametrize(
    "query", ["?a=1&{}={}&z=2", "%3Fa%3D1%26{}%3D{}%26z=2", "%253Fa=1%2526{}%253D{}%2526z", "%3f{}={}"]
)
@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Amz-Credential", "Signature", "x-amz-security-token"])
def test_so_it_is_where_the_question_mark_is_a_part_of_the_key(query, name):
    for shown in (masked_target(f"/b/k{query.format(name, SECRET)}"), masked_text(f"k{query.format(name, SECRET)}")):
        assert SECRET not in shown
        assert shown.count("***") == 1


@pytest.mark.parametrize("text", ["a key=b", "Signature=c", "what?", "what?a=b&c", "100%3", "a%3Fb%3Dc"])
def test_other_keys_stay(text):
    assert masked_text(text) == text


def test_tokens_are_masked_wherever_they_stand():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJmYWtlIn0.ZmFrZQ"
    assert masked_target(f"/b/{token}/k?prefix=x{token}") == "/b/***/k?prefix=x***"
    assert masked_text(f"not {token}") == "not ***"


def test_what_follows_a_number_sign_is_left_out():
    assert masked_target(f"https://h/b?a=1#X-Amz-Signature={SECRET}") == "https://h/b?a=1"


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.integers(8, 64))
def test_octets_become_a_bounded_text_that_utf_8_can_carry(text, limit):
    shown = from_octets(text, limit)
    assert len(shown) <= limit
    shown.encode("utf-8")


def test_utf_8_is_read_and_other_octets_are_written_out():
    assert from_octets("é".encode().decode("latin-1"), 100) == "é"
    assert from_octets("a\xff\x80b", 100) == "a\\xff\\x80b"


def test_deletes_and_lone_surrogates_are_written_out():
    assert readable("a\x7fb\udc80", 100) == "a\\x7fb\\udc80"


def test_what_is_cut_says_so():
    assert bounded("a" * 20, 10) == "aaaaaaa..."
    assert bounded("a" * 10, 10) == "a" * 10
