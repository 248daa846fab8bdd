"""Which bucket and which key a path and a Host header mean."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.address import AddressingStyle, Resource, Scope, bucket_of_host, is_path_like, locate, split_port
from osp_gateway.s3.errors import S3Error
from support.oracle import generated, keys

DOMAINS = ("osp.localhost", "s3.example.test")
HOST = "gateway.example.test:6190"
PATH, VIRTUAL = AddressingStyle.PATH, AddressingStyle.VIRTUAL


def at(path: str, host: str = HOST, domains: tuple[str, ...] = DOMAINS) -> Resource:
    return locate(path, host, domains)


def refused(path: str, host: str = HOST) -> str:
    with pytest.raises(S3Error) as caught:
        at(path, host)
    assert caught.value.status == 400
    return caught.value.code


@pytest.mark.parametrize(
    ("path", "bucket", "key", "canonical_key"),
    [
        ("/", "", "", ""),
        ("/bucket", "bucket", "", ""),
        ("/bucket/", "bucket", "", ""),
        ("/bucket/key", "bucket", "key", "key"),
        ("/bucket/a/b", "bucket", "a/b", "a/b"),
        ("/bucket/a/", "bucket", "a/", "a/"),
        ("/bucket//", "bucket", "/", "/"),
        ("/bucket//a//b", "bucket", "/a//b", "/a//b"),
        ("/bucket/.", "bucket", ".", "."),
        ("/bucket/../other/key", "bucket", "../other/key", "../other/key"),
        ("/bucket/%2E%2E/key", "bucket", "../key", "../key"),
        ("/bucket/a%2Fb", "bucket", "a/b", "a/b"),
        ("/bucket/a%2fb", "bucket", "a/b", "a/b"),
        ("/bucket/a+b", "bucket", "a+b", "a%2Bb"),
        ("/bucket/a%20b", "bucket", "a b", "a%20b"),
        ("/bucket/a b", "bucket", "a b", "a%20b"),
        ("/bucket/%41", "bucket", "A", "A"),
        ("/bucket/%2541", "bucket", "%41", "%2541"),
        ("/bucket/%C3%A9", "bucket", "é", "%C3%A9"),
        ("/bucket/Ã©", "bucket", "é", "%C3%A9"),
        ("/bucket/%f0%9d%84%9e", "bucket", "𝄞", "%F0%9D%84%9E"),
        ("/bucket/a#b;c", "bucket", "a#b;c", "a%23b%3Bc"),
        ("/bucket/%00", "bucket", "\0", "%00"),
        ("/%62ucket/key", "bucket", "key", "key"),
        ("/Bucket.with-all_signs/key", "Bucket.with-all_signs", "key", "key"),
    ],
)
def test_path_style(path: str, bucket: str, key: str, canonical_key: str) -> None:
    found = at(path)

    assert (found.bucket, found.key, found.canonical_key, found.style) == (bucket, key, canonical_key, PATH)


@pytest.mark.parametrize(
    ("path", "host", "bucket", "key"),
    [
        ("/", "bucket.osp.localhost", "bucket", ""),
        ("/key", "bucket.osp.localhost:6190", "bucket", "key"),
        ("/a/b", "bucket.s3.example.test", "bucket", "a/b"),
        ("//a", "bucket.osp.localhost", "bucket", "/a"),
        ("/bucket/key", "bucket.osp.localhost", "bucket", "bucket/key"),
        ("/key", "Bucket.OSP.LocalHost", "bucket", "key"),
        ("/key", "BUCKET.osp.localhost:443", "bucket", "key"),
        ("/key", "bucket.osp.localhost:", "bucket", "key"),
        ("/key", "a.b.c.osp.localhost", "a.b.c", "key"),
        ("/../key", "bucket.osp.localhost", "bucket", "../key"),
    ],
)
def test_virtual_hosted_style(path: str, host: str, bucket: str, key: str) -> None:
    found = at(path, host)

    assert (found.bucket, found.key, found.style) == (bucket, key, VIRTUAL)
    assert found.canonical_path == path


@pytest.mark.parametrize(
    "host",
    [
        "osp.localhost",
        "osp.localhost:6190",
        "OSP.localhost",
        "notosp.localhost",
        "bucket.notosp.localhost",
        "osp.localhost.evil.test",
        "bucket.osp.localhost.evil.test",
        "127.0.0.1",
        "127.0.0.1:6190",
        "[::1]",
        "[::1]:6190",
        "[2001:db8::1]:443",
        "localhost",
    ],
)
def test_any_other_host_means_path_style(host: str) -> None:
    found = at("/bucket/key", host)

    assert (found.bucket, found.key, found.style) == ("bucket", "key", PATH)


@pytest.mark.parametrize("domains", [("osp.localhost", "eu.osp.localhost"), ("eu.osp.localhost", "osp.localhost")])
@pytest.mark.parametrize(
    ("host", "bucket"),
    [("b.eu.osp.localhost", "b"), ("b.osp.localhost", "b"), ("eu.osp.localhost", None), ("osp.localhost", None)],
)
def test_of_nested_domains_the_longest_counts(domains: tuple[str, ...], host: str, bucket: str | None) -> None:
    assert bucket_of_host(host, domains) == bucket


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("a.test", "a.test", ""),
        ("a.test:80", "a.test", "80"),
        ("a.test:", "a.test", ""),
        ("a.test:http", "a.test:http", ""),
        ("[::1]", "[::1]", ""),
        ("[::1]:80", "[::1]", "80"),
        ("[::1]:", "[::1]", ""),
        ("::1", "::1", ""),
        ("127.0.0.1:6190", "127.0.0.1", "6190"),
        ("", "", ""),
    ],
)
def test_a_port_is_split_off_a_host(host: str, name: str, port: str) -> None:
    assert split_port(host) == (name, port)


@pytest.mark.parametrize(
    ("path", "scope"),
    [("/", Scope.ROOT), ("/b", Scope.BUCKET), ("/b/", Scope.BUCKET), ("/b/k", Scope.OBJECT), ("/b//", Scope.OBJECT)],
)
def test_a_path_is_about_the_root_a_bucket_or_an_object(path: str, scope: Scope) -> None:
    assert at(path).scope is scope


def test_the_root_of_a_virtual_host_is_its_bucket() -> None:
    assert at("/", "bucket.osp.localhost").scope is Scope.BUCKET


@pytest.mark.parametrize("path", ["", "bucket/key", "*", "http://other.test/bucket/key", "%2Fbucket"])
def test_a_target_that_is_no_path_is_refused(path: str) -> None:
    assert refused(path) == "InvalidURI"


@pytest.mark.parametrize("path", ["/b/%", "/b/%4", "/b/%zz", "/b/100%", "/%", "/b/%u0041", "/b/% 41"])
def test_broken_percent_encoding_is_refused(path: str) -> None:
    assert refused(path) == "InvalidURI"


@pytest.mark.parametrize("path", ["/b/%FF", "/b/%C3", "/b/%C0%AF", "/b/%ED%A0%80", "/b/\xff", "/b/%F5%80%80%80"])
def test_a_key_that_is_not_utf_8_is_refused(path: str) -> None:
    assert refused(path) == "InvalidURI"


@pytest.mark.parametrize(
    "path",
    [
        "//key",
        "/./key",
        "/../key",
        "/%2E%2E/key",
        "/%2Fkey",
        "/-bucket/key",
        "/.bucket/key",
        "/buck%20et/key",
        "/buck%00et/key",
        "/b%C3%A9/key",
        "/b%0A/key",
        "/b%25/key",
        "/b:80/key",
        "/user@b/key",
        "/" + "b" * 256 + "/key",
    ],
)
def test_a_bad_bucket_name_is_refused(path: str) -> None:
    assert refused(path) == "InvalidBucketName"


@pytest.mark.parametrize("host", [".osp.localhost", "-.osp.localhost", "a/b.osp.localhost", "é.osp.localhost"])
def test_a_bad_bucket_name_in_the_host_is_refused(host: str) -> None:
    assert refused("/key", host) == "InvalidBucketName"


@pytest.mark.parametrize("character", ["k", "é", "€", "𝄞"])
def test_a_key_may_have_1024_octets_and_no_more(character: str) -> None:
    size = len(character.encode())
    longest = character * (1024 // size) + "k" * (1024 % size)
    escaped = "".join(f"%{octet:02X}" for octet in longest.encode())

    assert at(f"/bucket/{escaped}").key == longest
    assert refused(f"/bucket/{escaped}k") == "KeyTooLongError"


@pytest.mark.parametrize("key", [".", "..", "a/.", "a/..", "./a", "../a", "a/../b", "a/./b", "/..", "../", "/", "//"])
def test_dot_segments_and_keys_of_slashes_alone_are_like_paths(key: str) -> None:
    assert is_path_like(key)


@pytest.mark.parametrize("key", ["", "a", "...", "a.b", ".a", "a..", "a/.../b", "..a/b", "%2E", "/a", "a/", "a//b"])
def test_other_keys_are_not_like_paths(key: str) -> None:
    assert not is_path_like(key)


@generated
@given(st.text(st.characters(max_codepoint=255), max_size=30), st.text(st.characters(max_codepoint=255), max_size=30))
def test_every_path_and_host_is_understood_or_refused(path: str, host: str) -> None:
    try:
        found = at("/" + path, host)
    except S3Error as error:
        assert error.status == 400
    else:
        assert bool(found.bucket) or not found.key


@generated
@given(keys)
def test_a_key_comes_back_from_its_canonical_form(key: str) -> None:
    found = at("/bucket/" + quote(key, safe="/~"))

    assert found.key == key
    assert unquote(found.canonical_key) == key
    assert found.canonical_path == "/bucket/" + found.canonical_key
    assert at(found.canonical_path) == found
