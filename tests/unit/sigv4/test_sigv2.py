"""Signature Version 2: what is accepted, whatever is changed in it, and how AWS words the refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate, parsedate_to_datetime

import pytest
from botocore.auth import HmacV1Auth
from hypothesis import example, given
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.address import AddressingStyle, locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.s3.operations import OperationTable
from osp_gateway.sigv4 import sigv2
from osp_gateway.sigv4.keys import KeyPair
from osp_gateway.sigv4.sigv2 import V2Claim
from support.botocore_requests import SERVICE, serialized
from support.oracle import NOW, generated
from support.sigv2 import DATE, DOMAIN, Ask, asks, judge, presigned, resource_of, signed, string_of, with_header

WEEK = 604_800
ONE_MECHANISM = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or "
    "the Authorization header should be specified"
)


def head(query: str = "", *headers: Header, method: str = "GET", path: str = "/bucket/key") -> RequestHead:
    return RequestHead(method, path, query, (("Host", DOMAIN), *headers))


def in_header(*headers: Header, query: str = "", date: str | None = DATE) -> RequestHead:
    dated = () if date is None else (("Date", date),)
    return head(query, ("Authorization", "AWS fake-key:fake-signature"), *dated, *headers)


def in_query(more: str = "", *headers: Header, **but: str | None) -> RequestHead:
    """A presigned URL's head, in which `but` replaces authentication parameters; None removes one."""
    parameters = {"AWSAccessKeyId": "fake-key", "Signature": "fake-signature", "Expires": str(NOW + 600), **but}
    pieces = [f"{name}={value}" for name, value in parameters.items() if value is not None]
    return head("&".join([*pieces, more] if more else pieces), *headers)


def read(request: RequestHead, now: float = NOW) -> V2Claim | None:
    return sigv2.read(request, encoding.parse_query(request.query), now)


def refused(request: RequestHead, now: float = NOW) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read(request, now)
    return caught.value


def said(error: S3Error) -> tuple[str, str]:
    return error.code, error.message


# What AWS publishes

