"""Multipart uploads: parts sent, parts copied, listed, completed and aborted."""

from __future__ import annotations

import random

import pytest

MIB = 1024 * 1024
UNKNOWN = "2~no-such-upload-0000000000000000000"
NO_ETAG = '"0123456789abcdef0123456789abcdef"'
FIVE_MIB = random.Random(5).randbytes(5 * MIB)


def begin(side, name="key", **arguments):
    return side.ask("create_multipart_upload", name, **arguments)["UploadId"]


def upload(side, upload_id, number, body, name="key"):
    answer = side.ask("upload_part", name, UploadId=upload_id, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(side, upload_id, parts, name="key"):
    return side.ask("complete_multipart_upload", name, UploadId=upload_id, MultipartUpload={"Parts": parts})


def test_an_object_is_made_of_parts(same_as_direct):
    def call(side):
        upload_id = begin(side, ContentType="text/x-parts", Metadata={"made-of": "parts"})
        complete(side, upload_id, [upload(side, upload_id, 1, FIVE_MIB), upload(side, upload_id, 2, b"the rest")])
        side.get()

    answer = same_as_direct(call)
    assert answer.body == FIVE_MIB + b"the rest"
    assert (answer.header("content-type"), answer.header("x-amz-meta-made-of")) == ("text/x-parts", "parts")


def test_the_answer_to_a_completion_names_the_clients_address(same_as_direct):
    def call(side):
        upload_id = begin(side)
        complete(side, upload_id, [upload(side, upload_id, 1, b"only")])

    answer = same_as_direct(call)
    assert same_as_direct.osp.url.removeprefix("http://") in answer.element("Location")
    assert answer.element("Bucket") == same_as_direct.buckets[1]


def test_a_part_is_copied_from_another_object(same_as_direct):
    def call(side):
        side.put("source", FIVE_MIB)
        upload_id = begin(side)
        source = {"Bucket": side.bucket, "Key": side.key("source")}
        arguments = {"UploadId": upload_id, "CopySource": source}
        one = side.ask("upload_part_copy", "key", PartNumber=1, **arguments)["CopyPartResult"]
        two = side.ask("upload_part_copy", "key", PartNumber=2, CopySourceRange="bytes=10-29", **arguments)[
            "CopyPartResult"
        ]
        complete(side, upload_id, [{"PartNumber": 1, "ETag": one["ETag"]}, {"PartNumber": 2, "ETag": two["ETag"]}])
        side.get()

    assert same_as_direct(call).body == FIVE_MIB + FIVE_MIB[10:30]


@pytest.mark.parametrize("wanted", ["bytes=0-99999999", "bytes=30-10", "0-5", "bytes=-5"])
def test_a_part_is_not_copied_from_a_range_that_is_not_there(same_as_direct, wanted):
    def call(side):
        side.put("source", b"small")
        upload_id = begin(side)
        source = {"Bucket": side.bucket, "Key": side.key("source")}
        side.ask("upload_part_copy", "key", UploadId=upload_id, PartNumber=1, CopySource=source, CopySourceRange=wanted)

    assert same_as_direct(call).status >= 400


def test_parts_are_listed_page_by_page(same_as_direct):
    def call(side):
        upload_id = begin(side)
        for number in (1, 2, 7):
            upload(side, upload_id, number, b"part %d" % number)
        side.ask("list_parts", "key", UploadId=upload_id)
        side.ask("list_parts", "key", UploadId=upload_id, MaxParts=2)
        side.ask("list_parts", "key", UploadId=upload_id, MaxParts=2, PartNumberMarker=2)

    answer = same_as_direct(call)
    assert answer.element("PartNumber") == "7"


def test_uploads_are_listed_with_every_parameter(same_as_direct, own_buckets):
    def call(side):
        for name in ("a/1", "a/2", "b"):
            begin(side, name)
        side.ask("list_multipart_uploads")
        side.ask("list_multipart_uploads", Prefix=side.key("a/"), EncodingType="url")
        side.ask("list_multipart_uploads", Prefix=side.prefix, Delimiter="/")
        first = side.ask("list_multipart_uploads", MaxUploads=1)
        side.ask(
            "list_multipart_uploads",
            KeyMarker=first["NextKeyMarker"],
            UploadIdMarker=first["NextUploadIdMarker"],
            MaxUploads=5,
        )

    assert same_as_direct(call).text.count("<Upload>") == 2


def test_a_part_of_an_object_is_read_by_its_number(same_as_direct):
    def call(side):
        upload_id = begin(side)
        complete(side, upload_id, [upload(side, upload_id, 1, FIVE_MIB), upload(side, upload_id, 2, b"the rest")])
        side.ask("head_object", "key", PartNumber=2)
        side.get(PartNumber=2)

    assert same_as_direct(call).status in (200, 206)


def test_an_upload_is_aborted(same_as_direct):
    def call(side):
        upload_id = begin(side)
        upload(side, upload_id, 1, b"part")
        side.ask("abort_multipart_upload", "key", UploadId=upload_id)
        side.ask("list_parts", "key", UploadId=upload_id)

    answer = same_as_direct(call)
    assert (answer.status, answer.code) in ((404, "NoSuchUpload"), (404, "NoSuchKey"))


def test_a_part_is_replaced(same_as_direct):
    def call(side):
        upload_id = begin(side)
        upload(side, upload_id, 1, b"the first try")
        complete(side, upload_id, [upload(side, upload_id, 1, b"the second")])
        side.get()

    assert same_as_direct(call).body == b"the second"


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("upload_part", "NoSuchUpload"),
        ("abort_multipart_upload", "NoSuchUpload"),
        ("list_parts", "NoSuchKey"),  # so says RGW 16.2, and that is what the client is to hear
    ],
)
def test_an_upload_that_does_not_exist(same_as_direct, operation, code):
    arguments = {"PartNumber": 1, "Body": b"part"} if operation == "upload_part" else {}
    answer = same_as_direct(lambda side: side.ask(operation, "key", UploadId=UNKNOWN, **arguments))
    assert (answer.status, answer.code) == (404, code)


