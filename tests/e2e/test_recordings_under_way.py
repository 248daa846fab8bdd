"""What may happen to a recording while it is made, and to a gateway whose script is read anew."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from osp_gateway.mitm.rereading import read_recording
from support.processes import ADDON, BACKEND_KEY, BACKEND_SECRET, BIN, Running, config_for, gateway
from support.raw import ask, talk
from support.raw_s3 import presigned_target, send
from support.recorder import Answer, Recorded, recorded_gateway
from support.replays import SERVING, keys, replay, through
from support.s3 import client
from support.serving import HERE
from support.signing import signed
from support.sts import SECRET, sts_client

READ_ANEW = r"Loading script [^\n]*\n[\s\S]*Loading script [^\n]*\n"


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "session.osp"


def operations(file: Path) -> list[str]:
    return [exchange.operation for exchange in read_recording(file).exchanges]


def osp_record(folder: Path, store, file: Path, extra: str = HERE, *more: str) -> Running:
    config = folder / "server.py"
    config.write_text(config_for(store, extra=extra), encoding="utf-8")
    return Running([str(BIN / "osp"), "record", str(config), "-o", str(file), *more], folder / "record.log")


def test_a_script_that_is_read_anew_serves_and_records_on(store, tmp_path, file):
    script = tmp_path / "osp.py"
    shutil.copy(ADDON, script)
    options = {"osp_record": str(file)}
    with gateway(tmp_path / "gateway", config_for(store), options=options, script=script) as running:
        with talk(running.ports[0]) as kept:
            for step in range(2):
                kept.send(signed(running.ports[0], "GET", "/demo?list-type=2").octets)
                answer = kept.read_answer()
                assert answer.status == 200, (step, answer)
                if not step:
                    later = script.stat().st_mtime + 10
                    os.utime(script, (later, later))
                    running.running.wait_for(READ_ANEW)
        through(running).list_buckets()
        assert "Traceback" not in running.output()
    assert operations(file) == ["ListObjectsV2", "ListObjectsV2", "ListBuckets"]


def test_a_port_in_use_costs_no_recording(store, tmp_path, file):
    file.write_bytes(b"committed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        extra = f"http_port={taken.getsockname()[1]}, listen_host='127.0.0.1',"
        running = osp_record(tmp_path, store, file, extra)
        assert running.process.wait(60) != 0
    assert file.read_bytes() == b"committed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_recording_with_an_error_and_no_request(store, tmp_path):
    running = osp_record(tmp_path, store, Path("/dev/full"))
    try:
        s3 = client(f"http://127.0.0.1:{running.wait_for(SERVING)[0][1]}")
        for _ in range(2):
            s3.list_objects_v2(Bucket="demo")
    finally:
        status = running.stop()
    assert status == 1
    assert running.output().count("No space left on device") == 1
    assert "Error: osp_record: the recording is not complete" in running.output()


def test_objects_over_the_limit_of_the_command_line_are_digests(store, tmp_path, file):
    running = osp_record(tmp_path, store, file, HERE, "--body", "0")
    try:
        s3 = client(f"http://127.0.0.1:{running.wait_for(SERVING)[0][1]}")
        s3.put_object(Bucket="demo", Key="under-way", Body=b"must not be recorded")
        s3.delete_object(Bucket="demo", Key="under-way")
    finally:
        assert running.stop() == 0
    assert b"must not be" not in file.read_bytes()


def test_a_download_that_is_broken_off_is_told_and_not_recorded(tmp_path, file):
    with recorded_gateway(tmp_path, options={"osp_record": str(file)}) as front:
        front.recorder.answer = Answer(body=bytes(32 * 1024 * 1024))
        with talk(front.gateway.ports[0]) as gone:
            gone.send(signed(front.gateway.ports[0], "GET", "/demo/large").octets)
            assert gone.socket.recv(100)
        front.gateway.running.wait_for(r"osp_record: GetObject demo/large was broken off, and is not in the recording")
        front.recorder.answer = Answer()
        front.s3.head_object(Bucket="demo", Key="another")
    assert operations(file) == ["HeadObject"]


def test_keys_that_the_token_service_hands_out_are_not_recorded(store, tmp_path, file):
    config = config_for(store, extra=f"sts=dict(secret={SECRET!r}),")
    with gateway(tmp_path / "gateway", config, options={"osp_record": str(file)}) as running:
        assert sts_client(running.url).get_caller_identity()
        session = sts_client(running.url).get_session_token()["Credentials"]
        through(running).list_buckets()
    assert operations(file) == ["ListBuckets"]
    assert session["SecretAccessKey"].encode() not in file.read_bytes()


def test_an_upload_that_was_refused_for_its_hash_is_refused_again_and_writes_nothing(store, osp, tmp_path, file):
    with gateway(tmp_path / "gateway", config_for(store), options={"osp_record": str(file)}) as running:
        request = signed(running.ports[0], "PUT", "/demo/wrong-hash", b"body", payload_hash="0" * 64)
        assert ask(running.ports[0], request.octets).code == "XAmzContentSHA256Mismatch"
    done = replay(file, osp.url)
    assert done.is_green(1), done.said
    assert not (store.root / "demo" / "wrong-hash").exists()


def test_a_presigned_upload_with_metadata_is_green(store, osp, tmp_path, file):
    with gateway(tmp_path / "gateway", config_for(store), options={"osp_record": str(file)}) as running:
        s3, metadata = through(running), {"x-amz-meta-colour": "blue"}
        target = presigned_target("PUT", running.url, "/demo/presigned-metadata", metadata)
        headers = {"Host": running.url.removeprefix("http://"), **metadata}
        assert send("PUT", running.url, target, headers, b"body").status == 200
        assert s3.head_object(Bucket="demo", Key="presigned-metadata")["Metadata"]
        s3.delete_object(Bucket="demo", Key="presigned-metadata")
    done = replay(file, osp.url)
    assert done.is_green(3), done.said


def test_a_session_with_customers_keys_and_masked_headers_is_green_where_the_store_repeats_them(tmp_path, file):
    """S3 says the MD5 of the key that it has used; on the flow it is masked."""

    def answer(request: Recorded) -> Answer:
        told = [pair for pair in request.headers if pair[0].lower() in (MD5, "x-amz-meta-ticket")]
        return Answer(headers=(("ETag", '"0123456789abcdef0123456789abcdef"'), *told))

    options = {"osp_record": str(file), "osp_redact_headers": "x-amz-meta-ticket"}
    with recorded_gateway(tmp_path, options=options) as front:
        front.recorder.answer = answer
        customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"a-fake-key-of-a-customer-of-32-o"}
        for key in ("a", "b"):
            front.s3.put_object(Bucket="demo", Key=key, Body=b"", Metadata={"ticket": "fake-ticket"}, **customer)
        front.gateway.running.stop()
        stand_ins = {exchange.request.header(MD5) for exchange in read_recording(file).exchanges}
        assert len(stand_ins) == 1
        done = replay(file, f"http://127.0.0.1:{front.recorder.port}", env=BACKEND)
    assert done.is_green(2), done.said
    assert b"fake-ticket" not in file.read_bytes()


MD5 = "x-amz-server-side-encryption-customer-key-md5"
BACKEND = keys(BACKEND_KEY, BACKEND_SECRET)
