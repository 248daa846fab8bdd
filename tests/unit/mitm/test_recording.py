"""The file that is recorded into."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from osp_gateway.mitm.record_format import METADATA
from osp_gateway.mitm.recording import Recorder
from osp_gateway.mitm.rereading import exchange_of, read_recording
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from support.flows_recorded import flow_answered, flows, verdict, write


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "session.osp"


def test_a_recording_that_there_was_stays_until_there_is_another(file):
    file.write_bytes(b"committed")
    recorder = Recorder(file)
    assert file.read_bytes() == b"committed"
    write(recorder)
    recorder.close()
    assert [exchange.title for exchange in read_recording(file).exchanges] == ["GetObject demo/key"]


def test_a_recording_that_never_began_leaves_what_there_was(file):
    Recorder(file).close()
    assert not file.exists()
    file.write_bytes(b"committed")
    Recorder(file).close()
    assert file.read_bytes() == b"committed"


def test_a_shorter_recording_leaves_nothing_of_a_longer_one(file):
    file.write_bytes(bytes(100_000))
    recorder = Recorder(file)
    write(recorder)
    write(recorder)
    recorder.close()
    assert len(read_recording(file).exchanges) == 2


def test_a_recording_may_go_on(file):
    for onward in (False, True):
        recorder = Recorder(file, onward=onward)
        write(recorder)
        recorder.close()
    assert len(read_recording(file).exchanges) == 2


def test_two_programs_do_not_record_into_one_file(file):
    recorder = Recorder(file)
    write(recorder)
    code = "import sys, pathlib; from osp_gateway.mitm.recording import Recorder; Recorder(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert "another program is recording into it" in done.stderr
    write(recorder)
    recorder.close()
    assert len(read_recording(file).exchanges) == 2


@pytest.mark.parametrize("place", [".", "missing/session.osp"])
def test_a_place_that_is_no_file_is_an_error_at_once(tmp_path, place):
    with pytest.raises(OSError):
        Recorder(tmp_path / place)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error():
    with pytest.raises(OSError) as found:
        write(Recorder(Path("/dev/full")))
    assert found.value.errno == errno.ENOSPC


def test_what_could_not_be_written_whole_is_cut_off(file):
    recorder = Recorder(file)
    write(recorder)
    whole = file.stat().st_size
    recorder._file = Filling(recorder._file, 10)
    with pytest.raises(OSError, match="full"):
        write(recorder)
    recorder.close()
    assert file.stat().st_size == whole


class Filling:
    """A file on a disk that has room for some octets more."""

    def __init__(self, file, room: int) -> None:
        self._file, self._room = file, room

    def write(self, octets) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "full")
        written = self._file.write(octets[: self._room])
        self._room -= written
        return written

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def recorded(file: Path, limit: int = 1024 * 1024, **more):
    recorder = Recorder(file, limit)
    write(recorder, **more)
    recorder.close()
    (exchange,) = read_recording(file).exchanges
    return exchange


LISTING = b"<ListBucketResult>" + b" " * 100 + b"</ListBucketResult>"


def test_documents_are_recorded_whole_whatever_the_limit(file):
    listed = recorded(file, 0, operation="ListObjectsV2", answered=flow_answered(content=LISTING))
    assert listed.answer.payload.content == LISTING
    failed = recorded(file, 0, answered=flow_answered(404, content=b"<Error/>"))
    assert failed.answer.payload.content == b"<Error/>"
    completed = recorded(
        file, 0, operation="CompleteMultipartUpload", method="POST", body=b"<CompleteMultipartUpload/>"
    )
    assert completed.request.payload.content == b"<CompleteMultipartUpload/>"


def test_objects_over_the_limit_are_recorded_by_digest_and_length(file):
    got = recorded(file, 4, answered=flow_answered(content=b"object"))
    assert (got.answer.payload.content, got.answer.payload.length) == (None, 6)
    for operation in ("PutObject", "UploadPart"):
        put = recorded(file, 4, operation=operation, method="PUT", body=b"object")
        assert (put.request.payload.content, put.request.payload.length) == (None, 6)


def test_an_error_behind_a_status_of_200_is_recorded_without_secrets(file):
    told = b"<AWSAccessKeyId>backend</AWSAccessKeyId><StringToSign>s</StringToSign>"
    document = b"<Error><Code>InternalError</Code>%b</Error>" % told
    late = recorded(file, operation="CopyObject", method="PUT", answered=flow_answered(content=document))
    assert late.answer.payload.content == b"<Error><Code>InternalError</Code></Error>"


def test_an_object_stays_what_it_is(file):
    content = b"<a><StringToSign>s</StringToSign></a>"
    assert recorded(file, answered=flow_answered(content=content)).answer.payload.content == content


@pytest.mark.parametrize(
    "name", ["x-amz-meta-" + "k" * 2000, "x-amz-meta-!#$%&'*+.^_`|~", "X-Amz-Meta-Case"], ids=["long", "odd", "case"]
)
def test_headers_of_all_names_are_recorded_so_that_they_can_be_read(file, name):
    exchange = recorded(file, headers=((name, "v\xe9\xff"),), answered=flow_answered(headers=((name, "value"),)))
    assert exchange.request.headers == ((name.lower(), "v\xe9\xff"),)


def test_what_could_not_be_read_again_is_not_written(file):
    recorder = Recorder(file)
    write(recorder)
    with pytest.raises(ValueError, match="characters that HTTP does not allow"):
        write(recorder, answered=flow_answered(headers=(("x-amz-meta-a", "b\r\nc: d"),)))
    write(recorder)
    recorder.close()
    assert len(read_recording(file).exchanges) == 2


RIGHT = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
"""The SHA-256 of `body`."""


@pytest.mark.parametrize(
    ("mode", "length", "kept"),
    [
        (RIGHT, "4", ""),
        (RIGHT.upper(), "4", ""),
        ("0" * 64, "4", "0" * 64),
        ("0" * 64, "400", ""),
        ("UNSIGNED-PAYLOAD", "4", "UNSIGNED-PAYLOAD"),
        ("anything else", "4", ""),
        ("STREAMING-\u00e4", "4", ""),
    ],
    ids=["right", "upper-case", "wrong", "body-cut-off", "literal", "nonsense", "nonsense-that-begins-well"],
)
def test_a_wrong_payload_hash_is_recorded_and_a_right_one_is_not(file, mode, length, kept):
    headers = ((CONTENT_SHA256, mode), ("content-length", length))
    assert recorded(file, operation="PutObject", method="PUT", headers=headers, body=b"body").request.mode == kept


def test_a_recording_says_nothing_of_customers_keys_in_presigned_urls(file):
    secret = "ZmFrZS1rZXktb2YtYS1jdXN0b21lci0zMi1vY3RldHM%3D"
    target = f"/demo/key?X-Amz-Server-Side-Encryption-Customer-Key={secret}&X-Amz-Mfa=123456&X-Amz-Signature=abc"
    exchange = recorded(file, target=target)
    assert b"ZmFrZS1r" not in file.read_bytes()
    assert b"123456" not in file.read_bytes()
    assert exchange.request.signed
    (flow,) = flows(file)
    assert "Customer-Key=" in flow.request.path
    assert flow.metadata[METADATA]["expires"] == 3600


def test_a_pipe_that_nobody_reads_is_an_error_and_no_end_of_everything(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError) as found:
        Recorder(pipe)
    assert found.value.errno == errno.ENXIO


def test_what_somebody_has_put_there_meanwhile_stays(file):
    recorder = Recorder(file)
    file.unlink()
    file.write_bytes(b"precious")
    recorder.close()
    assert file.read_bytes() == b"precious"


def test_a_link_stays(file):
    file.symlink_to(file.with_name("elsewhere"))
    Recorder(file).close()
    assert file.is_symlink()


def test_a_request_in_virtual_hosted_style_is_recorded_in_path_style(file):
    recorded(file, target="/key", headers=(("host", "demo.s3.test"),))
    (flow,) = flows(file)
    assert flow.request.path == "/demo/key"
    flow.metadata.clear()
    exchange = exchange_of(flow)
    assert exchange is not None
    assert (exchange.operation, exchange.request.object) == ("GetObject", ("demo", "key"))


def test_what_the_client_got_is_recorded_where_the_flow_shows_a_mark(file):
    recorder = Recorder(file)
    recorder.sanitizer.name(["x-amz-meta-ticket"])
    tape = recorder.tape(RequestHead("GET", "/demo/key", "", (("x-amz-meta-ticket", "fake"),)))
    tape.answer_headers = ((b"x-amz-meta-ticket", b"fake"),)
    shown = flow_answered(headers=(("x-amz-meta-ticket", "redacted-0123456789ab"),))
    recorder.write(shown, verdict(), tape)
    recorder.close()
    (exchange,) = read_recording(file).exchanges
    assert exchange.answer.header("x-amz-meta-ticket") == exchange.request.header("x-amz-meta-ticket")
    assert b"fake" not in file.read_bytes().replace(b"fake-key", b"")
