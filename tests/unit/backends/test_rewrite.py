from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.rewrite import (
    HOP_BY_HOP,
    PROXY_HEADERS,
    REPLACED,
    CopySource,
    backend_headers,
    backend_path,
    read_copy_source,
    write_copy_source,
)
from osp_gateway.backends.routes import Destination, Endpoint
from osp_gateway.s3.address import AddressingStyle, Resource, locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead

DOMAINS = ("osp.localhost",)


def destination(style: AddressingStyle = AddressingStyle.VIRTUAL, bucket: str = "theirs") -> Destination:
    endpoint = Endpoint("store.example.test", 443, True)
    return Destination("demo" if bucket else "", bucket, endpoint, "us-east-1", style, True)


def headers(*pairs: Header, hoisted: dict[str, str] | None = None, copy_source: str | None = None) -> list[Header]:
    head = RequestHead("PUT", "/demo/key", "", (("Host", "gateway.example.test"), *pairs))
    return backend_headers(head, destination(), hoisted or {}, copy_source)


def test_the_host_is_the_backends() -> None:
    assert headers() == [("host", "theirs.store.example.test")]


def test_headers_keep_their_order_their_values_and_their_number() -> None:
    given_headers = [("Content-Type", "text/plain"), ("X-Thing", " a  b "), ("x-thing", "c"), ("Range", "bytes=0-1")]
    assert headers(*given_headers)[1:] == [(name.lower(), value) for name, value in given_headers]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | PROXY_HEADERS | REPLACED))
def test_a_header_that_is_not_for_the_backend_stays_behind(name: str) -> None:
    assert name not in dict(headers((name.title(), "fake"))[1:])


@pytest.mark.parametrize(
    "name",
    [
        "connection",
        "keep-alive",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "upgrade",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "authorization",
        "x-amz-security-token",
        "x-amz-copy-source",
    ],
)
def test_these_are_among_the_headers_that_stay_behind(name: str) -> None:
    assert name in HOP_BY_HOP | PROXY_HEADERS | REPLACED


@pytest.mark.parametrize(
    "name", ["x-amz-acl", "x-amz-meta-a", "content-md5", "if-none-match", "range", "content-length", "cache-control"]
)
def test_a_header_that_means_something_to_a_store_goes_along(name: str) -> None:
    assert (name, "value") in headers((name, "value"))