def test_a_completion_of_an_upload_that_does_not_exist(same_as_direct):
    """RGW 16.2 fails with 500."""
    answer = same_as_direct(lambda side: complete(side, UNKNOWN, [{"PartNumber": 1, "ETag": NO_ETAG}]))
    assert answer.status >= 400


def test_a_completion_with_a_part_that_was_not_sent(same_as_direct):
    def call(side):
        upload_id = begin(side)
        part = upload(side, upload_id, 1, b"part")
        complete(side, upload_id, [{**part, "PartNumber": 2}])

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (400, "InvalidPart")


def test_a_completion_with_a_wrong_etag(same_as_direct):
    def call(side):
        upload_id = begin(side)
        upload(side, upload_id, 1, b"part")
        complete(side, upload_id, [{"PartNumber": 1, "ETag": NO_ETAG}])

    assert same_as_direct(call).code == "InvalidPart"


def test_a_completion_with_a_part_that_is_too_small(same_as_direct):
    def call(side):
        upload_id = begin(side)
        complete(side, upload_id, [upload(side, upload_id, n, b"small") for n in (1, 2)])

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (400, "EntityTooSmall")


def test_a_completion_with_parts_out_of_order(same_as_direct):
    def call(side):
        upload_id = begin(side)
        complete(side, upload_id, [upload(side, upload_id, n, FIVE_MIB) for n in (2, 1)])

    assert same_as_direct(call).status in (200, 400)


@pytest.mark.parametrize("document", [b"", b"<a>", b"<CompleteMultipartUpload/>", b"not xml"])
def test_a_completion_with_a_broken_document(same_as_direct, document):
    def call(side):
        upload_id = begin(side)
        upload(side, upload_id, 1, b"part")
        side.send("POST", side.target(query=f"uploadId={upload_id}"), body=document)

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (400, "MalformedXML")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
def test_a_part_number_that_is_not_allowed(same_as_direct, number):
    def call(side):
        upload_id = begin(side)
        side.send("PUT", side.target(query=f"partNumber={number}&uploadId={upload_id}"), body=b"part")

    assert same_as_direct(call, own_answer=True).status in (200, 400)


def test_an_upload_is_completed_twice(same_as_direct):
    def call(side):
        upload_id = begin(side)
        parts = [upload(side, upload_id, 1, b"part")]
        complete(side, upload_id, parts)
        complete(side, upload_id, parts)

    assert same_as_direct(call).status in (200, 404)


def test_boto3_moves_a_file_in_parts_by_itself(same_as_direct, tmp_path):
    import boto3.s3.transfer

    sequential = boto3.s3.transfer.TransferConfig(
        multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, use_threads=False
    )
    (tmp_path / "up").write_bytes(FIVE_MIB * 2 + b"end")

    def call(side):
        side.s3().upload_file(str(tmp_path / "up"), side.bucket, side.key(), Config=sequential)
        side.s3().download_file(side.bucket, side.key(), str(tmp_path / "down"), Config=sequential)
        assert (tmp_path / "down").read_bytes() == FIVE_MIB * 2 + b"end"

    same_as_direct(call)
