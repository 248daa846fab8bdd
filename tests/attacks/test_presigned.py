"""Presigned URLs in the wrong hands: good for what they were made for, and for nothing else."""

import pytest

from support.signing import Raw, presigned, signed

ABUSED = {
    "another method": lambda r: r.but(method="DELETE"),
    "HEAD": lambda r: r.but(method="HEAD"),
    "another key": lambda r: r.but(target=r.target.replace("key?", "another?")),
    "another bucket": lambda r: r.but(target=r.target.replace("/demo/", "/other/")),
    "another host": lambda r: r.with_changed("host", lambda _: "another.test"),
    "an unsigned x-amz-copy-source": lambda r: r.plus("x-amz-copy-source", "/other/key"),
    "an unsigned x-amz-acl": lambda r: r.plus("x-amz-acl", "public-read"),
    "an unsigned x_amz_copy_source": lambda r: r.plus("x_amz_copy_source", "/other/key"),
    "x-amz-copy-source in the query": lambda r: r.but(target=r.target + "&x-amz-copy-source=%2Fother%2Fkey"),
    "uploadId added": lambda r: r.but(target=r.target + "&partNumber=1&uploadId=u"),
    "uploadId added in front": lambda r: r.but(target=r.target.replace("?", "?partNumber=1&uploadId=u&")),
    "acl added": lambda r: r.but(target=r.target + "&acl"),
    "an unknown parameter added": lambda r: r.but(target=r.target + "&foo=bar"),
    "a longer life": lambda r: r.but(target=r.target.replace("X-Amz-Expires=600", "X-Amz-Expires=6000")),
    "a second life": lambda r: r.but(target=r.target + "&X-Amz-Expires=6000"),
    "a second life in lower case": lambda r: r.but(target=r.target + "&x-amz-expires=6000"),
    "a second signature": lambda r: r.but(target=r.target + "&X-Amz-Signature=" + "0" * 64),
    "another credential": lambda r: r.but(target=r.target.replace("client-fake-key", "second-fake-key")),
    "no expiry": lambda r: r.but(target=r.target.replace("X-Amz-Expires=600&", "")),
    "an unknown algorithm": lambda r: r.but(target=r.target.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")),
    "an encoded parameter name twice": lambda r: r.but(target=r.target + "&X-Amz-%45xpires=6000"),
}


@pytest.mark.parametrize("abuse", ABUSED)
def test_a_presigned_upload_is_good_for_nothing_else(target, abuse):
    answer = target.ask(ABUSED[abuse](presigned(target.port, "PUT", target.path, b"body")))
    assert answer.status in (400, 403), answer
    target.assert_nothing_left()


def test_the_same_url_unchanged_is_accepted(target):
    assert target.ask(presigned(target.port, "PUT", target.path, b"body")).status == 200
    assert target.only_request() == target.path


def test_nothing_of_the_authentication_reaches_the_store(target):
    target.ask(presigned(target.port, "GET", target.path))
    (seen,) = target.recorder.requests
    assert b"x-amz-signature" not in seen.head.lower().partition(b"\r\n")[0]
    assert b"client-fake-key" not in seen.head


@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Expires", "x-amz-credential"])
def test_a_header_signature_does_not_go_with_parameters_of_a_presigned_url(target, name):
    answer = target.ask(signed(target.port, "GET", f"{target.path}?{name}=1"))
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    target.assert_nothing_left()


def test_both_kinds_of_signature_at_once_are_refused(target):
    url = presigned(target.port, "GET", target.path)
    header = signed(target.port, "GET", target.path)
    answer = target.ask(Raw("GET", url.target, header.headers))
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    target.assert_nothing_left()


@pytest.mark.parametrize("name", ["x-amz-acl", "X-Amz-Copy-Source", "x-amz-meta-a"])
def test_amz_headers_in_the_query_are_for_presigned_urls_only(target, name):
    answer = target.ask(signed(target.port, "PUT", f"{target.path}?{name}=public-read", b"body"))
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    target.assert_nothing_left()


@pytest.mark.parametrize("source", ["%2Fforbidden%2Fkey", "demo%2Fdenied%2Fkey"])
def test_a_copy_source_in_a_presigned_query_is_authorized(target, source):
    answer = target.ask(presigned(target.port, "PUT", f"{target.path}?x-amz-copy-source={source}"))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    target.assert_nothing_left()


def test_a_copy_source_must_not_come_twice_in_query_and_header(target):
    query = "?x-amz-copy-source=%2Fother%2Fkey"
    request = presigned(target.port, "PUT", target.path + query, headers=(("x-amz-copy-source", "/forbidden/key"),))
    assert target.ask(request).status in (400, 403)
    target.assert_nothing_left()


def test_an_acl_must_not_come_twice_in_query_and_header(target):
    request = presigned(target.port, "PUT", target.path + "?x-amz-acl=private", headers=(("x-amz-acl", "public-read"),))
    assert target.ask(request).status == 400
    target.assert_nothing_left()