@pytest.mark.parametrize("value", ["close", "keep-alive", "Keep-Alive, X-Debug", "upgrade", ""])
def test_a_connection_header_stays_behind_with_what_it_names(value: str) -> None:
    assert headers(("Connection", value), ("X-Debug", "1")) == headers(
        *([] if "X-Debug" in value else [("X-Debug", "1")])
    )


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-acl",
        "X-Amz-Server-Side-Encryption",
        "range",
        "content-type",
        "content-md5",
        "content-length",
        "content-encoding",
        "content-disposition",
        "content-language",
        "cache-control",
        "expires",
        "if-none-match",
        "host",
        "authorization",
    ],
)
def test_a_connection_header_must_not_drop_what_means_something_to_a_store(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        headers(("Connection", name), (name, "value"))
    assert caught.value.code == "InvalidRequest"


@pytest.mark.parametrize("value", ["close, x-amz-acl", "close,X-AMZ-ACL ,", ",x-amz-acl\t"])
def test_a_connection_header_is_read_however_it_is_written(value: str) -> None:
    with pytest.raises(S3Error) as caught:
        headers(("Connection", value), ("x-amz-acl", "private"))
    assert caught.value.code == "InvalidRequest"


def test_every_one_of_several_connection_headers_is_looked_at() -> None:
    with pytest.raises(S3Error):
        headers(("Connection", "close"), ("Connection", "x-amz-acl"), ("x-amz-acl", "private"))


def test_headers_from_a_presigned_query_become_headers() -> None:
    assert ("x-amz-acl", "private") in headers(hoisted={"x-amz-acl": "private"})


def test_a_header_given_both_in_the_query_and_as_a_header_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        headers(("X-Amz-Acl", "public-read"), hoisted={"x-amz-acl": "private"})
    assert caught.value.code == "InvalidRequest"


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-security-token", "x-amz-date"])
def test_a_header_from_the_query_that_is_made_anew_stays_behind(name: str) -> None:
    assert headers(hoisted={name: "value"}) == headers()


@pytest.mark.parametrize(
    "name", ["x-goog-copy-source", "x-oss-copy-source", "X-Cos-Copy-Source", "x-obs-copy-source-range"]
)
def test_a_copy_source_in_another_stores_dialect_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        headers((name, "/other/secret"))
    assert caught.value.code == "InvalidArgument"


def test_the_copy_source_is_the_rewritten_one() -> None:
    sent = headers(("x-amz-copy-source", "/demo/secret"), copy_source="theirs/secret")
    assert [value for name, value in sent if name == "x-amz-copy-source"] == ["theirs/secret"]


@pytest.mark.parametrize(
    ("written", "bucket", "key", "version", "sent"),
    [
        ("demo/key", "demo", "key", (), "theirs/key"),
        ("/demo/key", "demo", "key", (), "theirs/key"),
        ("demo/a/b//c/", "demo", "a/b//c/", (), "theirs/a/b//c/"),
        ("demo//key", "demo", "/key", (), "theirs//key"),
        ("demo%2Fkey", "demo", "key", (), "theirs/key"),
        ("%2Fdemo%2Fkey", "demo", "key", (), "theirs/key"),
        ("demo/a%20b", "demo", "a b", (), "theirs/a%20b"),
        ("demo/a b", "demo", "a b", (), "theirs/a%20b"),
        ("demo/a+b", "demo", "a+b", (), "theirs/a%2Bb"),
        ("demo/a%2Bb", "demo", "a+b", (), "theirs/a%2Bb"),
        ("demo/100%25", "demo", "100%", (), "theirs/100%25"),
        ("demo/%c3%a4", "demo", "ä", (), "theirs/%C3%A4"),
        ("demo/\xc3\xa4", "demo", "ä", (), "theirs/%C3%A4"),
        ("demo/what%3Fever", "demo", "what?ever", (), "theirs/what%3Fever"),
        ("demo/k?versionId=null", "demo", "k", (("versionId", "null"),), "theirs/k?versionId=null"),
        ("demo/k?versionId=a.b_c", "demo", "k", (("versionId", "a.b_c"),), "theirs/k?versionId=a.b_c"),
        ("demo/k%3FversionId=1", "demo", "k?versionId=1", (), "theirs/k%3FversionId%3D1"),
    ],
)
def test_a_copy_source_is_read_and_written_for_the_backend(
    written: str, bucket: str, key: str, version: tuple[tuple[str, str], ...], sent: str
) -> None:
    source = read_copy_source(written)
    assert source == CopySource(bucket, key, version)
    assert write_copy_source(source, destination()) == sent


@given(st.text(min_size=1, max_size=30).filter(lambda key: key < "\ud800" or key.isprintable()))
def test_what_is_written_for_the_backend_is_read_as_the_same_source(key: str) -> None:
    source = CopySource("demo", key.encode("utf-8", "replace").decode(), (("versionId", "1"),))
    assert read_copy_source(write_copy_source(source, destination(bucket="demo"))) == source


@pytest.mark.parametrize(
    "written",
    [
        "",
        "/",
        "demo",
        "demo/",
        "/demo",
        "//key",
        "demo/k%",
        "demo/k%zz",
        "demo/%ff",
        "demo/k?versionId=1&versionId=2",
        "demo/k?versionId=1&acl",
        "demo/k?acl",
        "demo/k?",
        "demo/k?versionid=1",
        "demo/k?versionId=%",
        "http://demo/key",
        "../demo/key",
        "./demo/key",
        "%2e%2e/demo/key",
    ],
)
def test_a_copy_source_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(S3Error) as caught:
        read_copy_source(written)
    assert caught.value.code in ("InvalidArgument", "InvalidBucketName")


@pytest.mark.parametrize(
    "written",
    [
        "arn:aws:s3:us-east-1:123456789012:accesspoint/name/object/key",
        "arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint/name/object/key",
        "/arn:aws:s3:us-east-1:123456789012:accesspoint/name/object/key",
        "%61rn:aws:s3:us-east-1:123456789012:accesspoint/name/object/key",
    ],
)
def test_an_access_point_is_no_copy_source_however_it_is_written(written: str) -> None:
    with pytest.raises(S3Error) as caught:
        read_copy_source(written)
    assert caught.value.code == "NotImplemented"


def _resource(path: str, host: str = "gateway.example.test") -> Resource:
    return locate(path, host, DOMAINS)


@pytest.mark.parametrize("host", ["gateway.example.test", "demo.osp.localhost"])
@pytest.mark.parametrize(
    ("path", "virtual", "path_style"),
    [
        ("", "/", "/theirs"),
        ("key", "/key", "/theirs/key"),
        ("/key", "//key", "/theirs//key"),
        ("a//b/", "/a//b/", "/theirs/a//b/"),
        ("a%20b%2bc+d", "/a%20b%2Bc%2Bd", "/theirs/a%20b%2Bc%2Bd"),
        ("%c3%a4", "/%C3%A4", "/theirs/%C3%A4"),
        ("demo/key", "/demo/key", "/theirs/demo/key"),
    ],
)
def test_either_style_in_becomes_either_style_out(host: str, path: str, virtual: str, path_style: str) -> None:
    resource = _resource("/" + path if "demo" in host else "/demo/" + path, host)
    assert backend_path(resource, destination()) == virtual
    assert backend_path(resource, destination(AddressingStyle.PATH)) == path_style


@pytest.mark.parametrize("key", ["..", "../x", "a/../../x", "./x", "a/.", "/", "//"])
def test_under_path_style_a_copy_source_must_not_climb_out_of_its_bucket(key: str) -> None:
    with pytest.raises(S3Error) as caught:
        write_copy_source(CopySource("demo", key, ()), destination(AddressingStyle.PATH))
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("style", list(AddressingStyle))
def test_the_root_stays_the_root(style: AddressingStyle) -> None:
    assert backend_path(_resource("/"), destination(style, bucket="")) == "/"


@pytest.mark.parametrize(
    "path",
    ["/demo/..", "/demo/../other/key", "/demo/a/../../other", "/demo/.", "/demo/%2e%2e/other", "/demo/a%2F..%2Fb"],
)
def test_under_path_style_a_key_must_not_climb_out_of_its_bucket(path: str) -> None:
    with pytest.raises(S3Error) as caught:
        backend_path(_resource(path), destination(AddressingStyle.PATH))
    assert caught.value.code == "InvalidURI"


@pytest.mark.parametrize("path", ["/demo/...", "/demo/a..b", "/demo/..a", "/demo/.hidden", "/demo/a./b"])
def test_dots_that_are_no_segment_of_their_own_are_ordinary(path: str) -> None:
    assert backend_path(_resource(path), destination(AddressingStyle.PATH)) == path.replace("demo", "theirs", 1)


def test_under_virtual_hosted_style_dot_segments_are_kept() -> None:
    assert backend_path(_resource("/demo/a/../b"), destination()) == "/a/../b"
