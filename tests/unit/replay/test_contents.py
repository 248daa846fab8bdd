"""What downloads must bring where uploads were made up."""

from __future__ import annotations

import pytest

from osp_gateway.replay.contents import LENGTH_ALONE, Contents, failed_late
from osp_gateway.replay.exchange import Exchange, Payload
from support.exchanges_made import answer, document, exchange, large, request


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


def versioned(length: int, version: str) -> Exchange:
    return put(payload=large(length, version), **{"x-amz-version-id": version})


def removed(version: str = "", marker: str = "") -> Exchange:
    query = (("versionId", version),) if version else ()
    headers = {"x-amz-version-id": marker, "x-amz-delete-marker": "true"} if marker else {}
    return exchange("DeleteObject", request("DELETE", query=query), answer(204, headers=headers))


def batch(*asked: str, told: str = "") -> Exchange:
    objects = "".join(f"<Object><Key>key</Key>{version}</Object>" for version in asked)
    body = f"<Delete>{objects}</Delete>".encode()
    return exchange(
        "DeleteObjects",
        request("POST", "", body, query=(("delete", ""),)),
        document(f"<DeleteResult>{told}</DeleteResult>"),
    )


def length_of(contents: Contents, version: str = "") -> int | None:
    expected = contents.expected(get(query=(("versionId", version),) if version else ()))
    return None if expected is None else expected[0]


def test_where_the_newest_version_is_removed_the_one_before_is_the_newest():
    assert length_of(followed(versioned(10, "v1"), versioned(20, "v2"), removed("v2"))) == 10
    one = "<VersionId>v2</VersionId>"
    assert length_of(followed(versioned(10, "v1"), versioned(20, "v2"), batch(one))) == 10
    told = "<Error><Key>key</Key><VersionId>v2</VersionId><Code>AccessDenied</Code></Error>"
    assert length_of(followed(versioned(10, "v1"), versioned(20, "v2"), batch(one, told=told))) == 20


def test_behind_a_delete_marker_the_object_is_what_it_was():
    marked = followed(versioned(10, "v1"), removed(marker="m"))
    assert length_of(marked) is None
    assert length_of(marked, "v1") == 10
    marked.follow(removed("m"))
    assert length_of(marked) == 10
    told = "<Key>key</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId>"
    marked.follow(batch("", told=f"<Deleted>{told}</Deleted>"))
    assert length_of(marked) is None
    marked.follow(removed("m"))
    assert length_of(marked) == 10


def test_a_version_called_null_is_written_over():
    contents = followed(versioned(10, "v1"), put(payload=large(20, "a")), put(payload=large(30, "b")))
    assert length_of(contents) == 30
    contents.follow(removed("null"))
    assert length_of(contents) == 10


def uploaded(*parts: Exchange) -> Contents:
    numbers = b"".join(b"<Part><PartNumber>%d</PartNumber></Part>" % (at + 1) for at in range(len(parts)))
    body = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % numbers
    done = exchange("CompleteMultipartUpload", request("POST", content=body, query=(("uploadId", "u"),)))
    return followed(*parts, done)


def part(number: int, payload: Payload | None = None, source: str = "") -> Exchange:
    headers = (("x-amz-copy-source", source),) if source else ()
    query = (("partNumber", str(number)), ("uploadId", "u"))
    asked = request("PUT", payload=payload or Payload.of(b""), query=query, headers=headers)
    return exchange("UploadPartCopy" if source else "UploadPart", asked)


def test_of_an_object_with_a_part_that_nobody_knows_the_length_is_known():
    contents = uploaded(part(1, large(10)), part(2, source="demo/was-there"))
    assert contents.expected(exchange(answered=answer(content=bytes(25)))) == (25, LENGTH_ALONE)


def test_where_nothing_is_made_up_the_recording_knows_the_object():
    assert uploaded(part(1, Payload.of(b"kept")), part(2, source="demo/was-there")).expected(get()) is None


def test_an_object_and_its_parts_are_known_to_be_made_up():
    contents = followed(part(1, large(10)), part(2, Payload.of(b"kept")))
    assert contents.made_up(("demo", "key"))
    assert contents.wrote(("demo", "key"))
    assert not contents.made_up(("demo", "other"))
    assert not contents.wrote(("demo", "other"))
    assert not followed(put(payload=Payload.of(b"kept"))).made_up(("demo", "key"))


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 5000, "\u0661"])
def test_a_part_of_any_number_is_no_reason_to_stop(number):
    asked = request("PUT", payload=large(10), query=(("partNumber", number), ("uploadId", "u")))
    followed(exchange("UploadPart", asked))


def test_what_failed_behind_a_status_of_200_has_changed_nothing():
    late = document("<Error><Code>InternalError</Code></Error>")
    assert failed_late(late)
    assert not failed_late(document("<CopyObjectResult/>"))
    copy = exchange("CopyObject", request("PUT", "copy", headers=(("x-amz-copy-source", "demo/key"),)), late)
    assert followed(put(), copy).expected(get("copy")) is None
