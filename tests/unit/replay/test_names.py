"""Names that a store makes up stand for those of the recording."""

from __future__ import annotations

import pytest

from osp_gateway.replay.names import Names, is_name
from support.exchanges_made import answer, document, request


@pytest.fixture
def names() -> Names:
    """`old` is called `new/1`, an entity tag `"aa"` is `"bb"`."""
    found = Names()
    found.learn("old", "new/1")
    found.learn('"aa"', '"bb"')
    return found


@pytest.mark.parametrize(
    "name", ["uploadId", "versionId", "continuation-token", "upload-id-marker", "version-id-marker"]
)
def test_a_name_in_the_query_is_replaced_and_encoded(names, name):
    assert names.in_request(request(query=((name, "old"), ("partNumber", "1")))).query == (
        (name, "new%2F1"),
        ("partNumber", "1"),
    )


@pytest.mark.parametrize("name", ["prefix", "marker", "start-after", "delimiter"])
def test_what_a_client_has_named_is_left_alone(names, name):
    assert names.in_request(request(query=((name, "old"),))).query == ((name, "old"),)


@pytest.mark.parametrize(
    ("name", "value", "now"),
    [
        ("if-match", '"aa"', '"bb"'),
        ("if-none-match", 'W/"aa"', 'W/"bb"'),
        ("if-match", "aa", "bb"),
        ("if-none-match", "*", "*"),
        ("if-match", '"aa", "cc"', '"bb", "cc"'),
        ("x-amz-copy-source-if-match", '"aa"', '"bb"'),
        ("x-amz-copy-source", "/demo/a%20key?versionId=old", "/demo/a%20key?versionId=new%2F1"),
        ("x-amz-copy-source", "demo/old", "demo/old"),
        ("x-amz-meta-is", "old", "old"),
    ],
)
def test_a_name_in_a_header_is_replaced(names, name, value, now):
    assert names.in_request(request(headers=((name, value),))).headers == ((name, now),)


@pytest.mark.parametrize(
    ("body", "now"),
    [
        (b"<Part><ETag>&quot;aa&quot;</ETag></Part>", b'<Part><ETag>"bb"</ETag></Part>'),
        (b'<Part><ETag>"aa"</ETag></Part>', b'<Part><ETag>"bb"</ETag></Part>'),
        (
            b"<Object><Key>old</Key><VersionId>old</VersionId></Object>",
            b"<Object><Key>old</Key><VersionId>new/1</VersionId></Object>",
        ),
        (b"<ChecksumCRC32>aa</ChecksumCRC32>", b"<ChecksumCRC32>bb</ChecksumCRC32>"),
        (b"<ETag>unknown</ETag>", b"<ETag>unknown</ETag>"),
    ],
)
def test_a_name_in_a_document_is_replaced(names, body, now):
    assert names.in_body(body) == now


def test_a_name_that_would_end_its_element_is_escaped():
    names = Names()
    names.learn("old", "<&>")
    assert names.in_body(b"<VersionId>old</VersionId>") == b"<VersionId>&lt;&amp;&gt;</VersionId>"


def test_escaped_names_are_found():
    names = Names()
    names.learn("a&b", "new")
    assert names.in_body(b"<VersionId>a&amp;b</VersionId>") == b"<VersionId>new</VersionId>"


def test_the_first_name_that_is_learned_stays(names):
    names.learn("old", "another")
    assert names.current("old") == "new/1"


def test_nothing_is_learned_of_an_absent_name():
    names = Names()
    names.learn(None, "new")
    names.learn("old", None)
    assert names.current("old") == "old"
    assert not names.knows("old")
    assert names.current("") == ""


def test_names_in_the_headers_of_two_answers_are_learned():
    names = Names()
    names.learn_from(
        answer(headers={"etag": '"aa"', "x-amz-version-id": "v1", "x-amz-checksum-crc32": "c1", "server": "one"}),
        answer(headers={"etag": '"bb"', "x-amz-version-id": "v2", "x-amz-checksum-crc32": "c2", "server": "two"}),
    )
    assert [names.current(name) for name in ('"aa"', "v1", "c1", "one")] == ['"bb"', "v2", "c2", "one"]


def test_names_in_two_documents_are_learned_in_their_order():
    def listing(*versions: str) -> str:
        entries = "".join(f"<Version><Key>k</Key><VersionId>{v}</VersionId></Version>" for v in versions)
        return f'<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>old</Name>{entries}</ListVersionsResult>'

    names = Names()
    names.learn_from(document(listing("v1", "v2")), document(listing("w1", "w2", "w3")))
    assert [names.current(name) for name in ("v1", "v2", "old")] == ["w1", "w2", "old"]


def test_names_of_a_listing_are_learned_by_key_whatever_the_order_and_whatever_is_new():
    def listing(**tags: str) -> str:
        entries = "".join(f"<Contents><Key>{key}</Key><ETag>{tag}</ETag></Contents>" for key, tag in tags.items())
        return f"<ListBucketResult>{entries}</ListBucketResult>"

    names = Names()
    names.learn_from(document(listing(a="a1", b="b1", c="c1")), document(listing(new="n2", c="c2", b="b2")))
    assert [names.current(name) for name in ("a1", "b1", "c1")] == ["a1", "b2", "c2"]


def test_names_in_a_key_do_not_pass_for_elements():
    entry = "<R><Contents><Key>a/ETag</Key><Size>{}</Size></Contents></R>"
    names = Names()
    names.learn_from(document(entry.format("1")), document(entry.format("2")))
    assert names.current("1") == "1"


@pytest.mark.parametrize("element", ["ETag", "UploadId", "NextContinuationToken", "ChecksumSHA256"])
def test_elements_that_hold_names(element):
    assert is_name(element)


@pytest.mark.parametrize("element", ["Key", "ChecksumAlgorithm", "ChecksumType", "Size"])
def test_elements_that_hold_none(element):
    assert not is_name(element)


def test_names_are_learned_whatever_the_document_is_called():
    names = Names()
    names.learn_from(
        document("<InitiateMultipartUpload><UploadId>old</UploadId></InitiateMultipartUpload>"),
        document("<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>"),
    )
    assert names.current("old") == "new"
