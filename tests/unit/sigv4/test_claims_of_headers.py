"""What an Authorization header may say, and the code with which everything else is refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import claims
from osp_gateway.sigv4.claim_parts import Claim
from support.oracle import HOST, NOW, generated

EMPTY = hashlib.sha256(b"").hexdigest()
SIGNATURE = "0123456789abcdef" * 4
SIGNED = "host;x-amz-content-sha256;x-amz-date"
SCOPE = "20260101/us-east-1/s3/aws4_request"
HEADERS = {"host": HOST, "x-amz-date": "20260101T120000Z", "x-amz-content-sha256": EMPTY}
MALFORMED = "AuthorizationHeaderMalformed"


def authorization(
    credential: str = f"fake-key/{SCOPE}", signed: str = SIGNED, signature: str = SIGNATURE, comma: str = ", "
) -> str:
    return f"AWS4-HMAC-SHA256 Credential={credential}{comma}SignedHeaders={signed}{comma}Signature={signature}"


def read(
    value: str | None = None, *, query: str = "", now: float = NOW, extra: dict[str, str] | None = None, **but: str
) -> Claim | None:
    """Read a head with `HEADERS`, in which `but` replaces some (`_` for `-`; an empty value removes one)."""
    changed = {name.replace("_", "-"): text for name, text in but.items()}
    headers = {**HEADERS, **(extra or {}), **changed}
    pairs = tuple((name, text) for name, text in headers.items() if text)
    head = RequestHead("GET", "/b/k", query, (*pairs, ("Authorization", authorization() if value is None else value)))
    return claims.read(head, encoding.parse_query(query), now)


def refused(*args: str, **kwargs: object) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read(*args, **kwargs)  # type: ignore[arg-type]
    return caught.value


def test_a_claim_tells_all_that_was_said() -> None:
    claim = read()

    assert claim == Claim(
        access_key="fake-key",
        amz_date="20260101T120000Z",
        region="us-east-1",
        signed_headers=("host", "x-amz-content-sha256", "x-amz-date"),
        signature=SIGNATURE,
        payload_hash=EMPTY,
        query=(),
        expires=None,
        session_token=None,
    )
    assert claim.scope == SCOPE


def test_a_claims_repr_shows_neither_signature_nor_token() -> None:
    token = "fake-session-token"
    claim = read(
        authorization(signed=SIGNED + ";x-amz-security-token"), extra={"x-amz-security-token": token}, query="q=hidden"
    )

    assert claim is not None
    assert claim.session_token == token
    assert not any(secret in repr(claim) for secret in (token, SIGNATURE, "hidden"))


def test_a_request_without_authentication_has_no_claim() -> None:
    head = RequestHead("GET", "/b/k", "list-type=2", (("host", HOST),))

    assert claims.read(head, encoding.parse_query(head.query), NOW) is None


@pytest.mark.parametrize("comma", [",", ", ", ",  ", " , ", ",\t"], ids=repr)
def test_there_may_or_may_not_be_white_space_around_commas(comma: str) -> None:
    assert read(authorization(comma=comma)) == read()


def test_the_parts_may_come_in_any_order() -> None:
    turned = f"AWS4-HMAC-SHA256 Signature={SIGNATURE}, SignedHeaders={SIGNED}, Credential=fake-key/{SCOPE}"

    assert read(turned) == read()


@pytest.mark.parametrize("access_key", ["a/b", "/", "a//b/", "AKIA=+.-_", f"fake/{SCOPE}"])
def test_an_access_key_may_hold_slashes_and_more(access_key: str) -> None:
    claim = read(authorization(f"{access_key}/{SCOPE}"))

    assert claim is not None
    assert claim.access_key == access_key


@pytest.mark.parametrize(
    "credential",
    [
        "fake-key",
        SCOPE,
        f"/{SCOPE}",
        "fake-key/20260101/us-east-1/s3",
        "fake-key/20260101/us-east-1/s3/",
        "fake-key/20260101/us-east-1/s3/aws4_request/",
        "fake-key/20260101/us-east-1/s3/AWS4_REQUEST",
        "fake-key/20260101/us-east-1/S3/aws4_request",
        "fake-key/20260101/us-east-1/s3express/aws4_request",
        "fake-key/20260101/us-east-1/s3-object-lambda/aws4_request",
        "fake-key/20260101/us-east-1/sts/aws4_request",
        "fake-key/20260101/us-east-1//aws4_request",
        "fake-key/20260101//s3/aws4_request",
        "fake-key//us-east-1/s3/aws4_request",
        "fake-key/20251231/us-east-1/s3/aws4_request",
        "fake-key/20260102/us-east-1/s3/aws4_request",
        "fake-key/2026011/us-east-1/s3/aws4_request",
        "fake-key/20260101T120000Z/us-east-1/s3/aws4_request",
        "fake-key%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
    ],
)
def test_a_bad_credential_is_malformed(credential: str) -> None:
    assert refused(authorization(credential)).code == MALFORMED


@pytest.mark.parametrize(
    "signature",
    ["x", SIGNATURE[:-1], SIGNATURE + "0", SIGNATURE.upper(), "g" * 64, "é" * 64, "0x" + "0" * 62, "*" * 64],
)
def test_a_signature_is_64_lower_case_hex_digits(signature: str) -> None:
    assert refused(authorization(signature=signature)).code == MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 ,,,",
        "AWS4-HMAC-SHA256 Credential",
        "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
        f"AWS4-HMAC-SHA256 Credential=fake-key/{SCOPE}",
        f"AWS4-HMAC-SHA256 Credential=fake-key/{SCOPE}, SignedHeaders={SIGNED}",
        f"AWS4-HMAC-SHA256 Credential=fake-key/{SCOPE}, Signature={SIGNATURE}",
        f"AWS4-HMAC-SHA256 SignedHeaders={SIGNED}, Signature={SIGNATURE}",
        authorization() + ", Signature=" + "0" * 64,
        authorization() + f", Credential=other/{SCOPE}",
        authorization() + ", SignedHeaders=host",
        authorization() + ", Extra=1",
        authorization() + ",",
        authorization().replace("Credential", "credential"),
        authorization().replace("Signature=", "signature="),
        authorization().replace(", ", "; "),
        authorization().replace(", ", " "),
        authorization() + ", " + authorization(),
    ],
)
def test_a_header_that_is_not_of_the_form_is_malformed(value: str) -> None:
    assert refused(value).code == MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "AWS fake-key:c2lnbmF0dXJl",
        "Basic ZmFrZTpmYWtl",
        "Bearer fake-token",
        "aws4-hmac-sha256" + authorization()[16:],
        "AWS4-HMAC-SHA512" + authorization()[16:],
        "AWS4-ECDSA-P384-SHA384" + authorization()[16:],
        "AWS4-HMAC-SHA256\t" + authorization()[17:],
        " " + authorization(),
    ],
)
def test_another_mechanism_is_not_supported(value: str) -> None:
    error = refused(value)

    assert error.code == "InvalidRequest"
    assert "Please use AWS4-HMAC-SHA256" in error.message


@pytest.mark.parametrize(
    "signed",
    [
        "Host;x-amz-content-sha256;x-amz-date",
        "x-amz-date;x-amz-content-sha256;host",
        "host;host;x-amz-content-sha256;x-amz-date",
        ";" + SIGNED,
        SIGNED + ";",
        "host;;x-amz-content-sha256;x-amz-date",
        SIGNED.replace(";", ":"),
        SIGNED.replace(";", "%3B"),
    ],
)
def test_signed_headers_are_lower_case_sorted_and_given_once(signed: str) -> None:
    assert refused(authorization(signed=signed)).code == MALFORMED


@pytest.mark.parametrize(
    ("signed", "missing"),
    [
        ("x-amz-content-sha256;x-amz-date", "host"),
        ("host;x-amz-date", "x-amz-content-sha256"),
        ("host;x-amz-content-sha256", "x-amz-date"),
        ("host", "x-amz-content-sha256, x-amz-date"),
    ],
)
def test_host_and_all_amz_headers_must_be_signed(signed: str, missing: str) -> None:
    error = refused(authorization(signed=signed))

    assert (error.code, error.message) == (
        "AccessDenied",
        "There were headers present in the request which were not signed",
    )
    assert error.details == {"HeadersNotSigned": missing}


@pytest.mark.parametrize(
    "name", ["x-amz-acl", "X-AMZ-ACL", "x-amz-copy-source", "x-amz-meta-a", "x-amz-", "x-amz-security-token"]
)
def test_an_amz_header_that_is_not_signed_is_refused(name: str) -> None:
    error = refused(extra={name: "1"})

    assert (error.code, error.details) == ("AccessDenied", {"HeadersNotSigned": name.lower()})


def test_a_header_that_was_signed_but_did_not_arrive_is_a_wrong_signature() -> None:
    assert refused(authorization(signed="host;range;" + SIGNED[5:])).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("skew", [-900, -899, 0, 899, 900])
def test_a_clock_may_be_off_by_a_quarter_of_an_hour(skew: int) -> None:
    assert read(now=NOW + skew) is not None


@pytest.mark.parametrize("skew", [-86_400, -901, 901, 86_400, 10**9])
def test_a_clock_that_is_off_by_more_is_refused(skew: int) -> None:
    error = refused(now=NOW + skew)

    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.details["RequestTime"] == "20260101T120000Z"
    assert error.details["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize(
    "date",
    [
        "20260230T000000Z",
        "20261301T000000Z",
        "20260101T240000Z",
        "20260101T126000Z",
        "20260101T120060Z",
        "20260101T120000",
        "20260101T120000z",
        "20260101 120000Z",
        "2026-01-01T12:00:00Z",
        "20260101",
        "20260101T120000ZZ",
        "２０２６0101T120000Z",
        "00000101T000000Z",
        "Thu, 01 Jan 2026 12:00:00 GMT",
    ],
)
def test_a_date_that_is_none_is_refused(date: str) -> None:
    value = authorization(f"fake-key/{date[:8]}/us-east-1/s3/aws4_request") if "," not in date else authorization()

    assert refused(value, x_amz_date=date).code in ("AccessDenied", MALFORMED)


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 01 Jan 2026 12:00:00 GMT",
        "Thu, 01 Jan 2026 12:00:00 +0000",
        "Thu, 01 Jan 2026 13:00:00 +0100",
        "20260101T120000Z",
    ],
)
def test_a_date_header_stands_in_for_x_amz_date(date: str) -> None:
    claim = read(authorization(signed="date;host;x-amz-content-sha256"), date=date, x_amz_date="")

    assert claim is not None
    assert claim.amz_date == "20260101T120000Z"


def test_a_date_header_without_a_zone_is_read_as_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 5322: "-0000" is a time in UTC of which the zone is unknown, wherever the gateway may stand.
    import time

    monkeypatch.setenv("TZ", "XXX+05")
    time.tzset()
    try:
        claim = read(
            authorization(signed="date;host;x-amz-content-sha256"),
            date="Thu, 01 Jan 2026 12:00:00 -0000",
            x_amz_date="",
        )
    finally:
        monkeypatch.undo()
        time.tzset()

    assert claim is not None
    assert claim.amz_date == "20260101T120000Z"


def test_x_amz_date_wins_over_date() -> None:
    claim = read(date="Thu, 01 Jan 1970 00:00:00 GMT")

    assert claim is not None
    assert claim.amz_date == "20260101T120000Z"


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Thu, 32 Jan 2026 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2300", "0", "\xff", "[]"]
)
def test_no_date_at_all_is_refused(date: str) -> None:
    signed = "date;host;x-amz-content-sha256" if date else "host;x-amz-content-sha256"

    assert refused(authorization(signed=signed), date=date, x_amz_date="").code == "AccessDenied"


def test_the_payload_hash_header_is_required() -> None:
    error = refused(authorization(signed="host;x-amz-date"), x_amz_content_sha256="")

    assert (error.code, error.message) == (
        "InvalidRequest",
        "Missing required header for this request: x-amz-content-sha256",
    )


@pytest.mark.parametrize("query", [f"X-Amz-Signature={SIGNATURE}", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "x-amz-date=1"])
def test_only_one_of_header_and_query_may_authenticate(query: str) -> None:
    error = refused(query=query)

    assert error.code == "InvalidArgument"
    assert error.message.startswith("Only one auth mechanism allowed")


@pytest.mark.parametrize("query", ["AWSAccessKeyId=a&Signature=b&Expires=1", "awsaccesskeyid=a", "Signature=b"])
def test_signature_version_2_in_the_query_is_not_supported(query: str) -> None:
    assert refused(query=query).code == "InvalidRequest"
    head = RequestHead("GET", "/b/k", query, (("host", HOST),))
    with pytest.raises(S3Error, match="InvalidRequest"):
        claims.read(head, encoding.parse_query(query), NOW)


@pytest.mark.parametrize("query", ["x-amz-copy-source=/b/k", "X-Amz-Acl=public-read", "x%2Damz-meta-a=1"])
def test_amz_headers_in_the_query_of_a_header_signed_request_are_refused(query: str) -> None:
    assert refused(query=query).code == "InvalidArgument"


_octets = st.text(st.characters(max_codepoint=255), max_size=60)
_pieces = st.sampled_from(
    ["Credential=", "SignedHeaders=", "Signature=", SCOPE, SIGNED, SIGNATURE, ", ", ",", "k/", "="]
)


@generated
@given(st.lists(_octets | _pieces, max_size=10).map("".join), _octets, _octets, st.booleans())
def test_whatever_a_client_writes_there_is_nothing_but_a_claim_or_a_refusal(
    value: str, date: str, amz_date: str, dated: bool
) -> None:
    dates = (("date", date),) if dated else (("x-amz-date", amz_date),)
    head = RequestHead(
        "GET",
        "/",
        "",
        (("host", HOST), ("x-amz-content-sha256", EMPTY), *dates, ("authorization", "AWS4-HMAC-SHA256 " + value)),
    )

    with pytest.raises(S3Error):
        claims.read(head, (), NOW)


@generated
@given(
    st.text(st.characters(max_codepoint=255), max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,4} [A-Z][a-z]{2} [0-9]{1,5} [0-9:]{1,9} [-+A-Z0-9]{1,6}", fullmatch=True)
)
def test_whatever_the_date_header_says_the_answer_is_a_claim_or_a_refusal(date: str) -> None:
    try:
        claim = read(authorization(signed="date;host;x-amz-content-sha256"), date=date or "?", x_amz_date="")
    except S3Error as error:
        assert error.code in ("AccessDenied", "RequestTimeTooSkewed", MALFORMED)
    else:
        assert claim is not None
        assert claim.amz_date.startswith("20260101T1")
