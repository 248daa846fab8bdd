"""What of a head is recorded."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote, unquote

import pytest

from osp_gateway.mitm.sanitizing import Sanitizer
from osp_gateway.redaction import IS_MARK
from osp_gateway.s3.head import RequestHead

KEY = base64.b64encode(b"a-fake-key-of-a-customer-of-32-o").decode()
CUSTOMER_KEY = "x-amz-server-side-encryption-customer-key"


def queried(query: str, sanitizer: Sanitizer | None = None) -> dict[str, str]:
    return dict((sanitizer or Sanitizer()).query(RequestHead("GET", "/demo/key", query, ())))


@pytest.mark.parametrize(
    "name", [CUSTOMER_KEY, "X-Amz-Server-Side-Encryption-Customer-Key", f"x-amz-copy-source-{CUSTOMER_KEY[6:]}"]
)
def test_a_customers_key_in_a_presigned_url_becomes_the_one_that_it_becomes_in_a_header(name):
    sanitizer = Sanitizer()
    found = unquote(queried(f"{name}={quote(KEY, safe='')}", sanitizer)[name])
    assert found != KEY
    assert [(name, found)] == sanitizer.of_request([(name, KEY)])
    assert len(base64.b64decode(found)) == 32


def test_its_md5_fits():
    md5 = base64.b64encode(hashlib.md5(base64.b64decode(KEY)).digest()).decode()
    found = {
        name: unquote(value)
        for name, value in queried(f"{CUSTOMER_KEY}={quote(KEY)}&{CUSTOMER_KEY}-md5={quote(md5)}").items()
    }
    other = base64.b64decode(found[CUSTOMER_KEY])
    assert base64.b64decode(found[f"{CUSTOMER_KEY}-md5"]) == hashlib.md5(other).digest()


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Mfa",
        "x-amz-mfa",
        "X-Amz-Security-Token",
        "x-amz-s3session-token",
        "X-Amz-Signature",
        "Signature",
        "AWSAccessKeyId",
    ],
)
def test_a_parameter_that_is_a_secret_is_left_out(name):
    assert queried(f"{name}=secret&versionId=v") == {"versionId": "v"}


def test_what_an_operator_holds_for_secret_becomes_a_mark_that_is_the_same_each_time():
    sanitizer = Sanitizer()
    sanitizer.name(["X-Amz-Meta-Ticket", "host"])
    (request,), (answer,) = (
        of([("X-Amz-Meta-Ticket", "fake-ticket")]) for of in (sanitizer.of_request, sanitizer.of_answer)
    )
    assert IS_MARK(request[1])
    assert request == answer
    assert queried("X-Amz-Meta-Ticket=fake-ticket", sanitizer) == {"X-Amz-Meta-Ticket": request[1]}
    assert sanitizer.of_request([("x-amz-meta-ticket", "another")]) != [("x-amz-meta-ticket", request[1])]


def test_headers_that_nobody_knows_are_not_recorded():
    headers = [("X-Echo-Authorization", "secret"), ("Set-Cookie", "secret"), ("Server", "backend-17"), ("ETag", '"a"')]
    assert Sanitizer().of_answer(headers) == [("ETag", '"a"')]
    assert Sanitizer().of_request([("X-Api-Key", "secret"), ("Range", "bytes=0-1")]) == [("Range", "bytes=0-1")]


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("/demo/key", "/demo/key"),
        (
            "https://s3.test/demo/key?X-Amz-Signature=abc&X-Amz-Credential=a&versionId=v",
            "https://s3.test/demo/key?versionId=v",
        ),
        ("/demo/key?x-amz-signature=abc", "/demo/key"),
        ("/demo/key?x%2Damz%2Dsecurity%2Dtoken=abc&a=b", "/demo/key?a=b"),
        (f"/demo/key?{CUSTOMER_KEY}={KEY}", "/demo/key"),
    ],
)
def test_a_redirect_is_recorded_without_what_authenticates(location, kept):
    assert Sanitizer().of_answer([("Location", location)]) == [("Location", kept)]


@pytest.mark.parametrize("value", ["a;token=1", "x?X-Amz-Signature=abc", "password=1"])
def test_what_looks_like_a_secret_and_is_a_name_stays(value):
    assert queried(f"prefix={quote(value, safe='')}") == {"prefix": quote(value, safe="")}
    headers = [("x-amz-copy-source", f"/demo/{value}"), ("x-amz-meta-a", value)]
    assert Sanitizer().of_request(headers) == headers


def test_everything_else_of_a_query_stays_as_it_was_written():
    assert queried("prefix=a%2Fb%20%C3%A9&x-amz-meta-colour=a%20b") == {
        "prefix": "a%2Fb%20%C3%A9",
        "x-amz-meta-colour": "a%20b",
    }


def test_fields_of_forms_that_nobody_knows_are_not_recorded():
    fields = [
        ("key", "a"),
        ("Content-Type", "text/plain"),
        ("x-amz-meta-a", "b"),
        ("success_action_status", "201"),
        ("password", "secret"),
        ("x-ignore-token", "secret"),
        ("x-amz-mfa", "secret"),
        ("x-amz-date ", "secret"),
    ]
    assert Sanitizer().of_form(fields) == fields[:4]
