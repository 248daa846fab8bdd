"""Unusual keys: each is stored, read, listed, copied and deleted as it is straight against the store."""

from __future__ import annotations

import pytest

KEYS = [
    "a b",
    "  spaces around  ",
    "a+b",
    "a%20b",
    "a%2Fb",
    "100%",
    "%zz",
    "ü/ñ/漢字",
    "e\u0301 is not é",
    "😀",
    "&=?#;:@!$'()*,",
    '"quoted" and <tagged> &amp;',
    "a\\b",
    "~.-_",
    "a//b",
    "/leading",
    "//leading",
    "trailing/",
    "trailing//",
    "a/./b",
    "a/../b",
    "../up",
    "..",
    "a/..",
    "a/.",
    "x" * 900,
    "ü" * 450,
    "?acl",
    "acl?versionId=1",
    "del\x7f",
    "tab\ttab",
]


def everything(side, name):
    side.put(name, name.encode())
    side.get(name)
    side.ask("head_object", name)
    side.ask("copy_object", f"{name}.copy", CopySource={"Bucket": side.bucket, "Key": side.key(name)})
    side.get(f"{name}.copy")
    side.ask("list_objects_v2", Prefix=side.prefix)
    side.ask("list_objects_v2", Prefix=side.prefix, EncodingType="url")
    side.ask("delete_object", name)
    side.tried("get_object", name)
    side.ask("delete_objects", Delete={"Objects": [{"Key": side.key(f"{name}.copy")}]})
    side.ask("list_objects_v2", Prefix=side.prefix)


@pytest.mark.parametrize("name", KEYS, ids=ascii)
def test_a_key_is_the_same_to_both(same_as_direct, name):
    answer = same_as_direct(lambda side: everything(side, name))
    assert (answer.status, answer.element("KeyCount")) == (200, "0")


@pytest.mark.parametrize("key", ["/", "//", "..", ".", "/../", "k" * 1024, "ü" * 512, "%" * 1024])
def test_a_key_without_a_prefix_is_the_same_to_both(same_as_direct, own_buckets, key):
    def call(side):
        side.s3().put_object(Bucket=side.bucket, Key=key, Body=b"body")
        side.s3().get_object(Bucket=side.bucket, Key=key)
        side.s3().list_objects_v2(Bucket=side.bucket)

    answer = same_as_direct(call)
    assert (answer.status, answer.element("KeyCount")) == (200, "1")


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 513])
def test_a_key_that_is_too_long(same_as_direct, key):
    def call(side):
        side.s3().put_object(Bucket=side.bucket, Key=key, Body=b"body")

    answer = same_as_direct(call, own_answer=True)
    assert (answer.status, answer.code) == (400, "KeyTooLongError")


def test_a_key_that_xml_cannot_carry(same_as_direct):
    def call(side):
        side.put("\x01", b"body")
        side.ask("list_objects_v2", Prefix=side.prefix, EncodingType="url")
        side.get("\x01")

    assert same_as_direct(call).body == b"body"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%61bc", "abc"),
        ("%7Etilde", "~tilde"),
        ("a%c3%bc", "a%C3%BC"),
        *((f"a{sign}b", f"a%{ord(sign):02X}b") for sign in ":,()'!=@*+;$&"),
    ],
)
def test_one_key_in_several_spellings(same_as_direct, written, canonical):
    """Encoded more or less than need be: the signature is over the canonical form, the key is the decoded one."""

    def call(side):
        place = f"/{side.bucket}/{side.prefix}"
        side.send("PUT", place + written, body=b"body", signed_as=place + canonical)
        side.ask("list_objects_v2", Prefix=side.prefix)

    answer = same_as_direct(call)
    assert (answer.status, answer.element("KeyCount")) == (200, "1")
