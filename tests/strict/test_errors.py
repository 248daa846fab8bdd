"""Errors: the store's own reach the client as they are, the gateway's own are what the store would have said."""

from __future__ import annotations

import http.client

import pytest

from support.raw_s3 import signed_headers
from support.strict import WRONG


@pytest.mark.parametrize(("method", "target"), [("PATCH", "key"), ("PUT", "root"), ("DELETE", "root")])
def test_a_method_that_is_not_allowed(same_as_direct, method, target):
    def call(side):
        side.send(method, "/" if target == "root" else side.target())

    answer = same_as_direct(call, own_answer=True)
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("PUT", "uploads", "InvalidArgument"),
        ("DELETE", "acl", "InvalidArgument"),
        ("POST", "acl", "MethodNotAllowed"),
        ("POST", "", "MethodNotAllowed"),
    ],
)
def test_what_is_no_operation_of_s3_is_refused_though_rgw_would_take_it(same_as_direct, method, query, code):
    """RGW puts, or deletes, the object: a validator would have been asked about something else."""
    _, through = same_as_direct.sides()
    assert through.send(method, through.target(query=query)).code == code


@pytest.mark.parametrize("operation", ["get_object", "put_object", "head_object", "delete_object", "get_object_acl"])
def test_a_bucket_that_does_not_exist(same_as_direct, operation):
    answer = same_as_direct(lambda side: side.ask(operation, "key", Bucket=side.new_bucket()))
    assert (answer.status, answer.code) == (404, "" if operation == "head_object" else "NoSuchBucket")


def test_an_upload_without_a_length(same_as_direct):
    def call(side):
        connection = http.client.HTTPConnection(side.host, timeout=60)
        try:
            signed = signed_headers("PUT", side.host, side.target(), {}, b"", *side.users["alice"])
            connection.putrequest("PUT", side.target(), skip_host=True, skip_accept_encoding=True)
            for name, value in signed.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            side.note("PUT", side.target(), "", answer.status, answer.headers.items(), answer.read())
        finally:
            connection.close()

    answer = same_as_direct(call, own_answer=True)
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_a_body_that_is_not_the_one_that_was_signed(same_as_direct):
    def call(side):
        signed = signed_headers("PUT", side.host, side.target(), {}, b"body", *side.users["alice"])
        side.send_unsigned("PUT", side.target(), signed, b"ydob")

    answer = same_as_direct(call, own_answer=True)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize(
    ("who", "code"),
    [((WRONG.access_key, WRONG.secret_key), "InvalidAccessKeyId"), (None, "SignatureDoesNotMatch")],
    ids=["unknown key", "wrong secret"],
)
def test_somebody_who_is_not_known(same_as_direct, who, code):
    """RGW says AccessDenied to a wrong secret while STS is on; the gateway says what AWS says."""

    def call(side):
        side.users = {**side.users, "wrong": who or (side.users["alice"][0], WRONG.secret_key)}
        side.send("GET", side.target(), user="wrong")

    direct, through = same_as_direct.sides()
    call(direct)
    call(through)
    assert (direct.exchanges[-1].status, through.exchanges[-1].status) == (403, 403)
    assert direct.exchanges[-1].code in (code, "AccessDenied")
    assert through.exchanges[-1].code == code


@pytest.mark.parametrize("document", [b"", b"<broken", b"{}", b"<Wrong/>"])
def test_a_batch_of_deletions_that_cannot_be_read(same_as_direct, document):
    """RGW's answer has no document; the gateway has to read the keys itself, and says so."""
    direct, through = same_as_direct.sides()
    for side in (direct, through):
        side.send("POST", f"/{side.bucket}?delete", body=document)
    assert direct.exchanges[-1].status == through.exchanges[-1].status == 400
    assert through.exchanges[-1].code == "MalformedXML"


def test_an_unknown_query_parameter(same_as_direct):
    def call(side):
        side.put()
        side.send("GET", side.target(query="x-id=GetObject"))

    assert same_as_direct(call).status == 200


@pytest.mark.parametrize("query", ["torrent", "restore", "attributes"])
def test_what_rgw_does_not_do(same_as_direct, query):
    def call(side):
        side.put()
        headers = {"x-amz-object-attributes": "ETag"} if query == "attributes" else {}
        side.send("POST" if query == "restore" else "GET", side.target(query=query), headers)

    assert same_as_direct(call).status in (200, 400, 404, 405, 501)


def test_the_gateways_own_answers_carry_a_date(same_as_direct):
    """RFC 9110, section 6.6.1: whoever has a clock generates it; SDKs correct their own clock by it."""
    _, through = same_as_direct.sides()
    through.users = {"nobody": ("nobody", "nobody-fake-secret")}
    answer = through.send("GET", through.target(), user="nobody")
    assert answer.status == 403
    assert answer.header("date") is not None
