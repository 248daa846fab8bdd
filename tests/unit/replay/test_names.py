"""Names that a store makes up stand for those of the recording."""

from __future__ import annotations

import re

import pytest

from osp_gateway.replay.exchange import Answer
from osp_gateway.replay.names import Kind, Names, kind_of_element, kind_of_header
from support.exchanges_made import answer, document, exchange, request

KEY = ("demo", "key")
OTHER = ("demo", "other")


@pytest.fixture
def names() -> Names:
    """`old` is called `new/1`, the entity tag `"aa"` of `key` is `"bb"`, its checksum `c1` is `c2`."""
    found = Names()
    found.learn(Kind.ID, KEY, "old", "new/1")
    found.learn(Kind.TAG, KEY, '"aa"', '"bb"')
    found.learn(Kind.CHECKSUM, KEY, "c1", "c2")
    return found


def learned(recorded: Answer, new: Answer) -> Names:
    names = Names()
    names.learn_from(exchange(answered=recorded), new)
    return names


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
        (b"<ChecksumCRC32>c1</ChecksumCRC32>", b"<ChecksumCRC32>c2</ChecksumCRC32>"),
        (b"<ETag>\xff</ETag>", b"<ETag>\xff</ETag>"),
        (b"<ETag>unknown</ETag>", b"<ETag>unknown</ETag>"),
    ],
)
def test_a_name_in_a_document_is_replaced(names, body, now):
    assert names.in_body(request(), body) == now


def test_in_a_batch_each_entry_has_the_tags_of_its_object():
    names = Names()
    names.learn(Kind.TAG, ("demo", "a%20b"), "aa", "bb")
    entry = b"<Object><Key>%b</Key><ETag>aa</ETag></Object>"
    body = b"<Delete>%b%b</Delete>" % (entry % b"a b", entry % b"other")
    assert names.in_body(request(key=""), body) == body.replace(b"aa", b"bb", 1)


def test_tags_of_two_objects_with_the_same_content_are_told_apart():
    names = Names()
    names.learn(Kind.TAG, KEY, '"aa"', '"of key"')
    names.learn(Kind.TAG, OTHER, '"aa"', '"of other"')
    for key, tag in (("key", '"of key"'), ("other", '"of other"'), ("third", '"aa"')):
        assert names.in_request(request(key=key, headers=(("if-match", '"aa"'),))).headers == (("if-match", tag),)


def test_a_condition_on_the_source_of_a_copy_has_the_tag_of_the_source(names):
    headers = (("x-amz-copy-source", "/demo/key"), ("x-amz-copy-source-if-match", '"aa"'), ("if-none-match", '"aa"'))
    assert dict(names.in_request(request("PUT", "copy", headers=headers)).headers) == {
        "x-amz-copy-source": "/demo/key",
        "x-amz-copy-source-if-match": '"bb"',
        "if-none-match": '"aa"',
    }


def test_parts_that_had_the_same_tag_may_have_others_now():
    names = Names()
    for number, new in (("1", "first"), ("2", "second")):
        asked = request("PUT", query=(("partNumber", number), ("uploadId", "u")))
        names.learn_from(exchange("UploadPart", asked, answer(headers={"etag": '"aa"'})), answer(headers={"etag": new}))
    part = "<Part><ETag>&quot;aa&quot;</ETag><PartNumber>{}</PartNumber></Part>"
    body = "<CompleteMultipartUpload>" + "".join(part.format(n) for n in (1, 2, 3)) + "</CompleteMultipartUpload>"
    completion = request("POST", query=(("uploadId", "another"),))
    found = names.in_body(completion, body.encode()).decode()
    assert re.findall("<ETag>(.*?)</ETag>", found) == ['"first"', '"second"', '"second"']


def test_a_checksum_header_is_a_name_where_it_is_about_the_object_and_not_about_the_body(names):
    headers = (("x-amz-checksum-crc32", "c1"),)
    completion = request("POST", query=(("uploadId", "1"),), headers=headers)
    assert names.in_request(completion).headers == (("x-amz-checksum-crc32", "c2"),)
    assert names.in_request(request("PUT", headers=headers)).headers == headers


def test_a_name_that_would_end_its_element_is_escaped():
    names = Names()
    names.learn(Kind.ID, KEY, "old", "<&>")
    assert names.in_body(request(), b"<VersionId>old</VersionId>") == b"<VersionId>&lt;&amp;&gt;</VersionId>"


def test_escaped_names_are_found():
    names = Names()
    names.learn(Kind.ID, KEY, "a&b", "new")
    assert names.in_body(request(), b"<VersionId>a&amp;b</VersionId>") == b"<VersionId>new</VersionId>"


def test_the_first_id_that_is_learned_stays(names):
    names.learn(Kind.ID, OTHER, "old", "another")
    assert names.current(Kind.ID, KEY, "old") == "new/1"


