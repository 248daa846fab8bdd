"""A form is taken only where its policy was signed and every one of its fields is what the policy says."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4 import policy
from osp_gateway.sigv4.keys import KeyPair
from support.forms import (
    BUCKET,
    CLIENT,
    FAILED,
    VIOLATED,
    Pairs,
    boto3_fields,
    changed,
    document,
    fields_of,
    judge,
    refusal,
    signed_fields,
    without,
)
from support.oracle import generated

# AWS: "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)"
EXAMPLE_LINES = [
    '{ "expiration": "2015-12-30T12:00:00.000Z",',
    '  "conditions": [',
    '    {"bucket": "sigv4examplebucket"},',
    '    ["starts-with", "$key", "user/user1/"],',
    '    {"acl": "public-read"},',
    '    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},',
    '    ["starts-with", "$Content-Type", "image/"],',
    '    {"x-amz-meta-uuid": "14365123651274"},',
    '    {"x-amz-server-side-encryption": "AES256"},',
    '    ["starts-with", "$x-amz-meta-tag", ""],',
    "",
    '    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},',
    '    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},',
    '    {"x-amz-date": "20151229T000000Z" }',
    "  ]",
    "}",
]
EXAMPLE: Pairs = [
    ("key", "user/user1/${filename}"),
    ("acl", "public-read"),
    ("success_action_redirect", "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"),
    ("Content-Type", "image/jpeg"),
    ("x-amz-meta-uuid", "14365123651274"),
    ("x-amz-server-side-encryption", "AES256"),
    ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Date", "20151229T000000Z"),
    ("x-amz-meta-tag", ""),
    ("Policy", base64.b64encode("\r\n".join(EXAMPLE_LINES).encode()).decode()),
    ("X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"),
]


def test_the_example_in_awss_reference_is_right() -> None:
    upload = judge(
        fields_of(EXAMPLE, "MyPicture.jpg"),
        secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        bucket="sigv4examplebucket",
        now=1_451_390_400,  # 2015-12-29T12:00:00Z
    )
    assert upload.key == "user/user1/MyPicture.jpg"
    assert upload.headers == {
        "x-amz-acl": "public-read",
        "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        "content-type": "image/jpeg",
        "x-amz-meta-uuid": "14365123651274",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-meta-tag": "",
    }


@pytest.mark.parametrize("token", [None, "fake-token"])
def test_boto3s_presigned_posts_are_right(token: str | None) -> None:
    pair = KeyPair(CLIENT.access_key, CLIENT.secret_key, token)
    fields = fields_of(
        boto3_fields(
            "user/${filename}",
            {"acl": "private", "Content-Type": "text/plain", "success_action_status": "201"},
            [
                {"acl": "private"},
                ["starts-with", "$Content-Type", "text/"],
                ["eq", "$success_action_status", "201"],
                ["content-length-range", 1, 10],
            ],
            pair=pair,
        ),
        "x.txt",
    )
    now = time.time()
    claim = policy.read_claim(fields, now)
    assert (claim.access_key, claim.session_token) == (CLIENT.access_key, token)
    upload = judge(fields, now=now)
    assert (upload.key, upload.minimum, upload.maximum) == ("user/x.txt", 1, 10)
    assert dict(upload.pairs) == {"acl": "private", "Content-Type": "text/plain", "success_action_status": "201"}


@pytest.mark.parametrize("token", [None, "fake-token"])
def test_minio_pys_presigned_post_policies_are_right(token: str | None) -> None:
    """Its document: eq for everything but the prefix, the bucket among them, milliseconds in the expiration."""
    pair = KeyPair(CLIENT.access_key, CLIENT.secret_key, token)
    own = [field for field in signed_fields({}, pair=pair) if field[0] not in ("policy", "x-amz-signature")]
    conditions = [
        ["eq", "$bucket", BUCKET],
        ["eq", "$Content-Type", "text/plain"],
        ["starts-with", "$key", "user/"],
        ["content-length-range", 1, 10],
        *(["eq", f"${name}", value] for name, value in own),
    ]
    fields = {"Content-Type": "text/plain", "key": "user/x"}
    upload = judge(fields_of(signed_fields(fields, pair=pair, document=document(conditions))))
    assert (upload.key, upload.minimum, upload.maximum) == ("user/x", 1, 10)
    assert upload.headers == {"content-type": "text/plain"}


simple_names = st.from_regex(r"x-amz-meta-[a-z0-9-]{1,8}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).filter(lambda v: "${filename}" not in v)


@generated
@given(st.dictionaries(simple_names, values, max_size=4), values.filter(bool), st.data())
def test_one_changed_value_is_found(metadata: dict[str, str], key: str, data: st.DataObject) -> None:
    pairs = signed_fields({"key": key, **metadata})
    assert judge(fields_of(pairs)).key == key
    victim = data.draw(st.sampled_from([name for name, _ in pairs]))
    value = data.draw(values.filter(lambda other: other != dict(pairs)[victim]))
    with pytest.raises(S3Error):
        judge(fields_of([(n, value if n == victim else v) for n, v in pairs]))


# The signature


def test_a_signature_of_another_secret_is_refused() -> None:
    error = refusal(signed_fields({"key": "k"}), secret="another-fake-secret")
    assert (error.code, error.status, error.details) == (
        "SignatureDoesNotMatch",
        403,
        {"AWSAccessKeyId": CLIENT.access_key},
    )


@pytest.mark.parametrize("written", ["", "0" * 64, "é" * 64, "AB" * 32, "0" * 63])
def test_a_signature_that_is_none_is_refused(written: str) -> None:
    pairs = changed(signed_fields({"key": "k"}), x_amz_signature=written)
    assert refusal(pairs).code == "SignatureDoesNotMatch"


def test_the_signature_is_judged_before_the_policy_is_read() -> None:
    assert refusal(changed(signed_fields({"key": "k"}), policy="not a policy")).code == "SignatureDoesNotMatch"


def test_a_form_without_authentication_is_refused() -> None:
    error = refusal([("key", "k"), ("acl", "private")])
    assert (error.code, error.message) == ("AccessDenied", "Access Denied")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x-amz-algorithm", "X-Amz-Algorithm"),
        ("x-amz-credential", "X-Amz-Credential"),
        ("x-amz-date", "X-Amz-Date"),
        ("x-amz-signature", "X-Amz-Signature"),
        ("policy", "Policy"),
    ],
)
def test_half_an_authentication_is_refused(name: str, shown: str) -> None:
    error = refusal(without(signed_fields({"key": "k"}), name))
    assert (error.code, error.details["ArgumentName"]) == ("InvalidArgument", shown)
    assert error.message.startswith(f"Bucket POST must contain a field named '{shown}'.")


@pytest.mark.parametrize("names", [["AWSAccessKeyId"], ["signature"], ["awsaccesskeyid", "Signature"]])
def test_fields_of_both_signature_versions_are_refused(names: list[str]) -> None:
    pairs = [*signed_fields({"key": "k"}), *((name, "fake") for name in names)]
    error = refusal(pairs)
    assert (error.code, error.message[:29]) == ("InvalidArgument", "Only one auth mechanism allow")


@pytest.mark.parametrize("names", [["AWSAccessKeyId", "signature", "policy"], ["AWSAccessKeyId"], ["signature"]])
def test_signature_version_2_is_refused(names: list[str]) -> None:
    error = refusal([("key", "k"), *((name, "fake") for name in names)])
    assert (error.code, error.message[:46]) == ("InvalidRequest", "The authorization mechanism you have provided ")


@pytest.mark.parametrize("algorithm", ["AWS4-ECDSA-P256-SHA256", "aws4-hmac-sha256", ""])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    error = refusal(changed(signed_fields({"key": "k"}), x_amz_algorithm=algorithm))
    assert (error.code, error.details["ArgumentName"]) == ("InvalidArgument", "X-Amz-Algorithm")


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "key",
        "key/20260101/eu-test-1/s3",
        "/20260101/eu-test-1/s3/aws4_request",
        "key/20260102/eu-test-1/s3/aws4_request",
        "key/20260101//s3/aws4_request",
        "key/20260101/eu-test-1/sts/aws4_request",
        "key/20260101/eu-test-1/s3/aws5_request",
        "kéy/20260101/eu-test-1/s3/aws4_request",
        "key/20260101/eu—test/s3/aws4_request",
    ],
)
def test_a_malformed_credential_is_refused(credential: str) -> None:
    error = refusal(changed(signed_fields({"key": "k"}), x_amz_credential=credential))
    assert (error.code, error.details) == (
        "InvalidArgument",
        {"ArgumentName": "X-Amz-Credential", "ArgumentValue": credential},
    )


@pytest.mark.parametrize("date", ["", "20260101", "2026-01-01T12:00:00Z", "20261301T120000Z", "20260101T120000z"])
def test_a_malformed_date_is_refused(date: str) -> None:
    error = refusal(changed(signed_fields({"key": "k"}), x_amz_date=date))
    assert (error.code, error.details["ArgumentName"]) == ("InvalidArgument", "X-Amz-Date")


# Coverage


@pytest.mark.parametrize(
    "extra", ["acl", "X-Amz-Meta-Sneaky", "success_action_redirect", "tagging", "submit", "x-amz-security-token"]
)
def test_a_field_that_no_condition_covers_is_refused(extra: str) -> None:
    error = refusal([*signed_fields({"key": "k"}), (extra, "x")])
    assert (error.code, error.message) == ("AccessDenied", VIOLATED + f"Extra input fields: {extra}")


def test_a_bucket_field_is_covered_by_the_buckets_condition() -> None:
    assert judge(fields_of([*signed_fields({"key": "k"}), ("bucket", BUCKET)])).pairs == ()


@pytest.mark.parametrize("name", ["key", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "bucket"])
def test_what_every_form_has_must_be_covered_too(name: str) -> None:
    full = signed_fields({"key": "k"})
    values = {**dict(full), "bucket": BUCKET}
    covering = ("key", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "bucket")
    conditions = [{one: values[one]} for one in covering if one != name]
    error = refusal(signed_fields({"key": "k"}, document=document(conditions)))
    assert error.message == VIOLATED + f"Extra input fields: {name}"


def test_ignored_fields_need_no_condition_and_go_nowhere() -> None:
    pairs = [*signed_fields({"key": "k"}), ("x-ignore-submit", "Upload ${filename}"), ("X-Ignore-2", "")]
    assert judge(fields_of(pairs)).pairs == ()


def test_a_covered_field_that_s3_does_not_know_goes_nowhere() -> None:
    pairs = signed_fields({"key": "k", "Filename": "x", "utf8": "✓", "success_action_status": "201"})
    assert judge(fields_of(pairs)).pairs == (("success_action_status", "201"),)


@pytest.mark.parametrize("url", ["other", "Demo", "demo2", ""])
def test_a_form_for_another_bucket_is_refused(url: str) -> None:
    error = refusal(signed_fields({"key": "k"}), bucket=url)
    assert (error.code, error.message) == ("AccessDenied", FAILED + '["eq", "$bucket", "demo"]')


def test_a_bucket_field_that_is_not_the_urls_is_refused() -> None:
    assert refusal([*signed_fields({"key": "k"}), ("Bucket", "other")]).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-copy-source", "other/key"),
        ("X-Amz-Copy-Source-Range", "bytes=0-1"),
        ("content-length", "1"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x_amz_acl", "public-read"),
        ("content_type", "text/html"),
        ("x-amz-meta-a b", "x"),
        ("x-amz-meta-a(b)", "x"),
        ("x-amz-meta-a", "x\r\nx-amz-acl: public-read"),
        ("Content-Type", "text/html\0"),
    ],
)
def test_a_field_that_a_store_could_take_for_more_than_it_says_is_refused(name: str, value: str) -> None:
    assert refusal(signed_fields({"key": "k", name: value})).code == "InvalidArgument"


def test_two_fields_for_one_thing_are_refused() -> None:
    assert refusal(signed_fields({"key": "k", "acl": "private", "x-amz-acl": "public-read"})).code == "InvalidArgument"


# The key and ${filename}


@pytest.mark.parametrize(
    ("key", "filename", "expanded"),
    [
        ("user/${filename}", "a.txt", "user/a.txt"),
        ("user/${filename}/${filename}", "a", "user/a/a"),
        ("user/${filename}", r"C:\Program Files\dir\file.txt", "user/file.txt"),
        ("user/${filename}", "/etc/passwd", "user/passwd"),
        ("user/${filename}", "../../other/x", "user/x"),
        ("user/${filename}", "a/", "user/"),
        ("user/${filename}", "", "user/"),
        ("user/${filename}", None, "user/"),
        ("user/${filename}", "pré—f", "user/pré—f"),
        ("user/$", "a", "user/$"),
        ("user/$filename", "a", "user/$filename"),
    ],
)
def test_the_file_name_comes_into_the_key_without_its_path(key: str, filename: str | None, expanded: str) -> None:
    pairs = signed_fields({"key": key}, [["starts-with", "$key", "user/"]])
    assert judge(fields_of(pairs, filename)).key == expanded


@pytest.mark.parametrize(
    ("key", "filename"),
    [
        ("user${filename}", "/x"),
        ("user${filename}", r"\x"),
        ("${filename}", "user/x"),
        ("other/${filename}", "user/x"),
        ("/user/${filename}", "x"),
        (" user/${filename}", "x"),
    ],
)
def test_no_file_name_leads_out_of_the_prefix(key: str, filename: str) -> None:
    pairs = changed(signed_fields({"key": "user/x"}, [["starts-with", "$key", "user/"]]), key=key)
    assert refusal(pairs, filename).message == FAILED + '["starts-with", "$key", "user/"]'


@pytest.mark.parametrize(
    ("key", "filename"),
    [
        ("user/${filename}", "${filename}"),
        ("user/${filename}", "${FileName}"),
        ("user/${Filename}", "x"),
        ("user/${file${filename}}", "name"),
        ("user/$${filename}filename}", "{"),
    ],
)
def test_a_variable_that_a_store_would_expand_once_more_is_refused(key: str, filename: str) -> None:
    pairs = signed_fields({"key": key}, [["starts-with", "$key", "user/"]])
    assert refusal(pairs, filename).code == "InvalidArgument"


def test_the_file_name_comes_into_other_fields_but_not_into_the_authentication() -> None:
    conditions = [{"key": "k"}, ["starts-with", "$x-amz-meta-name", ""]]
    pairs = signed_fields({"key": "k", "x-amz-meta-name": "was ${filename}"}, conditions)
    assert judge(fields_of(pairs, "a.txt")).headers == {"x-amz-meta-name": "was a.txt"}
    assert refusal(changed(pairs, x_amz_signature="${filename}"), dict(pairs)["x-amz-signature"]).code == (
        "SignatureDoesNotMatch"
    )


@pytest.mark.parametrize(("name", "code"), [("key", "KeyTooLongError"), ("x-amz-meta-a", "InvalidArgument")])
def test_a_file_name_does_not_multiply(name: str, code: str) -> None:
    fields = {"key": "k", name: "${filename}" * 1000}
    assert refusal(signed_fields(fields, [["starts-with", f"${one}", ""] for one in fields]), "x" * 30_000).code == code


def test_conditions_are_held_against_what_is_expanded() -> None:
    pairs = signed_fields({"key": "${filename}"}, [["eq", "$key", "${filename}"]])
    assert refusal(pairs, "x").message == FAILED + '["eq", "$key", "${filename}"]'


@pytest.mark.parametrize(
    ("key", "code"), [("", "InvalidArgument"), ("é" * 513, "KeyTooLongError"), ("x" * 1025, "KeyTooLongError")]
)
def test_a_key_that_is_none_is_refused(key: str, code: str) -> None:
    assert refusal(signed_fields({"key": key})).code == code
