from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.responses import MAX_ELEMENT_OCTETS, OBJECT_OPERATIONS, ResponseNames, XmlNameRewriter

LOCATION = "http://gateway.example.test/demo/a%20b"


def names_of(backend: str, path: str = "/demo/a%20b") -> ResponseNames:
    return ResponseNames(backend, "demo", "http", "gateway.example.test", path)


NAMES = names_of("theirs")
SAME = names_of("demo")


def rewritten(document: bytes, *pieces: bytes, names: ResponseNames = NAMES) -> bytes:
    rewriter = XmlNameRewriter(names)
    return b"".join(rewriter.feed(piece) for piece in (document, *pieces)) + rewriter.finish()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"<Name>theirs</Name>", b"<Name>demo</Name>"),
        (b"<Bucket>theirs</Bucket>", b"<Bucket>demo</Bucket>"),
        (b"<BucketName>theirs</BucketName>", b"<BucketName>demo</BucketName>"),
        (b"<Name>theirs2</Name>", b"<Name>theirs2</Name>"),
        (b"<Name></Name>", b"<Name></Name>"),
        (b"<Key>theirs</Key>", b"<Key>theirs</Key>"),
        (b"<Prefix>theirs/</Prefix>", b"<Prefix>theirs/</Prefix>"),
        (b"<Resource>/theirs/k</Resource>", b"<Resource>/demo/k</Resource>"),
        (b"<Resource>/theirs</Resource>", b"<Resource>/demo</Resource>"),
        (b"<Resource>/theirs2/k</Resource>", b"<Resource>/theirs2/k</Resource>"),
        (b"<Resource>/k/theirs</Resource>", b"<Resource>/k/theirs</Resource>"),
        (b"<Location>http://theirs.store.example.test/a%20b</Location>", f"<Location>{LOCATION}</Location>".encode()),
        (b"<LocationConstraint>theirs</LocationConstraint>", b"<LocationConstraint>theirs</LocationConstraint>"),
        (b"<Name>theirs</Bucket>", b"<Name>theirs</Bucket>"),
        (b"theirs", b"theirs"),
        (b"", b""),
    ],
)
def test_names_of_the_backend_become_the_clients(document: bytes, expected: bytes) -> None:
    assert rewritten(document) == expected


@pytest.mark.parametrize("entity", ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#39;", "&#34;", "&#xe4;"])
def test_entities_in_a_mapped_element_stand_for_the_same_characters_as_before(entity: str) -> None:
    before = f"<Resource>/theirs/a{entity}b</Resource>"
    after = rewritten(before.encode()).decode()
    assert ElementTree.fromstring(after).text == ElementTree.fromstring(before).text.replace("theirs", "demo")


def test_the_clients_name_and_location_are_escaped() -> None:
    names = names_of("theirs", "/demo/a&b<c")
    after = rewritten(b"<Location>http://theirs.example.test/x</Location>", names=names)
    assert ElementTree.fromstring(after).text == names.location


NAMED = ["Name", "Bucket", "BucketName", "Location", "Resource", "Key", "Names", "name"]
TEXTS = ["theirs", "theirs2", "/theirs/k", "/theirs", "http://theirs.example.test/k", "a&amp;b", "", "x" * 40, "ä"]
element = st.builds(lambda name, text: f"<{name}>{text}</{name}>", st.sampled_from(NAMED), st.sampled_from(TEXTS))
debris = st.sampled_from(
    ["<", "<N", "</Name", "<Name", "<Name>", ">", "theirs", "<Bucket/>", "<!-- -->", "\n", "<Name a='1'>"]
)
documents = st.lists(element | debris, max_size=12).map(lambda pieces: "".join(pieces).encode())


@given(documents, st.data())
def test_any_split_of_a_document_gives_the_same_as_the_whole(document: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=8)))
    pieces = [document[a:b] for a, b in pairwise([0, *cuts, len(document)])]
    assert rewritten(*pieces) == rewritten(document)


@given(documents)
def test_octet_by_octet_gives_the_same_as_the_whole(document: bytes) -> None:
    pieces = [document[n : n + 1] for n in range(len(document))]
    assert rewritten(b"", *pieces) == rewritten(document)


@given(st.binary(max_size=200).filter(lambda b: b"Location" not in b), st.integers(0, 200))
def test_without_names_of_the_backend_nothing_changes(document: bytes, cut: int) -> None:
    assert rewritten(document[:cut], document[cut:], names=names_of("no-such")) == document


def test_no_more_is_held_back_than_an_element() -> None:
    rewriter = XmlNameRewriter(NAMES)
    sent = sum(len(rewriter.feed(b"<Name>" + b"x" * 1000)) for _ in range(200))
    assert 200 * 1006 - sent <= MAX_ELEMENT_OCTETS + 1006


def test_an_opening_without_an_end_is_not_held_back_for_ever() -> None:
    rewriter = XmlNameRewriter(NAMES)
    rewriter.feed(b"<Name>")
    sent = sum(len(rewriter.feed(b"x" * 1000)) for _ in range(100))
    assert 100_006 - sent <= MAX_ELEMENT_OCTETS + 1000


XML = {"content-type": "application/xml"}


@pytest.mark.parametrize("operation", ["ListObjectsV2", "ListBuckets", "CompleteMultipartUpload", "CopyObject"])
def test_documents_of_renamed_buckets_are_looked_at(operation: str) -> None:
    assert NAMES.concerns(operation, 200, XML)


@pytest.mark.parametrize("operation", ["ListObjectsV2", "CopyObject", "GetObject"])
def test_documents_of_buckets_with_one_name_are_left_alone(operation: str) -> None:
    assert not SAME.concerns(operation, 200, XML)


def test_the_location_of_a_completed_upload_is_looked_at_in_any_case() -> None:
    assert SAME.concerns("CompleteMultipartUpload", 200, XML)


@pytest.mark.parametrize("operation", sorted(OBJECT_OPERATIONS))
@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize("fields", [XML, {}, {"content-type": "text/xml"}], ids=str)
def test_the_content_of_an_object_is_never_touched(operation: str, status: int, fields: dict[str, str]) -> None:
    assert not NAMES.concerns(operation, status, fields)


def test_get_object_is_an_operation_whose_body_is_content() -> None:
    assert "GetObject" in OBJECT_OPERATIONS


@pytest.mark.parametrize("status", [301, 403, 404, 500])
def test_errors_are_looked_at_even_where_content_was_asked_for(status: int) -> None:
    assert NAMES.concerns("GetObject", status, XML)


@pytest.mark.parametrize(
    "fields",
    [{"content-type": "application/json"}, {"content-type": "text/plain"}, {**XML, "content-encoding": "gzip"}],
)
def test_what_is_no_plain_xml_is_left_alone(fields: dict[str, str]) -> None:
    assert not NAMES.concerns("GetBucketPolicy", 200, fields)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/theirs", "/demo"),
        ("/theirs/", "/demo"),
        ("http://theirs.store.example.test/", LOCATION),
        ("https://store.example.test/theirs/a%20b", LOCATION),
    ],
)
def test_the_location_header_is_told_in_the_clients_terms(value: str, expected: str) -> None:
    assert NAMES.map_location(value) == expected
