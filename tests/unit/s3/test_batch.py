from __future__ import annotations

import tracemalloc

import pytest

from osp_gateway.s3.batch import MAX_BODY_OCTETS, MAX_OBJECTS, ObjectName, read_delete
from osp_gateway.s3.errors import S3Error

ONE = b"<Object><Key>a</Key></Object>"


def delete(inner: bytes) -> bytes:
    return b"<Delete>" + inner + b"</Delete>"


def refusal(body: bytes) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read_delete(body)
    assert caught.value.code == "MalformedXML"
    return caught.value


def test_keys_are_what_their_references_stand_for():
    key = b"&#x26;&lt;" + "é".encode() + b"\n&#10;"
    body = delete(b"<Object><Key>" + key + b"</Key><VersionId>v</VersionId></Object><Quiet>true</Quiet>" + ONE)
    assert read_delete(body) == (ObjectName("&<é\n\n", "v"), ObjectName("a", None))


def test_a_key_of_nothing_but_references_is_read_whole():
    body = delete(b"<Object><Key>" + b"&#x41;" * 1024 + b"</Key></Object>")
    assert read_delete(body) == (ObjectName("A" * 1024, None),)


@pytest.mark.parametrize("inner", [b"", ONE * (MAX_OBJECTS + 1)])
def test_none_and_too_many_objects_are_refused(inner):
    refusal(delete(inner))


def test_as_many_objects_as_allowed_are_read():
    assert len(read_delete(delete(ONE * MAX_OBJECTS))) == MAX_OBJECTS


@pytest.mark.parametrize(
    "inner",
    [
        b"<Quiet>" + ONE + b"</Quiet>" + ONE,
        b"<Object><Key>a<b/></Key></Object>",
        b"<Object><Key>a</Key><Key>b</Key></Object>",
        b"<Object><Key/></Object>",
        b"<Object/>",
        b"<Object a='b'><Key>a</Key></Object>",
        b"<Other/>" + ONE,
        b"<Object xmlns='urn:other'><Key>a</Key></Object>",
        ONE + b"</Delete><Delete>",
        ONE + b"&unknown;",
    ],
)
def test_what_another_reader_could_read_otherwise_is_refused(inner):
    refusal(delete(inner))


@pytest.mark.parametrize(
    "body",
    [
        delete(b"<a/>" * (MAX_BODY_OCTETS // 4 - 8)),
        b"<Delete>" + b"<a>" * (MAX_BODY_OCTETS // 3 - 8),
        b"<Delete " + b" ".join(b'a%x=""' % number for number in range(300_000)) + b"/>",
        b'<Delete a=">" ' + b" ".join(b'a%x=""' % number for number in range(300_000)) + b"/>",
    ],
    ids=["elements", "depth", "attributes", "attributes after a greater-than sign"],
)
def test_a_document_of_markup_takes_no_multiple_of_its_octets(body):
    tracemalloc.start()
    try:
        refusal(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY_OCTETS
    finally:
        tracemalloc.stop()
