"""The measure itself: it finds what is not the same, and overlooks nothing but what it is told to."""

from __future__ import annotations

import pytest

from support.exchanges import OWN_ANSWER, PERMITTED, Side, compare, rules

HEADERS = (("content-type", "application/xml"), ("date", "today"), ("etag", '"e"'), ("x-amz-request-id", "1"))


def document(version="v1", inner=""):
    return f"<A><RequestId>1</RequestId><VersionId>{version}</VersionId><Key>k</Key>{inner}</A>".encode()


def sides():
    return Side("d", "http://127.0.0.1:1", {}, "bucket-d", "p/"), Side("g", "http://127.0.0.1:2", {}, "bucket-g", "p/")


def differences(ours, theirs, *, twins=True, own_answer=False):
    direct, through = sides()
    for side, exchanges in ((direct, ours), (through, theirs)):
        for status, headers, body in exchanges:
            side.note("GET", f"/{side.bucket}", "", status, headers, body)
    return compare(direct, through, rules(twins=twins, own_answer=own_answer))


def one(status=200, headers=HEADERS, body=None):
    return [(status, headers, document() if body is None else body)]


def changed(name, value):
    return tuple((n, value if n == name else v) for n, v in HEADERS)


def test_the_same_is_the_same():
    assert differences(one(), one()) == []


@pytest.mark.parametrize(
    "theirs",
    [
        one(status=206),
        one(headers=changed("etag", '"f"')),
        one(headers=(*HEADERS, ("x-extra", "1"))),
        one(headers=(*HEADERS, ("etag", '"e"'))),
        one(headers=HEADERS[:2]),
        one(body=document(inner="<B>1</B>")),
        one(body=document().replace(b"<Key>", b"<Key> ")),
        one(body=b""),
        [*one(), *one()],
        [],
    ],
)
def test_what_is_not_the_same_is_found(theirs):
    assert differences(one(), theirs)


@pytest.mark.parametrize(
    "theirs",
    [
        one(headers=changed("date", "tomorrow")),
        one(headers=changed("x-amz-request-id", "2")),
        one(headers=(*HEADERS, ("server", "osp"))),
        one(body=document().replace(b"<RequestId>1<", b"<RequestId>2<")),
    ],
)
def test_what_may_differ_is_overlooked(theirs):
    assert differences(one(), theirs) == []


def test_a_header_that_may_differ_must_still_be_there():
    assert differences(one(), one(headers=(HEADERS[0], *HEADERS[2:])))


def test_versions_are_compared_by_their_order_of_appearance():
    ours = [*one(body=document("v1")), *one(body=document("v2")), *one(body=document("v1"))]
    right = [*one(body=document("w7")), *one(body=document("w8")), *one(body=document("w7"))]
    wrong = [*one(body=document("w7")), *one(body=document("w8")), *one(body=document("w8"))]
    assert differences(ours, right) == []
    assert differences(ours, wrong)


def test_on_one_bucket_versions_have_to_be_equal():
    assert differences(one(body=document("v1")), one(body=document("v2")), twins=False)


def test_octets_that_are_no_document_are_compared_as_they_are():
    plain = (("content-type", "text/plain"),)
    assert differences(one(headers=plain, body=b"bucket-d"), one(headers=plain, body=b"bucket-g"))


def test_the_buckets_names_stand_for_one_another_in_documents():
    ours, theirs = document(inner="<Name>bucket-d</Name>"), document(inner="<Name>bucket-g</Name>")
    assert differences(one(body=ours), one(body=theirs)) == []


def test_a_length_is_not_compared_where_one_way_sends_chunks():
    chunked = (*HEADERS, ("transfer-encoding", "chunked"))
    counted = (*HEADERS, ("content-length", "1"))
    assert differences(one(headers=counted), one(headers=chunked)) == []
    assert differences(one(headers=counted), one(headers=HEADERS))


def test_the_gateways_own_answer_must_have_the_stores_code():
    def error(code, message):
        return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    ours = one(403, body=error("AccessDenied", ""))
    assert differences(ours, one(403, body=error("AccessDenied", "in other words")), own_answer=True) == []
    assert differences(ours, one(403, body=error("AccessDenied", "in other words")))
    assert differences(ours, one(403, body=error("NoSuchKey", "")), own_answer=True)


def test_every_difference_has_a_reason():
    assert all(len(rule.reason) > 10 for rule in (*PERMITTED, *OWN_ANSWER))