EXAMPLES: dict[str, tuple[str, str, str, str, tuple[Header, ...]]] = {
    "object GET": (
        "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        "GET",
        "awsexamplebucket1.us-west-1.s3.amazonaws.com",
        "/photos/puppy.jpg",
        (("Date", "Tue, 27 Mar 2007 19:36:42 +0000"),),
    ),
    "object PUT": (
        "iqRzw+ileNPu1fhspnRs8nOjjIA=",
        "PUT",
        "awsexamplebucket1.s3.us-west-1.amazonaws.com",
        "/photos/puppy.jpg",
        (
            ("Content-Type", "image/jpeg"),
            ("Content-Length", "94328"),
            ("Date", "Tue, 27 Mar 2007 21:15:45 +0000"),
        ),
    ),
    "list": (
        "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        "GET",
        "awsexamplebucket1.s3.us-west-1.amazonaws.com",
        "/?prefix=photos&max-keys=50&marker=puppy",
        (("User-Agent", "Mozilla/5.0"), ("Date", "Tue, 27 Mar 2007 19:42:41 +0000")),
    ),
    "fetch": (
        "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
        "GET",
        "awsexamplebucket1.s3.us-west-1.amazonaws.com",
        "/?acl",
        (("Date", "Tue, 27 Mar 2007 19:44:46 +0000"),),
    ),
    # Not the page's own signature: what it prints differs from issue to issue (9b2sXq0..., XbyTlbQ...) and contradicts
    # its text ("use the empty string for the Date"). This is what the text gives, and what other implementations have.
    "DELETE with x-amz-date": (
        "R4dJ53KECjStyBO5iTBJZ4XVOaI=",
        "DELETE",
        "s3.amazonaws.com",
        "/johnsmith/photos/puppy.jpg",
        (
            ("User-Agent", "dotnet"),
            ("Date", "Tue, 27 Mar 2007 21:20:27 +0000"),
            ("x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000"),
        ),
    ),
    "upload to a host of the customer's": (
        "ilyl83RwaSoYIEdixDQcA4OnAnc=",
        "PUT",
        "static.johnsmith.net:8080",
        "/db-backup.dat.gz",
        (
            ("User-Agent", "curl/7.15.5"),
            ("Date", "Tue, 27 Mar 2007 21:06:08 +0000"),
            ("x-amz-acl", "public-read"),
            ("content-type", "application/x-download"),
            ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="),
            ("X-Amz-Meta-ReviewedBy", "joe@johnsmith.net"),
            ("X-Amz-Meta-ReviewedBy", "jane@johnsmith.net"),
            ("X-Amz-Meta-FileChecksum", "0x02661779"),
            ("X-Amz-Meta-ChecksumAlgorithm", "crc32"),
            ("Content-Disposition", "attachment; filename=database.dat"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", "5913339"),
        ),
    ),
    "list all my buckets": (
        "qGdzdERIC03wnaRNKh6OqZehG9s=",
        "GET",
        "s3.us-west-1.amazonaws.com",
        "/",
        (("Date", "Wed, 28 Mar 2007 01:29:59 +0000"),),
    ),
    "unicode keys": (
        "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        "GET",
        "s3.us-west-1.amazonaws.com",
        "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
        (("Date", "Wed, 28 Mar 2007 01:49:49 +0000"),),
    ),
    "presigned": (
        "NpgCjnDzrM+WFzoENXmpNDUsSn8=",
        "GET",
        "johnsmith.s3.amazonaws.com",
        "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
        "&Expires=1175139620",
        (),
    ),
}
EXAMPLE_NOW = 1_175_024_202.0  # 2007-03-27T19:36:42Z
EXAMPLE_DOMAINS = ("us-west-1.s3.amazonaws.com", "s3.us-west-1.amazonaws.com", "s3.amazonaws.com")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_documentation_is_verified(name: str) -> None:
    published, method, host, target, headers = EXAMPLES[name]
    path, _, query = target.partition("?")
    authorization = () if "Signature" in query else (("Authorization", f"AWS AKIAIOSFODNN7EXAMPLE:{published}"),)
    request = RequestHead(method, path, query, (("Host", host), *headers, *authorization))
    pairs = encoding.parse_query(query)
    stated = dict(headers).get("x-amz-date") or dict(headers).get("Date")
    claim = sigv2.read(request, pairs, _seconds(stated) if stated else EXAMPLE_NOW)
    assert claim is not None
    assert (claim.access_key, claim.signature) == ("AKIAIOSFODNN7EXAMPLE", published)

    resource = locate(path, host, EXAMPLE_DOMAINS)
    if "customer" in name:  # the whole host is the bucket's name, which cannot be configured here
        resource = replace(resource, bucket="static.johnsmith.net", style=AddressingStyle.VIRTUAL)

    sigv2.verify(claim, request, resource, pairs, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def _seconds(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


# What botocore signs


@generated
@given(asks())
@example(Ask(key=""))
@example(Ask(query=(("response-content-disposition", 'attachment; filename="R&D é.pdf"'), ("versionId", "1"))))
@example(Ask(headers=(("x-amz-meta-a", "1"), ("x-amz-meta-a", " 2  3 "), ("Content-Type", "  text/plain  "))))
def test_a_request_that_botocore_signed_is_accepted(ask: Ask) -> None:
    claim = judge(signed(ask), ask.pair.secret_key)

    assert (claim.access_key, claim.session_token) == (ask.pair.access_key, ask.pair.session_token)
    assert (claim.date, claim.expires_at) == (DATE, None)


@generated
@given(asks(with_amz_headers=False))
def test_a_url_that_botocore_presigned_is_accepted(ask: Ask) -> None:
    claim = judge(presigned(ask), ask.pair.secret_key)

    assert (claim.access_key, claim.session_token) == (ask.pair.access_key, ask.pair.session_token)
    assert (claim.date, claim.expires_at) == (str(NOW + ask.expires), NOW + ask.expires)


@pytest.mark.parametrize("sent", ["/bucket", "/bucket/"])
def test_a_bucket_may_be_sent_without_the_slash_that_botocore_signs(sent: str) -> None:
    judge(replace(signed(Ask(key="", query=(("acl", None),))), path=sent))


def test_a_bucket_that_is_sent_and_signed_without_a_slash_is_accepted() -> None:
    request = signed_by_us(replace(signed(Ask(key="")), path="/bucket"))

    assert string_of(request).endswith("\n/bucket")
    judge(request)


def test_a_slash_makes_a_difference_where_there_is_a_key() -> None:
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        judge(replace(signed(Ask(key="key/")), path="/bucket/key"))


def signed_by_us(request: RequestHead, secret: str = "fake-secret") -> RequestHead:
    """With the signature over the string to sign that we make of it."""
    return with_header(request, "Authorization", f"AWS fake-key:{sigv2.signature(string_of(request), secret)}")


def test_the_path_is_signed_as_it_was_spelled() -> None:
    request = signed_by_us(replace(signed(Ask()), path="/bucket/%6bey%c3%a9"))

    assert string_of(request).endswith("/bucket/%6bey%c3%a9")
    assert resource_of(request).canonical_path == "/bucket/key%C3%A9"
    judge(request)


def test_an_empty_value_counts_as_none() -> None:
    judge(replace(signed(Ask(query=(("acl", None),))), query="acl="))


def test_the_signature_in_a_url_may_hold_a_raw_plus() -> None:
    ask = next(a for a in (Ask(key=f"key{n}") for n in range(200)) if "%2B" in _signature_of(presigned(a)))
    request = presigned(ask)

    judge(replace(request, query=request.query.replace("%2B", "+")))


def _signature_of(request: RequestHead) -> str:
    return dict(piece.split("=", 1) for piece in request.query.split("&"))["Signature"]


def test_a_session_token_may_be_a_header_of_a_presigned_request() -> None:
    ask = Ask(pair=KeyPair("fake-key", "fake-secret", "fake/token+"))
    request = presigned(ask)
    query = "&".join(piece for piece in request.query.split("&") if not piece.startswith("x-amz-security-token"))

    claim = judge(with_header(replace(request, query=query), "x-amz-security-token", "fake/token+"))

    assert claim.session_token == "fake/token+"


def test_the_parameters_of_the_authentication_are_taken_away() -> None:
    request = presigned(
        Ask(
            query=(("versionId", "1"), ("prefix", "a")),
            headers=(("Content-Type", "text/plain"), ("Content-MD5", "fake")),
            pair=KeyPair("fake-key", "fake-secret", "fake-token"),
        )
    )

    left = sigv2.without_authentication(encoding.parse_query(request.query))

    assert left == (("versionId", "1"), ("prefix", "a"))


def test_neither_signature_nor_token_is_in_the_claims_repr() -> None:
    claim = judge(presigned(Ask(pair=KeyPair("fake-key", "fake-secret", "fake-token"))))

    assert claim.signature not in repr(claim)
    assert "fake-token" not in repr(claim)


# Whatever is changed

Change = Callable[[RequestHead], RequestHead]


def header_to(name: str, value: str | None) -> Change:
    return lambda request: with_header(request, name, value)


def path_to(path: str) -> Change:
    return lambda request: replace(request, path=path)


def in_the_query(old: str, new: str) -> Change:
    def change(request: RequestHead) -> RequestHead:
        assert old in request.query
        return replace(request, query=request.query.replace(old, new, 1))

    return change


def more_query(piece: str) -> Change:
    return lambda request: replace(request, query=f"{request.query}&{piece}")


FULL = Ask(
    method="PUT",
    key="a/key",
    query=(("partNumber", "1"), ("response-expires", "0"), ("uploadId", "fake")),
    headers=(("Content-Type", "text/plain"), ("Content-MD5", "fake")),
    pair=KeyPair("fake-key", "fake-secret", "fake-token"),
)
WITH_METADATA = replace(FULL, headers=(*FULL.headers, ("x-amz-meta-a", "1"), ("X-Amz-Copy-Source", "/bucket/other")))

SIGNED_PARTS: dict[str, Change] = {
    "another method": lambda request: replace(request, method="POST"),
    "another case of the method": lambda request: replace(request, method="put"),
    "a longer path": path_to("/bucket/a/keys"),
    "another bucket": path_to("/other/a/key"),
    "another spelling of the path": path_to("/bucket/a/%6bey"),
    "an escaped slash": path_to("/bucket/a%2Fkey"),
    "a doubled slash": path_to("/bucket//a/key"),
    "a dot segment": path_to("/bucket/./a/key"),
    "the path taken for a virtual host's": header_to("Host", f"other.{DOMAIN}"),
    "another sub-resource's value": in_the_query("partNumber=1", "partNumber=2"),
    "an empty sub-resource": in_the_query("partNumber=1", "partNumber="),
    "a sub-resource less": in_the_query("partNumber=1&", ""),
    "another response header": in_the_query("response-expires=0", "response-expires=1"),
    "a sub-resource more": more_query("acl"),
    "a version": more_query("versionId=1"),
    "a later sub-resource": more_query("retention"),
    "a response header more": more_query("response-content-type=text%2Fhtml"),
    "another sub-resource of the same length": in_the_query("uploadId", "uploadid"),
    "an added x-amz header": header_to("x-amz-acl", "public-read"),
    "an added x-amz header without a value": header_to("x-amz-acl", ""),
    "a copy source": header_to("x-amz-copy-source", "/bucket/secret"),
}
IN_HEADER: dict[str, Change] = {
    "another type": header_to("Content-Type", "text/html"),
    "no type": header_to("Content-Type", None),
    "another MD5": header_to("Content-MD5", "other"),
    "no MD5": header_to("Content-MD5", None),
    "another time": header_to("Date", formatdate(NOW + 1, usegmt=True)),
    "the same time, spelled otherwise": header_to("Date", DATE.replace("GMT", "+0000")),
    "an x-amz-date": header_to("x-amz-date", DATE),
    "another token": header_to("x-amz-security-token", "other"),
    "no token": header_to("x-amz-security-token", None),
    "other metadata": header_to("x-amz-meta-a", "2"),
    "metadata with a space within": header_to("x-amz-meta-a", "1 1"),
    "no metadata": header_to("x-amz-meta-a", None),
    "renamed metadata": lambda request: with_header(header_to("x-amz-meta-a", None)(request), "x-amz-meta-b", "1"),
    "another copy source": header_to("X-Amz-Copy-Source", "/bucket/secret"),
}
IN_QUERY: dict[str, Change] = {
    "another end": in_the_query(f"Expires={NOW + 600}", f"Expires={NOW + 601}"),
    "another spelling of the end": in_the_query("Expires=", "Expires=0"),
    "another token": in_the_query("fake-token", "other-token"),
    "no token": in_the_query("x-amz-security-token=fake-token&", ""),
    "metadata": header_to("x-amz-meta-a", "1"),
    "an x-amz-date": header_to("x-amz-date", DATE),
    "no type": lambda request: with_header(
        in_the_query("content-type=text%2Fplain&", "")(request), "Content-Type", None
    ),
    "another type": lambda request: with_header(
        in_the_query("text%2Fplain", "text%2Fhtml")(request), "Content-Type", "text/html"
    ),
    "another MD5": lambda request: with_header(
        in_the_query("content-md5=fake", "content-md5=other")(request), "Content-MD5", "other"
    ),
    "the method": lambda request: replace(request, method="GET"),
}


@pytest.mark.parametrize("name", [*SIGNED_PARTS, *IN_HEADER])
def test_a_change_in_a_signed_request_is_refused(name: str) -> None:
    request = signed(WITH_METADATA)
    judge(request)

    with pytest.raises(S3Error) as caught:
        judge({**SIGNED_PARTS, **IN_HEADER}[name](request))

    assert caught.value.code in ("SignatureDoesNotMatch", "InvalidRequest"), name


@pytest.mark.parametrize("name", [*SIGNED_PARTS, *IN_QUERY])
def test_a_change_in_a_presigned_url_is_refused(name: str) -> None:
    request = presigned(FULL)
    judge(request)

    with pytest.raises(S3Error) as caught:
        judge({**SIGNED_PARTS, **IN_QUERY}[name](request))

    assert caught.value.code in ("SignatureDoesNotMatch", "InvalidRequest"), name


@pytest.mark.parametrize("sign", [signed, presigned])
def test_another_virtual_host_is_another_bucket(sign: Callable[[Ask], RequestHead]) -> None:
    request = sign(Ask(virtual=True))
    judge(request)

    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        judge(with_header(request, "Host", f"other.{DOMAIN}:6190"))


@pytest.mark.parametrize("sign", [signed, presigned])
def test_what_version_2_does_not_sign_may_be_changed_as_on_aws(sign: Callable[[Ask], RequestHead]) -> None:
    request = sign(Ask(key="", query=(("prefix", "a"),)))

    judge(with_header(replace(request, query=request.query.replace("prefix=a", "prefix=b")), "Range", "bytes=0-1"))


SECRETS = ["", "fake-secre", "fake-secret ", "Fake-secret", "other"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("sign", [signed, presigned])
def test_another_secret_is_refused(sign: Callable[[Ask], RequestHead], secret: str) -> None:
    with pytest.raises(S3Error) as caught:
        judge(sign(Ask()), secret)

    assert said(caught.value) == (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    )
    assert caught.value.status == 403
    assert caught.value.details == {"AWSAccessKeyId": "fake-key"}


def same_octets(text: str) -> str:
    """The last digit before the padding holds two bits that decoders ignore."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return f"{text[:-2]}{alphabet[alphabet.index(text[-2]) + 1]}="


SIGNATURES: dict[str, Callable[[str], str]] = {
    "one digit": lambda text: ("B" if text[0] == "A" else "A") + text[1:],
    "a prefix": lambda text: text[:-4],
    "no padding": lambda text: text.rstrip("="),
    "more padding": lambda text: text + "=",
    "other case": lambda text: text.swapcase(),
    "other digits for the same octets": same_octets,
    "the URL-safe alphabet": lambda text: text.replace("+", "-").replace("/", "_") + "-",
    "not base64": lambda _: "\xe9\xff",
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_another_signature_is_refused(name: str) -> None:
    request = signed(Ask())
    authorization = request.get("authorization") or ""
    key, _, right = authorization.rpartition(":")

    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        judge(with_header(request, "Authorization", f"{key}:{SIGNATURES[name](right)}"))


@pytest.mark.parametrize("name", SIGNATURES)
def test_another_signature_in_a_url_is_refused(name: str) -> None:
    request = presigned(Ask())
    right = encoding.decode(_signature_of(request)).decode()
    wrong = encoding.encode(SIGNATURES[name](right).encode("latin-1"))

    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        judge(replace(request, query=request.query.replace(_signature_of(request), wrong)))


def test_a_signature_in_a_header_does_not_serve_in_a_url() -> None:
    request = signed(Ask())
    right = (request.get("authorization") or "").rpartition(":")[2]

    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        judge(in_query(Signature=encoding.encode(right.encode())))


def test_a_signature_in_a_url_does_not_serve_in_a_header() -> None:
    request = presigned(Ask())
    right = encoding.decode(_signature_of(request)).decode()
    stolen = head("", ("Authorization", f"AWS fake-key:{right}"), ("Date", str(NOW + 600)))

    assert said(refused(stolen))[0] == "AccessDenied"


# One string to sign, one request


def test_no_two_operations_have_one_string_to_sign_but_the_two_listings() -> None:
    table = OperationTable.from_botocore()
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in SERVICE.operation_names:
        sent = serialized(name)
        headers = [(key, value) for key, values in sent.headers.items() for value in values]
        request = in_header(*headers, query=sent.query)
        request = replace(request, method=sent.method, path=sent.path)
        query = encoding.parse_query(sent.query)
        try:
            text = string_of(request)
            found[text].add(table.name(sent.method, resource_of(request), query, request.fields).name)
        except S3Error as error:
            assert error.code in ("InvalidRequest", "InvalidBucketName", "InvalidArgument", "MethodNotAllowed"), name

    ambiguous = [names for names in found.values() if len(names) > 1]
    assert ambiguous == [{"ListObjects", "ListObjectsV2"}]
    assert len(found) > 50


def test_every_parameter_of_the_model_is_signed_or_a_listings_or_refused() -> None:
    names = {
        name
        for operation in SERVICE.operation_names
        for name, _ in encoding.parse_query(serialized(operation, optional_parameters=True).query)
    }
    assert len(names) > 50
    refused_names = set()
    for name in names:
        try:
            assert string_of(in_header(query=f"{name}=x")) != string_of(in_header()) or (
                name in sigv2.LISTING_PARAMETERS
            )
        except S3Error as error:
            assert error.code == "InvalidRequest", name
            refused_names.add(name)

    assert {"attributes", "id", "renameObject", "session", "metadataTable"} <= refused_names
    assert not refused_names & set(HmacV1Auth.QSAOfInterest)


def test_all_that_botocore_signs_is_signed() -> None:
    known = set(HmacV1Auth.QSAOfInterest)

    assert known == sigv2.SUB_RESOURCES | sigv2.RESPONSE_OVERRIDES
    assert not sigv2.LISTING_PARAMETERS & sigv2.SIGNED_PARAMETERS


FOLDED = ["x%26versionId=1", "x%26versionId%3D1", "x%26acl", "%26acl", "x%26a%26tagging%26b", "x%26uploadId%3D"]


@pytest.mark.parametrize("value", FOLDED)
@pytest.mark.parametrize("request_of", [in_query, lambda query: in_header(query=query)])
def test_a_value_that_reads_as_further_parameters_is_refused(
    value: str, request_of: Callable[[str], RequestHead]
) -> None:
    with pytest.raises(S3Error) as caught:
        string_of(request_of(f"response-content-type={value}"))

    assert said(caught.value) == (
        "InvalidArgument",
        "The value of the query parameter response-content-type reads as further parameters.",
    )


def test_a_version_cannot_be_folded_away_into_a_response_header() -> None:
    request = presigned(Ask(query=(("response-expires", "0"), ("versionId", "1"))))
    judge(request)

    with pytest.raises(S3Error, match="InvalidArgument"):
        judge(replace(request, query=request.query.replace("0&versionId=1", "0%26versionId%3D1")))


def test_an_ampersand_in_a_file_name_is_no_parameter() -> None:
    judge(presigned(Ask(query=(("response-content-disposition", 'attachment; filename="R&D&aclx.pdf"'),))))


LINES: dict[str, RequestHead] = {
    "method": replace(in_header(), method="GET\n"),
    "type": in_header(("Content-Type", "text/plain\nx")),
    "a folded type": in_header(("Content-Type", "text/plain;\r\n charset=x")),
    "MD5": in_header(("Content-MD5", "fake\r")),
    "metadata": in_header(("x-amz-meta-a", "1\nx-amz-acl:private")),
    "NUL": in_header(("x-amz-meta-a", "1\0")),
    "token in the query": in_query("x-amz-security-token=a%0Ax-amz-acl:private"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_break_in_what_is_signed_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        string_of(LINES[name])

    assert said(caught.value) == ("InvalidRequest", "What is signed contains a line break or NUL.")


@pytest.mark.parametrize("name", ["x-amz-meta-a:b", "x-amz-meta-a\nx-amz-acl", "x-amz-meta a", "x-amz-meta-é"])
def test_a_header_name_that_reads_as_name_and_value_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        string_of(in_header((name, "c")))

    assert said(caught.value) == ("InvalidRequest", "The name of a header is not valid.")


# How the string is made


def test_headers_are_lower_case_sorted_joined_and_trimmed_and_keep_inner_white_space() -> None:
    request = in_header(
        ("X-Amz-Meta-B", "\t 1   2\t"), ("x-amz-meta-a", "x"), ("X-AMZ-META-B", " 3 "), ("Content-Type", " text/a  b ")
    )

    assert string_of(request) == f"GET\n\ntext/a  b\n{DATE}\nx-amz-meta-a:x\nx-amz-meta-b:1   2,3\n/bucket/key"


def test_header_values_are_signed_octet_by_octet() -> None:
    request = signed_by_us(in_header(("x-amz-meta-a", "\xc3\xa9 \xff")))

    assert "x-amz-meta-a:\xc3\xa9 \xff\n" in string_of(request)
    judge(request)


def test_parameters_are_sorted_and_decoded_and_others_left_out() -> None:
    request = in_header(query="versionId=a%2Bb+c&uploads&prefix=x&response-content-type=text%2Fh%C3%A9&acl&uploadId=1")

    assert string_of(request).partition("?")[2] == (
        "acl&response-content-type=text/h\xc3\xa9&uploadId=1&uploads&versionId=a+b+c"
    )


def test_with_x_amz_date_the_line_of_the_date_is_empty() -> None:
    request = in_header(("x-amz-date", DATE), date="anything at all")

    assert string_of(request) == f"GET\n\n\n\nx-amz-date:{DATE}\n/bucket/key"


def test_the_host_names_the_bucket_of_a_virtual_hosted_request() -> None:
    request = with_header(replace(in_header(), path="/"), "Host", f"Bucket.{DOMAIN}:8080")

    assert string_of(request).endswith("\n/bucket/")


# Which requests are meant


@pytest.mark.parametrize(
    "request_head",
    [
        head(),
        head("Expires=1"),
        head("", ("Authorization", "AWS4-HMAC-SHA256 Credential=fake")),
        head("", ("Authorization", "Bearer fake")),
        head("", ("Authorization", "aws fake-key:fake")),
        head("", ("Authorization", "")),
        head("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=fake"),
        head("x-amz-security-token=fake"),
    ],
)
def test_a_request_without_version_2_is_none_of_ours(request_head: RequestHead) -> None:
    assert read(request_head) is None


@pytest.mark.parametrize(
    "request_head",
    [
        in_header(query="AWSAccessKeyId=fake-key"),
        in_header(query="Signature=fake"),
        in_header(query="Expires=1"),
        in_header(query="X-Amz-Algorithm=AWS4-HMAC-SHA256"),
        in_header(query="x-amz-signature=fake"),
        in_query("X-Amz-Credential=fake"),
        in_query("X-Amz-Expires=1"),
        in_query("", ("Authorization", "AWS fake-key:fake-signature")),
        in_query("", ("Authorization", "AWS4-HMAC-SHA256 Credential=fake")),
        in_query("", ("Authorization", "Bearer fake")),
        in_query("", ("Authorization", "")),
    ],
)
def test_two_mechanisms_at_once_are_refused(request_head: RequestHead) -> None:
    error = refused(request_head)

    assert said(error) == ("InvalidArgument", ONE_MECHANISM)
    assert error.status == 400


@pytest.mark.parametrize(
    "value",
    [
        "AWS",
        "AWS ",
        "AWS fake-key",
        "AWS fake-key:",
        "AWS :fake",
        "AWS fake-key:a:b",
        "AWS  fake-key:fake",
        "AWS fake-key :fake",
        "AWS fake-key: fake",
        "AWS fake-key:fake, Signature=x",
        "AWS fake-key:fa\tke",
    ],
)
def test_a_malformed_authorization_is_refused(value: str) -> None:
    assert said(refused(head("", ("Authorization", value), ("Date", DATE)))) == (
        "InvalidArgument",
        "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
    )


@pytest.mark.parametrize("but", [{"AWSAccessKeyId": None}, {"Signature": None}, {"Expires": None}, {"Signature": ""}])
def test_a_presigned_url_needs_all_three_parameters(but: dict[str, str | None]) -> None:
    assert said(refused(in_query(**but))) == (
        "AccessDenied",
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
    )


@pytest.mark.parametrize("name", ["AWSAccessKeyId", "Signature", "Expires", "x-amz-security-token", "acl", "prefix"])
def test_a_repeated_parameter_is_refused(name: str) -> None:
    error = refused(in_query(f"{name}=1&{name}=1"))

    assert said(error) == ("InvalidArgument", f"The query parameter {name} was given more than once.")


@pytest.mark.parametrize(
    "name", ["awsaccesskeyid", "SIGNATURE", "expires", "X-Amz-Security-Token", "X-AMZ-SECURITY-TOKEN"]
)
def test_a_parameter_spelled_otherwise_is_refused(name: str) -> None:
    error = refused(in_query(f"{name}=1"))

    assert said(error) == ("InvalidArgument", f"The query parameter {name} is not spelled as expected.")


def test_a_token_in_two_places_is_refused() -> None:
    error = refused(in_query("x-amz-security-token=a", ("x-amz-security-token", "a")))

    assert error.code == "InvalidArgument"
    assert "expected one" in error.message


@pytest.mark.parametrize("name", ["x-amz-acl", "X-Amz-Meta-A", "x-amz-copy-source", "x-amz-content-sha256x"])
@pytest.mark.parametrize("request_of", [in_query, lambda query: in_header(query=query)])
def test_an_x_amz_parameter_is_refused(name: str, request_of: Callable[[str], RequestHead]) -> None:
    assert said(refused(request_of(f"{name}=1"))) == (
        "InvalidArgument",
        f"{name} must be a header: Signature Version 2 takes none from the query.",
    )


def test_a_header_that_botocore_moved_into_the_query_is_refused() -> None:
    request = presigned(Ask(method="PUT", headers=(("x-amz-acl", "private"),)))

    assert "x-amz-acl=private" in request.query
    assert "x-amz-acl must be a header" in refused(request).message


@pytest.mark.parametrize("name", ["attributes", "session", "id", "renameObject", "x-id", "ACL", "foo", "%41cl"])
@pytest.mark.parametrize("request_of", [in_query, lambda query: in_header(query=query)])
def test_a_parameter_that_is_not_signed_is_refused(name: str, request_of: Callable[[str], RequestHead]) -> None:
    plain = name.replace("%41", "A")

    assert said(refused(request_of(name))) == (
        "InvalidRequest",
        f"The query parameter {plain} is not covered by Signature Version 2. Please use AWS4-HMAC-SHA256.",
    )


@pytest.mark.parametrize("name", sorted(sigv2.LISTING_PARAMETERS))
def test_a_listings_parameter_is_accepted(name: str) -> None:
    assert read(in_query(f"{name}=1")) is not None


@pytest.mark.parametrize(("name", "header"), [("content-type", "Content-Type"), ("content-md5", "Content-MD5")])
def test_a_copy_of_a_header_must_say_the_same(name: str, header: str) -> None:
    assert read(in_query(f"{name}=a%2Fb", (header, " a/b "))) is not None
    for request in (in_query(f"{name}=a"), in_query(f"{name}=a", (header, "b")), in_query(name, (header, "b"))):
        assert said(refused(request)) == (
            "InvalidArgument",
            f"The query parameter {name} and the header {name} differ.",
        )


@pytest.mark.parametrize("name", sorted(sigv2.RECENT_SUB_RESOURCES))
def test_a_later_sub_resource_is_signed_and_the_operator_told_that_clients_differ(name: str) -> None:
    request = in_header(query=name)

    judge(signed_by_us(request))
    with pytest.raises(S3Error) as caught:
        judge(replace(signed_by_us(in_header()), query=name))
    assert name in caught.value.reason
    assert name not in caught.value.message


# Dates

DATES = [
    "Thu, 01 Jan 2026 12:00:00 GMT",
    "Thu, 01 Jan 2026 12:00:00 +0000",
    "Thu, 1 Jan 2026 12:00:00 -0000",
    "01 Jan 2026 12:00:00 GMT",
    "Thu, 01 Jan 2026 14:00:00 +0200",
    "Thursday, 01-Jan-26 12:00:00 GMT",
    "Thu Jan  1 12:00:00 2026",
    "20260101T120000Z",
    "2026-01-01T12:00:00Z",
    "2026-01-01T12:00:00.123Z",
]


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("name", ["Date", "x-amz-date"])
def test_a_date_is_read_in_each_format(name: str, date: str) -> None:
    request = in_header((name, date), date=None)
    claim = read(request)

    assert claim is not None
    assert claim.date == (date if name == "Date" else "")
    assert refused(request, NOW + 901).code == "RequestTimeTooSkewed"
    assert refused(request, NOW - 901).code == "RequestTimeTooSkewed"


@pytest.mark.parametrize("skew", [-900, 900])
def test_fifteen_minutes_of_skew_are_allowed(skew: int) -> None:
    assert read(in_header(), NOW + skew) is not None


def test_more_skew_is_refused_with_both_times() -> None:
    error = refused(in_header(), NOW + 901)

    assert said(error) == (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    )
    assert error.status == 403
    assert error.details == {
        "RequestTime": DATE,
        "ServerTime": "2026-01-01T12:15:01Z",
        "MaxAllowedSkewMilliseconds": "900000",
    }


def test_x_amz_date_wins_over_date() -> None:
    assert read(in_header(("x-amz-date", DATE), date="Thu, 01 Jan 2015 12:00:00 GMT")) is not None
    assert refused(in_header(("x-amz-date", "Thu, 01 Jan 2015 12:00:00 GMT"))).code == "RequestTimeTooSkewed"
    assert refused(in_header(("x-amz-date", ""))).code == "AccessDenied"


@pytest.mark.parametrize(
    "date",
    [
        None,
        "",
        "now",
        str(NOW),
        "2026-01-01",
        "2026-01-01T12:00:00",
        "2026-13-01T12:00:00Z",
        "20260101T126000Z",
        "Thu, 32 Jan 2026 12:00:00 GMT",
        "Thu, 01 Jan 2026 12:00:00 GMT" + " " * 40 + "x",
        "Thu, 01 Jan 99999 12:00:00 GMT",
        "Thu, 01 Jan 0001 00:00:00 +9999",
        "Th\xfc, 01 Jan 2026 12:00:00 GMT",
    ],
)
def test_without_a_valid_date_a_request_is_refused(date: str | None) -> None:
    error = refused(in_header(date=date))

    assert said(error) == ("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    assert error.status == 403


def test_a_presigned_url_needs_no_date() -> None:
    assert read(in_query("", ("Date", "anything"))) is not None


def test_a_presigned_url_ends_with_its_last_second() -> None:
    assert read(in_query(), NOW + 600) is not None

    error = refused(in_query(), NOW + 601)

    assert said(error) == ("AccessDenied", "Request has expired")
    assert error.status == 403
    assert error.details == {"Expires": "2026-01-01T12:10:00Z", "ServerTime": "2026-01-01T12:10:01Z"}


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "%2B1", "1.5", "1e9", "%C2%B2", "%D9%A1", "0x10", "1" * 13, "1 ", "1_0"]
)
def test_an_end_that_is_no_number_is_refused(text: str) -> None:
    error = refused(in_query(Expires=text))

    shown = encoding.decode(text).decode("latin-1")
    assert said(error) == ("AccessDenied", f"Invalid date (should be seconds since epoch): {shown}")


def test_an_end_more_than_a_week_and_the_skew_ahead_is_refused() -> None:
    assert read(in_query(Expires=str(NOW + WEEK + 900))) is not None
    for text in (str(NOW + WEEK + 901), "9" * 12):
        assert said(refused(in_query(Expires=text))) == (
            "AuthorizationQueryParametersError",
            "Expires must be less than a week (604800 seconds) ahead.",
        )


# Hostile input

octets = st.text(st.characters(max_codepoint=255), max_size=60)
pieces = octets | st.sampled_from(
    ["AWS ", "a:b", "AWSAccessKeyId=a", "&Signature=b", "&Expires=", "1767269000", "%", "="]
)


@generated
@given(st.lists(pieces, max_size=6).map("".join), octets, octets, octets)
def test_nothing_but_an_s3_error_comes_of_hostile_input(query: str, authorization: str, date: str, value: str) -> None:
    for headers in ((), (("Authorization", f"AWS {authorization}"),), (("Authorization", "AWS a:b"),)):
        request = head(query, *headers, ("Date", date), ("x-amz-meta-a", value), ("Content-Type", value))
        try:
            pairs = encoding.parse_query(query)
        except ValueError:
            return
        try:
            claim = sigv2.read(request, pairs, NOW)
            if claim is not None:
                sigv2.verify(claim, request, resource_of(request), pairs, "fake-secret")
        except S3Error:
            continue
        assert claim is None


days = st.sampled_from(["Thu, ", "", "Mon ", "Thursday, "])
dates = st.builds(
    "{}{} {} {} {}:{}:{} {}".format,
    days,
    st.integers(-1, 99),
    st.sampled_from(["Jan", "feb", "May", "Foo", "1"]),
    st.integers(-1, 100_000),
    st.integers(-1, 99),
    st.integers(-1, 99),
    st.integers(-1, 99),
    st.sampled_from(["GMT", "+0000", "-9999", "+99999", "EST", "Z", "", "(x)", "+-1"]),
)


@generated
@given(dates | octets)
def test_a_hostile_date_is_refused_or_read(date: str) -> None:
    try:
        assert read(in_header(date=date)) is not None
    except S3Error as error:
        assert error.code in ("AccessDenied", "RequestTimeTooSkewed")
