"""What downloads must bring where uploads were made up."""

from __future__ import annotations

from osp_gateway.replay.contents import Contents
from osp_gateway.replay.exchange import Exchange, Payload
from support.exchanges_made import answer, exchange, large, request


def put(key: str = "key", payload: Payload | None = None, **headers: str) -> Exchange:
    return exchange("PutObject", request("PUT", key, payload=payload or large(1000)), answer(headers=headers))


def get(key: str = "key", status: int = 200, content_range: str = "", **more: object) -> Exchange:
    headers = {"content-range": content_range} if content_range else {}
    return exchange("GetObject", request(key=key, **more), answer(status, headers=headers))


def followed(*exchanges: Exchange) -> Contents:
    contents = Contents()
    for done in exchanges:
        contents.follow(done)
    return contents


MADE_UP = large(1000).again


def test_a_download_brings_what_was_uploaded_this_time():
    assert followed(put()).expected(get()) == (1000, MADE_UP.sha256)


def test_what_was_recorded_whole_is_compared_with_the_recording():
    assert followed(put(payload=Payload.of(b"kept"))).expected(get()) is None


def test_an_object_that_was_there_before_is_compared_with_the_recording():
    assert Contents().expected(get()) is None


def test_a_range_is_cut_out():
    for status in (206, 200):
        found = followed(put()).expected(get(status=status, content_range="bytes 10-19/1000"))
        assert found == (10, MADE_UP.cut(10, 20).sha256)


def test_an_upload_that_failed_changes_nothing():
    failed = exchange("PutObject", request("PUT", payload=large(5, "other")), answer(403))
    assert followed(put(), failed).expected(get()) == (1000, MADE_UP.sha256)


def test_a_copy_is_its_source_however_its_key_is_encoded():
    for source in ("demo/a%20key%28", "/demo/a%20key(", "demo%2Fa%20key%28"):
        copy = exchange("CopyObject", request("PUT", "copy", headers=(("x-amz-copy-source", source),)), answer())
        assert followed(put("a%20key%28"), copy).expected(get("copy")) == (1000, MADE_UP.sha256), source


def test_versions_are_told_apart():
    one, two = (
        put(payload=large(10, "one"), **{"x-amz-version-id": "v1"}),
        put(payload=large(20), **{"x-amz-version-id": "v2"}),
    )
    contents = followed(one, two)
    assert contents.expected(get())[0] == 20
    assert contents.expected(get(query=(("versionId", "v1"),)))[0] == 10


def test_a_multipart_upload_is_its_parts_in_the_order_of_completion():
    def part(number: int, payload: Payload) -> Exchange:
        return exchange(
            "UploadPart", request("PUT", payload=payload, query=(("partNumber", str(number)), ("uploadId", "u")))
        )

    document = b"".join(b"<Part><PartNumber>%d</PartNumber></Part>" % number for number in (1, 3))
    body = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % document
    complete = exchange("CompleteMultipartUpload", request("POST", content=body, query=(("uploadId", "u"),)))
    parts = [part(3, large(30, "three")), part(1, large(10, "one")), part(2, large(20, "two"))]
    expected = b"".join((*large(10, "one").again.pieces(), *large(30, "three").again.pieces()))
    assert followed(*parts, complete).expected(get()) == (40, Payload.of(expected).sha256)


def test_what_was_removed_is_forgotten():
    assert followed(put(), exchange("DeleteObject", request("DELETE"), answer(204))).expected(get()) is None
