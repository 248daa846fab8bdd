"""Path tricks: one resource to the authorizer and another to the store."""

import pytest

from support.raw import ask
from support.signing import presigned, signed

CLIMBING = [
    "/demo/../forbidden/key",
    "/demo/%2e%2e/forbidden/key",
    "/demo/%2E%2E/forbidden/key",
    "/demo/.%2e/forbidden/key",
    "/demo/..%2Fforbidden/key",
    "/demo/%2e%2e%2fforbidden%2fkey",
    "/demo%2F..%2Fforbidden%2Fkey",
    "/demo/a/../../forbidden/key",
    "/demo/./key",
    "/demo/%2e/key",
    "/demo/a//../key",
    "/demo/..",
    "/demo/.",
]


@pytest.mark.parametrize("sign", [signed, presigned])
@pytest.mark.parametrize("path", CLIMBING)
def test_a_path_that_climbs_is_refused_when_signed_in_its_plain_form(target, path, sign):
    plain = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/")
    request = sign(target.port, "GET", plain)
    answer = target.ask(request.but(target=request.target.replace(plain, path, 1)))
    assert (answer.status, answer.code) == (400, "InvalidURI")
    target.assert_nothing_left()


@pytest.mark.parametrize("path", CLIMBING)
def test_a_path_that_climbs_is_refused_when_signed_as_sent(target, path):
    assert target.ask(signed(target.port, "GET", path)).status in (400, 403)
    target.assert_nothing_left()


def test_a_key_that_climbs_is_refused_in_virtual_host_style(target):
    answer = target.ask(signed(target.port, "GET", "/../forbidden/key", host="demo.osp.localhost"))
    assert (answer.status, answer.code) == (400, "InvalidURI")
    target.assert_nothing_left()


@pytest.mark.parametrize("segments", ["%252e%252e/forbidden", "%252e%252e%252fforbidden", "..%252fforbidden"])
def test_double_encoding_stays_double_encoded(target, segments):
    path = f"/demo/{target.prefix}{segments}"
    assert target.ask(signed(target.port, "GET", path)).status == 200
    assert target.only_request() == path


DENIED = ["/demo/denied/key", "/demo/denied%2Fkey", "/demo/%64enied/key", "/demo%2Fdenied%2fkey", "/d%65mo/denied/key"]


@pytest.mark.parametrize("path", DENIED)
def test_encoding_does_not_hide_a_key_from_the_authorizer(target, path):
    request = signed(target.port, "GET", "/demo/denied/key").but(target=path)
    assert (target.ask(request).status, target.ask(request).code) == (403, "AccessDenied")
    target.assert_nothing_left()


@pytest.mark.parametrize("path", ["/forbidden/key", "/%66orbidden/key", "/forbidden%2Fkey"])
def test_encoding_does_not_hide_a_bucket_from_the_authorizer(target, path):
    request = signed(target.port, "GET", "/forbidden/key").but(target=path)
    assert (target.ask(request).status, target.ask(request).code) == (403, "AccessDenied")
    target.assert_nothing_left()


@pytest.mark.parametrize("host", ["forbidden.osp.localhost", "FORBIDDEN.OSP.LOCALHOST", "forbidden.osp.localhost:80"])
def test_a_host_does_not_hide_a_bucket_from_the_authorizer(target, host):
    answer = target.ask(signed(target.port, "GET", f"/{target.prefix}key", host=host))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    target.assert_nothing_left()


@pytest.mark.parametrize(
    "host", [".osp.localhost", "a/b.osp.localhost", "forbidden%2e.osp.localhost", "*.osp.localhost"]
)
def test_a_host_that_names_no_bucket_is_refused(target, host):
    assert target.ask(signed(target.port, "GET", f"/{target.prefix}key", host=host)).status in (400, 403)
    target.assert_nothing_left()


@pytest.mark.parametrize(
    "path", ["//demo/key", "/../demo/key", "/%2e%2e/demo/key", "/demo%00/key", "/*/key", "/[d]emo/key"]
)
def test_a_bucket_name_with_other_characters_is_refused(target, path):
    assert target.ask(signed(target.port, "GET", path)).code == "InvalidBucketName"
    target.assert_nothing_left()


