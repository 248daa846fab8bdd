from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.batch import MAX_BODY_OCTETS, MAX_OBJECTS, DeleteRequest, ObjectName, read_delete
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
    assert read_delete(body) == DeleteRequest((ObjectName("&<é\n\n", "v"), ObjectName("a", None)), quiet=True)


def test_a_key_of_nothing_but_references_is_read_whole():
    body = delete(b"<Object><Key>" + b"&#x41;" * 1024 + b"</Key></Object>")
    assert read_delete(body).objects == (ObjectName("A" * 1024, None),)


XML_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda char: char >= " " or char in "\t\n\r"
)
TEXTS = st.text(XML_CHARACTERS, min_size=1, max_size=20)


@given(st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=5), st.booleans())
def test_what_is_written_is_read_again_as_it_was_meant(names, quiet):
    request = DeleteRequest(tuple(ObjectName(key, version) for key, version in names), quiet)
    assert read_delete(request.document()) == request


def test_conditions_stay_with_their_object():
    body = delete(b"<Object><Key>a</Key><ETag>&quot;e&quot;</ETag><Size>3</Size></Object>")
    request = read_delete(body)
    assert request.objects[0].conditions == (("ETag", '"e"'), ("Size", "3"))
    assert read_delete(request.document()) == request


@pytest.mark.parametrize(("text", "quiet"), [(b"true", True), (b"True", True), (b"1", True), (b"false", False)])
def test_whether_the_answer_is_to_be_quiet(text, quiet):
    assert read_delete(delete(ONE + b"<Quiet>" + text + b"</Quiet>")).quiet is quiet


@pytest.mark.parametrize("inner", [b"", ONE * (MAX_OBJECTS + 1)])
def test_none_and_too_many_objects_are_refused(inner):
    refusal(delete(inner))


def test_as_many_objects_as_allowed_are_read():
    assert len(read_delete(delete(ONE * MAX_OBJECTS)).objects) == MAX_OBJECTS


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