def test_the_last_tag_that_is_learned_counts_unless_it_was_only_read(names):
    names.learn(Kind.TAG, KEY, "aa", "cc", again=False)
    assert names.current(Kind.TAG, KEY, '"aa"') == '"bb"'
    names.learn(Kind.TAG, KEY, "aa", "cc")
    assert names.current(Kind.TAG, KEY, '"aa"') == '"cc"'


def test_names_of_one_kind_are_not_those_of_another(names):
    assert names.current(Kind.TAG, KEY, "old") == "old"
    assert names.current(Kind.ID, KEY, "aa") == "aa"


def test_nothing_that_belongs_to_an_id_is_cut_off():
    names = Names()
    names.learn(Kind.ID, KEY, 'W/"token"', "new")
    assert names.current(Kind.ID, KEY, "token") == "token"
    assert names.current(Kind.ID, KEY, 'W/"token"') == "new"


def test_nothing_is_learned_of_an_absent_name():
    names = Names()
    names.learn(Kind.ID, KEY, None, "new")
    names.learn(Kind.ID, KEY, "old", None)
    assert names.current(Kind.ID, KEY, "old") == "old"
    assert not names.knows(Kind.ID, KEY, "old")
    assert names.current(Kind.TAG, KEY, "") == ""


def test_names_in_the_headers_of_two_answers_are_learned():
    names = learned(
        answer(headers={"etag": '"aa"', "x-amz-version-id": "v1", "x-amz-checksum-crc32": "c1", "server": "one"}),
        answer(headers={"etag": '"bb"', "x-amz-version-id": "v2", "x-amz-checksum-crc32": "c2", "server": "two"}),
    )
    assert names.current(Kind.TAG, KEY, '"aa"') == '"bb"'
    assert names.current(Kind.ID, KEY, "v1") == "v2"
    assert names.current(Kind.CHECKSUM, KEY, "c1") == "c2"
    assert all(names.current(kind, KEY, "one") == "one" for kind in Kind)


def test_what_may_not_be_learned_is_not():
    names = Names()
    recorded, new = (
        document(f"<R><Contents><Key>{key}</Key><ETag>{tag}</ETag></Contents></R>", headers={"etag": tag})
        for key, tag in (("other", "aa"), ("other", "bb"))
    )
    names.learn_from(exchange(answered=recorded), new, lambda kind, about: kind is Kind.TAG and about == OTHER)
    assert names.current(Kind.TAG, KEY, "aa") == "aa"
    assert names.current(Kind.TAG, OTHER, "aa") == "bb"


def test_names_in_two_documents_are_learned_in_their_order():
    def listing(*versions: str) -> str:
        entries = "".join(f"<Version><Key>k</Key><VersionId>{v}</VersionId></Version>" for v in versions)
        return f'<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>old</Name>{entries}</ListVersionsResult>'

    names = learned(document(listing("v1", "v2")), document(listing("w1", "w2", "w3")))
    assert [names.current(Kind.ID, KEY, name) for name in ("v1", "v2", "old")] == ["w1", "w2", "old"]


def test_names_of_a_listing_are_learned_by_key_whatever_the_order_and_whatever_is_new():
    def listing(**tags: str) -> str:
        entries = "".join(f"<Contents><Key>{key}</Key><ETag>{tag}</ETag></Contents>" for key, tag in tags.items())
        return f"<ListBucketResult>{entries}</ListBucketResult>"

    names = learned(document(listing(a="a1", b="b1", c="c1")), document(listing(new="n2", c="c2", b="b2")))
    assert [names.current(Kind.TAG, ("demo", key), f"{key}1") for key in "abc"] == ["a1", "b2", "c2"]


def test_names_in_a_key_do_not_pass_for_elements():
    entry = "<R><Contents><Key>a/ETag</Key><Size>{}</Size></Contents></R>"
    names = learned(document(entry.format("1")), document(entry.format("2")))
    assert all(names.current(kind, ("demo", "a/ETag"), "1") == "1" for kind in Kind)


@pytest.mark.parametrize(
    ("element", "kind"),
    [
        ("ETag", Kind.TAG),
        ("UploadId", Kind.ID),
        ("NextContinuationToken", Kind.ID),
        ("ChecksumSHA256", Kind.CHECKSUM),
        ("Key", None),
        ("ChecksumAlgorithm", None),
        ("ChecksumType", None),
        ("Size", None),
    ],
)
def test_elements_that_hold_names(element, kind):
    assert kind_of_element(element) is kind


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("etag", Kind.TAG),
        ("x-amz-version-id", Kind.ID),
        ("x-amz-checksum-sha256", Kind.CHECKSUM),
        ("x-amz-checksum-type", None),
        ("content-type", None),
    ],
)
def test_headers_that_hold_names(header, kind):
    assert kind_of_header(header) is kind


def test_names_are_learned_whatever_the_document_is_called():
    names = learned(
        document("<InitiateMultipartUpload><UploadId>old</UploadId></InitiateMultipartUpload>"),
        document("<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>"),
    )
    assert names.current(Kind.ID, KEY, "old") == "new"
