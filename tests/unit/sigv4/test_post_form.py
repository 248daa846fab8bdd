"""A POST form takes two steps, and nothing of it leaves before the second has been taken."""

from __future__ import annotations

import pytest

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.form_codec import PostForm
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from support.forms import BUCKET, CLIENT, CONTENT_TYPE, Pairs, changed, form_body, form_of, signed_fields
from support.oracle import NOW

BACKEND = KeyPair("backend-fake-key", "backend-fake-secret")
STORE_BUCKET = "store-bucket"
STORE_REGION = "eu-store-2"
KEYS = SigningKeys()


@pytest.mark.parametrize("difference", [-20, -1, 1, 20])
def test_a_content_length_that_is_not_true_is_refused(difference: int) -> None:
    body = form_body(signed_fields({"key": "k"}), b"x" * 100)
    form = PostForm(CONTENT_TYPE, str(len(body) + difference))
    form.feed(body[:-110])
    form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    _, codec = form.forward(BACKEND, STORE_REGION, STORE_BUCKET, NOW, KEYS)
    with pytest.raises(S3Error) as caught:
        codec.feed(body[-110:])
        codec.finish()
    assert caught.value.code == "IncompleteBody"


def test_a_content_length_too_short_for_the_fields_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        PostForm(CONTENT_TYPE, "10").feed(form_body(signed_fields({"key": "k"})))
    assert caught.value.code == "IncompleteBody"


def test_a_body_that_ends_before_the_file_is_refused() -> None:
    body = form_body(signed_fields({"key": "k"}))
    form = PostForm(CONTENT_TYPE, str(len(body)))
    assert form.feed(body[:50]) is None
    with pytest.raises(S3Error) as caught:
        form.finish()
    assert caught.value.code == "MalformedPOSTRequest"


def test_a_form_that_was_not_verified_does_not_leave() -> None:
    form, _ = form_of(form_body(signed_fields({"key": "k"})))
    with pytest.raises(S3Error) as caught:
        form.forward(BACKEND, STORE_REGION, STORE_BUCKET, NOW, KEYS)
    assert caught.value.code == "InternalError"


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        (changed(signed_fields({"key": "k"}), x_amz_signature="0" * 64), "SignatureDoesNotMatch"),
        (changed(signed_fields({"key": "k"}), key="other"), "AccessDenied"),
        (signed_fields({"key": "k"}, bucket="other"), "AccessDenied"),
        (signed_fields({"key": "k"}, life=-1), "AccessDenied"),
    ],
)
def test_a_form_that_was_refused_does_not_leave(pairs: Pairs, code: str) -> None:
    form, _ = form_of(form_body(pairs))
    with pytest.raises(S3Error) as caught:
        form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    assert caught.value.code == code
    with pytest.raises(S3Error):
        form.forward(BACKEND, STORE_REGION, STORE_BUCKET, NOW, KEYS)


def test_a_form_is_not_fed_on_before_it_is_decided_upon() -> None:
    form, _ = form_of(form_body(signed_fields({"key": "k"})))
    with pytest.raises(S3Error) as caught:
        form.feed(b"more")
    assert caught.value.code == "InternalError"


def test_a_form_leaves_once() -> None:
    form, _ = form_of(form_body(signed_fields({"key": "k"})))
    form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    form.forward(BACKEND, STORE_REGION, STORE_BUCKET, NOW, KEYS)
    with pytest.raises(S3Error):
        form.forward(BACKEND, STORE_REGION, STORE_BUCKET, NOW, KEYS)


def test_without_a_secret_the_policy_still_holds() -> None:
    form, _ = form_of(form_body(changed(signed_fields({"key": "k"}), x_amz_signature="0" * 64)))
    assert form.verify(None, BUCKET, NOW, KEYS).key == "k"
    form, _ = form_of(form_body(changed(signed_fields({"key": "k"}), key="other")))
    with pytest.raises(S3Error):
        form.verify(None, BUCKET, NOW, KEYS)


# The head


def head(*headers: Header, query: str = "") -> RequestHead:
    return RequestHead("POST", "/demo", query, (("Host", "gateway.example.test"), *headers))


CT, CL = ("Content-Type", CONTENT_TYPE), ("Content-Length", "1000")


def test_a_browsers_head_is_taken() -> None:
    origin = (("Origin", "https://app.example.test"), ("User-Agent", "x"), ("Cookie", "a=b"), ("X-Amzn-Trace-Id", "1"))
    assert PostForm.of_head(head(CT, CL, *origin)).fields is None


@pytest.mark.parametrize(
    ("request_head", "code"),
    [
        (head(CT), "MissingContentLength"),
        (head(CT, CL, ("Transfer-Encoding", "chunked")), "MissingContentLength"),
        (head(CT, ("Content-Length", "-1")), "InvalidRequest"),
        (head(CT, ("Content-Length", "1e3")), "InvalidRequest"),
        (head(CL), "MalformedPOSTRequest"),
        (head(CL, ("Content-Type", "multipart/form-data")), "MalformedPOSTRequest"),
        (head(CT, CL, ("Authorization", "AWS4-HMAC-SHA256 x")), "InvalidArgument"),
        (head(CT, CL, query="X-Amz-Signature=0"), "InvalidArgument"),
        (head(CT, CL, query="acl"), "InvalidArgument"),
        (head(CT, CL, ("x-amz-acl", "public-read")), "AccessDenied"),
        (head(CT, CL, ("X-Amz-Security-Token", "x")), "AccessDenied"),
        (head(CT, CL, ("Content-Encoding", "gzip")), "InvalidRequest"),
        (head(CT, CL, ("Content-MD5", "x")), "InvalidRequest"),
        (head(CT, CL, ("If-None-Match", "*")), "InvalidRequest"),
    ],
)
def test_a_head_that_says_what_the_form_should_say_is_refused(request_head: RequestHead, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        PostForm.of_head(request_head)
    assert caught.value.code == code


def test_secrets_are_not_shown() -> None:
    form, _ = form_of(form_body(signed_fields({"key": "k", "x-amz-server-side-encryption-customer-key": "fake-sse"})))
    claim = form.claim(NOW)
    upload = form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    shown = f"{claim!r} {upload!r} {form.fields!r} {form!r}"
    for secret in ("fake-sse", claim.signature, claim.policy):
        assert secret not in shown