@pytest.mark.parametrize(
    "path", ["/demo/%", "/demo/%2", "/demo/%zz", "/demo/%ff", "/demo/%c0%ae%c0%ae/key", "/demo/\xff"]
)
def test_a_path_that_is_not_encoded_utf8_is_refused(target, path):
    assert target.ask(signed(target.port, "GET", "/demo/key").but(target=path)).code == "InvalidURI"
    target.assert_nothing_left()


@pytest.mark.parametrize("bucket", ["unknown", "Demo", "dem", "demo2"])
def test_an_unknown_bucket_does_not_exist(target, bucket):
    answer = target.ask(signed(target.port, "GET", f"/{bucket}/{target.prefix}key"))
    assert (answer.status, answer.code) == (404, "NoSuchBucket")
    target.assert_nothing_left()


@pytest.mark.parametrize("scheme", ["http://", "HTTP://"])
def test_an_absolute_target_is_the_same_as_its_path(target, scheme):
    request = signed(target.port, "GET", target.path)
    absolute = request.but(target=f"{scheme}127.0.0.1:{target.port}{target.path}")
    assert target.ask(absolute).status == 200
    assert target.only_request() == target.path


def test_an_absolute_target_does_not_choose_the_store(target):
    request = signed(target.port, "GET", target.path)
    answer = ask(target.port, request.but(target=f"http://127.0.0.1:{target.recorder.port}{target.path}").octets)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    target.assert_nothing_left()


@pytest.mark.parametrize("query", ["?acl", "?ACL", "?policy", "?tagging&acl", "?uploads&uploadId=u", "?torrent&acl"])
def test_a_subresource_is_what_the_authorizer_was_told(target, query):
    """Refused, or sent on under the one name that it was judged by."""
    answer = target.ask(signed(target.port, "GET", target.path + query))
    if query == "?acl":
        assert target.only_request() == target.path + query
    else:
        assert answer.status in (400, 501)
        target.assert_nothing_left()


COPY_SOURCES = {
    "forbidden bucket": "/forbidden/key",
    "forbidden bucket without a slash": "forbidden/key",
    "encoded bucket": "%66orbidden/key",
    "encoded slash": "forbidden%2Fkey",
    "encoded leading slash": "%2Fforbidden/key",
    "denied key": "/demo/denied/key",
    "encoded denied key": "/demo/denied%2Fkey",
    "with a version": "/forbidden/key?versionId=1",
    "climbing": "/demo/../forbidden/key",
    "climbing encoded": "/demo/%2e%2e/forbidden/key",
    "climbing with encoded slashes": "/demo/..%2Fforbidden%2Fkey",
    "two slashes": "//forbidden/key",
    "unknown bucket": "/unknown/key",
    "no key": "/demo",
    "empty": " ",
    "access point": "arn:aws:s3:us-east-1:123456789012:accesspoint/a/object/key",
    "another parameter": "/demo/key?acl",
    "two versions": "/demo/key?versionId=1&versionId=2",
}


@pytest.mark.parametrize("query", ["", "?partNumber=1&uploadId=u"])
@pytest.mark.parametrize("kind", COPY_SOURCES)
def test_a_copy_does_not_read_what_may_not_be_read(target, kind, query):
    headers = (("x-amz-copy-source", COPY_SOURCES[kind]),)
    answer = target.ask(signed(target.port, "PUT", target.path + query, headers=headers))
    assert answer.status >= 400
    target.assert_nothing_left()


@pytest.mark.parametrize("source", ["/other/key", "other/key", "/other/a%20key", "/other/key?versionId=1"])
def test_a_copy_of_what_may_be_read_is_sent_on(target, source):
    answer = target.ask(signed(target.port, "PUT", target.path, headers=(("x-amz-copy-source", source),)))
    assert answer.status == 200
    (seen,) = target.recorder.requests
    assert seen.header("x-amz-copy-source") == source.removeprefix("/")


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_a_copy_source_does_not_go_with_another_operation(target, method):
    headers = (("x-amz-copy-source", "/other/key"),)
    assert target.ask(signed(target.port, method, target.path, headers=headers)).status == 400
    target.assert_nothing_left()
