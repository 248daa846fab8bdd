"""What a presigned URL may say, and the code with which everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4 import claims
from osp_gateway.sigv4.claim_parts import Claim
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS, hoisted_headers, without_authentication
from support.oracle import HOST, NOW, generated

SIGNATURE = "0123456789abcdef" * 4
SCOPE = "20260101%2Fus-east-1%2Fs3%2Faws4_request"
PARAMETERS = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": f"fake-key%2F{SCOPE}",
    "X-Amz-Date": "20260101T120000Z",
    "X-Amz-Expires": "600",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": SIGNATURE,
}
MALFORMED = "AuthorizationQueryParametersError"


def query(more: str = "", **but: str | None) -> str:
    """The query, in which `but` replaces parameters (`Date` for `X-Amz-Date`); None removes one."""
    changed = {**PARAMETERS, **{f"X-Amz-{name}": value for name, value in but.items()}}
    pieces = [f"{name}={value}" for name, value in changed.items() if value is not None]
    return "&".join([*pieces, more] if more else pieces)


def read(text: str | None = None, headers: tuple[Header, ...] = (), now: float = NOW) -> Claim | None:
    text = query() if text is None else text
    head = RequestHead("GET", "/b/k", text, (("host", HOST), *headers))
    return claims.read(head, encoding.parse_query(text), now)


def refused(text: str | None = None, headers: tuple[Header, ...] = (), now: float = NOW) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read(text, headers, now)
    return caught.value


def test_a_claim_tells_all_that_was_said() -> None:
    assert read() == Claim(
        access_key="fake-key",
        amz_date="20260101T120000Z",
        region="us-east-1",
        signed_headers=("host",),
        signature=SIGNATURE,
        payload_hash="UNSIGNED-PAYLOAD",
        query=tuple((name, value) for name, value in PARAMETERS.items() if name != "X-Amz-Signature"),
        expires=600,
        session_token=None,
    )


def test_the_signature_covers_all_other_parameters() -> None:
    claim = read(query("partNumber=1&a"))

    assert claim is not None
    assert claim.query[-2:] == (("partNumber", "1"), ("a", ""))


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_missing_parameter_is_refused(name: str) -> None:
    assert refused(query(**{name.removeprefix("X-Amz-"): None})).code == MALFORMED


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_an_empty_parameter_is_refused(name: str) -> None:
    assert refused(query(**{name.removeprefix("X-Amz-"): ""})).code in (MALFORMED, "AccessDenied")


@pytest.mark.parametrize("name", sorted(AUTH_PARAMETERS))
def test_a_parameter_given_twice_is_refused(name: str) -> None:
    value = PARAMETERS.get(name, "fake")

    assert refused(query(f"{name}={value}&{name}={value}")).code == MALFORMED


@pytest.mark.parametrize("spell", [str.lower, str.upper, lambda name: name.replace("-", "%2d").lower()])
@pytest.mark.parametrize("name", sorted(AUTH_PARAMETERS))
def test_a_parameter_in_another_case_is_refused(name: str, spell: object) -> None:
    other = spell(name)  # type: ignore[operator]
    alone = query(f"{other}={PARAMETERS.get(name, 'fake')}", **{name.removeprefix("X-Amz-"): None})

    assert refused(alone).code == MALFORMED
    assert refused(query(f"{other}={PARAMETERS.get(name, 'fake')}")).code == MALFORMED


def test_a_parameters_name_may_be_percent_encoded() -> None:
    assert read(query().replace("X-Amz-Expires", "X%2dAmz%2DExpires")) == read()


@pytest.mark.parametrize("algorithm", ["AWS4-HMAC-SHA512", "aws4-hmac-sha256", "AWS4-ECDSA-P256-SHA256", "AWS", "none"])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    assert refused(query(Algorithm=algorithm)).code == MALFORMED


@pytest.mark.parametrize("expires", ["1", "2", "600", "604799", "604800"])
def test_a_url_lives_between_a_second_and_a_week(expires: str) -> None:
    claim = read(query(Expires=expires))

    assert claim is not None
    assert claim.expires == int(expires)


@pytest.mark.parametrize(
    "expires",
    [
        "0",
        "-1",
        "604801",
        "99999999999",
        "9" * 5000,
        "1e3",
        "60.0",
        "0x10",
        "1_000",
        "+60",
        "%2B60",
        "%2060",
        "60%20",
        "60%0A",
        "%D9%A1%D9%A2",
        "%EF%BC%91",
        "%B2",
        "ten",
    ],
)
def test_a_life_that_is_no_number_from_1_to_604800_is_refused(expires: str) -> None:
    assert refused(query(Expires=expires)).code == MALFORMED


@pytest.mark.parametrize("later", [0, 599, 600])
def test_a_url_holds_until_its_end(later: int) -> None:
    assert read(now=NOW + later) is not None


@pytest.mark.parametrize("later", [601, 86_400, 10**9])
def test_a_url_that_has_expired_is_refused(later: int) -> None:
    error = refused(now=NOW + later)

    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")
    assert error.details["X-Amz-Expires"] == "600"
    assert error.details["Expires"] == "2026-01-01T12:10:00Z"


@pytest.mark.parametrize("earlier", [1, 899, 900])
def test_a_url_may_be_from_a_clock_that_is_a_quarter_of_an_hour_ahead(earlier: int) -> None:
    assert read(now=NOW - earlier) is not None


@pytest.mark.parametrize("earlier", [901, 86_400])
def test_a_url_from_the_future_is_refused(earlier: int) -> None:
    error = refused(now=NOW - earlier)

    assert (error.code, error.message) == ("AccessDenied", "Request is not yet valid")


@pytest.mark.parametrize(
    "date",
    ["20260230T000000Z", "20260101T240000Z", "20260101T120060Z", "20260101", "20260101T120000", "2026-01-01T12:00:00Z"],
)
def test_a_date_that_is_none_is_refused(date: str) -> None:
    assert refused(query(Date=date, Credential=f"k%2F{date[:8]}%2Fus-east-1%2Fs3%2Faws4_request")).code == MALFORMED


@pytest.mark.parametrize(
    "credential",
    [
        "fake-key",
        SCOPE,
        f"%2F{SCOPE}",
        "fake-key%2F20260101%2Fus-east-1%2Fs3",
        "fake-key%2F20260102%2Fus-east-1%2Fs3%2Faws4_request",
        "fake-key%2F20260101%2F%2Fs3%2Faws4_request",
        "fake-key%2F20260101%2Fus-east-1%2Fsts%2Faws4_request",
        "fake-key%2F20260101%2Fus-east-1%2Fs3%2Faws5_request",
        "fake-key%252F20260101%252Fus-east-1%252Fs3%252Faws4_request",
    ],
)
def test_a_bad_credential_is_refused(credential: str) -> None:
    assert refused(query(Credential=credential)).code == MALFORMED


@pytest.mark.parametrize("credential", [f"a%2Fb%2F{SCOPE}", f"a/b/{SCOPE}", f"a/b/{SCOPE.replace('%2F', '/')}"])
def test_an_access_key_may_hold_slashes(credential: str) -> None:
    claim = read(query(Credential=credential))

    assert claim is not None
    assert claim.access_key == "a/b"


@pytest.mark.parametrize("signature", [SIGNATURE.upper(), SIGNATURE[1:], "z" * 64, SIGNATURE + "%0A", "%00" * 64])
def test_a_signature_is_64_lower_case_hex_digits(signature: str) -> None:
    assert refused(query(Signature=signature)).code == MALFORMED


@pytest.mark.parametrize(
    "signed", ["Host", "host%3Bhost", "range%3Bhost", "host%3B", "%3Bhost", "host,range", "host%0A"]
)
def test_signed_headers_are_lower_case_sorted_and_given_once(signed: str) -> None:
    assert refused(query(SignedHeaders=signed), (("range", "bytes=0-1"),)).code == MALFORMED


def test_the_host_must_be_signed() -> None:
    error = refused(query(SignedHeaders="range"), (("range", "bytes=0-1"),))

    assert (error.code, error.details) == ("AccessDenied", {"HeadersNotSigned": "host"})


@pytest.mark.parametrize(
    "name", ["x-amz-acl", "X-Amz-Copy-Source", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"]
)
def test_an_amz_header_that_is_not_signed_is_refused(name: str) -> None:
    error = refused(headers=((name, "1"),))

    assert (error.code, error.details) == ("AccessDenied", {"HeadersNotSigned": name.lower()})


def test_the_payload_hash_may_be_in_the_query() -> None:
    claim = read(query("X-Amz-Content-Sha256=" + "0" * 64))

    assert claim is not None
    assert claim.payload_hash == "0" * 64


def test_the_payload_hash_may_be_a_signed_header() -> None:
    claim = read(query(SignedHeaders="host%3Bx-amz-content-sha256"), (("x-amz-content-sha256", "0" * 64),))

    assert claim is not None
    assert claim.payload_hash == "0" * 64


def test_two_different_payload_hashes_are_refused() -> None:
    text = query("X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", SignedHeaders="host%3Bx-amz-content-sha256")

    assert refused(text, (("x-amz-content-sha256", "0" * 64),)).status == 400


def test_authentication_parameters_alone_are_taken_out_of_a_query() -> None:
    text = query("partNumber=1&x-amz-acl=private&X-Amz-Security-Token=fake&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")

    assert without_authentication(encoding.parse_query(text)) == (("partNumber", "1"), ("x-amz-acl", "private"))


def test_amz_headers_in_the_query_count_as_headers() -> None:
    text = query("X-Amz-Acl=private&x-amz-meta-my_key=%C3%A9%20%2B&partNumber=1")

    assert hoisted_headers(encoding.parse_query(text)) == {"x-amz-acl": "private", "x-amz-meta-my_key": "Ã© +"}


def test_an_amz_header_given_twice_in_the_query_is_refused() -> None:
    with pytest.raises(S3Error, match="more than once"):
        hoisted_headers(encoding.parse_query("x-amz-acl=private&X-Amz-ACL=public-read"))


@pytest.mark.parametrize("octet", ["%0D%0A", "%0A", "%0D", "%00"])
def test_a_line_break_in_a_header_from_the_query_is_refused(octet: str) -> None:
    # Else whoever holds a key writes further headers, `x-amz-copy-source` for one, behind the authorizer's back.
    with pytest.raises(S3Error) as caught:
        hoisted_headers(encoding.parse_query(f"x-amz-meta-a=1{octet}x-amz-copy-source:%20/other/key"))

    assert caught.value.status == 400


@pytest.mark.parametrize(
    "name", ["x-amz-copy_source", "x-amz-meta%0D%0Aa", "x-amz-meta-a%20", "x-amz-meta-%C3%A9", "x-amz-a%3A"]
)
def test_a_parameter_that_cannot_be_an_amz_header_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        hoisted_headers(encoding.parse_query(f"{name}=1"))

    assert caught.value.status == 400


@generated
@given(st.dictionaries(st.sampled_from(sorted(AUTH_PARAMETERS)), st.binary(max_size=40)))
def test_whatever_a_url_says_there_is_nothing_but_a_claim_or_a_refusal(values: dict[str, bytes]) -> None:
    text = "&".join(f"{name}={encoding.encode(value)}" for name, value in {**PARAMETERS_RAW, **values}.items())

    try:
        assert read(text) is not None
    except S3Error as error:
        assert error.status in (400, 403)


PARAMETERS_RAW = {name: encoding.decode(value) for name, value in PARAMETERS.items()}


@pytest.mark.parametrize("name", ["x-amz-checksum-crc32", "X-Amz-Checksum-SHA256", "x-amz-sdk-checksum-algorithm"])
def test_a_checksum_in_the_query_is_no_header(name: str) -> None:
    # The SDK for JavaScript presigns the checksum of a body that it does not have yet.
    assert hoisted_headers(encoding.parse_query(f"{name}=AAAAAA%3D%3D&x-amz-acl=private")) == {"x-amz-acl": "private"}
