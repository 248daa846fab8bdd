"""Sessions with real clients are recorded, and sent again: to the gateway and to the store."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osp_gateway.mitm.rereading import read_recording
from osp_gateway.replay.exchange import Exchange
from support import aws_chunked, forms
from support.chunked_requests import Upload
from support.processes import (
    BACKEND_KEY,
    BACKEND_SECRET,
    BIN,
    CLIENT_KEY,
    CLIENT_SECRET,
    GatewayProcess,
    Running,
    Store,
    config_for,
    gateway,
)
from support.raw import ask
from support.raw_s3 import presigned_target, send
from support.recorder import recorded_gateway
from support.replays import error_of, everyday, keys, recording, replay, through
from support.s3 import client
from support.serving import HERE
from support.sessions import Place, aws_cli, rclone

BACKEND = keys(BACKEND_KEY, BACKEND_SECRET)
MIB = 1024 * 1024


@dataclass(frozen=True)
class Session:
    """A recording, and what the client saw."""

    file: Path
    seen: Any = None

    @property
    def exchanges(self) -> list[Exchange]:
        return list(read_recording(self.file).exchanges)

    def is_green(self, osp: GatewayProcess, store: Store, *more: str) -> bool:
        """Whether it is so against the gateway and the store, twice in a row."""
        number = len(self.exchanges)
        for url, env in 2 * [(osp.url, keys()), (store.url, BACKEND)]:
            done = replay(self.file, url, *more, env=env)
            assert done.is_green(number), f"{url}: {done.said}"
        return number > 0


@pytest.fixture(scope="module")
def of_boto3(store, tmp_path_factory) -> Session:
    """boto3's everyday calls, recorded by mitmdump."""
    folder = tmp_path_factory.mktemp("boto3")
    with recording(folder, store) as running:
        seen = everyday(through(running), "recorded/")
    return Session(folder / "session.osp", seen)


@pytest.fixture(scope="module")
def of_aws(store, tmp_path_factory) -> Session:
    """What people type, recorded by `osp record`: one upload in parts, a folder, its listing, and its end."""
    folder = tmp_path_factory.mktemp("aws")
    (folder / "server.py").write_text(config_for(store, extra=HERE), encoding="utf-8")
    file = folder / "session.osp"
    running = Running([str(BIN / "osp"), "record", str(folder / "server.py"), "-o", str(file)], folder / "log")
    try:
        port = running.wait_for(r"reverse proxy to [^\n]* listening at [^\s]*?:(\d+)\.?\s")[0][1]
        listed = aws_cli(Place(f"http://127.0.0.1:{port}"), folder)
    finally:
        assert running.stop() == 0
    return Session(file, listed)


HOW = pytest.mark.parametrize("more", [(), ("--concurrent",)], ids=["in-order", "concurrent"])


@HOW
def test_a_session_of_boto3_is_green_before_gateway_and_store_twice_in_a_row(of_boto3, osp, store, more):
    assert len(of_boto3.exchanges) == 40
    assert of_boto3.is_green(osp, store, *more)


@HOW
def test_a_session_of_the_aws_cli_is_green_before_gateway_and_store_twice_in_a_row(of_aws, osp, store, more):
    assert len(of_aws.exchanges) >= 14
    assert of_aws.seen == [f"aws-recorded/{name}" for name in ("folder/0.txt", "folder/1.txt", "folder/2.txt", "large")]
    assert of_aws.is_green(osp, store, *more)


def test_a_session_of_rclone_is_green_before_gateway_and_store_twice_in_a_row(store, osp, tmp_path):
    with recording(tmp_path, store) as running:
        assert rclone(Place(running.url), tmp_path) == ["0.txt", "1.txt", "2.txt"]
    session = Session(tmp_path / "session.osp")
    assert sum(exchange.operation == "PutObject" for exchange in session.exchanges) == 3
    assert session.is_green(osp, store)


def test_each_identity_is_signed_for_with_its_own_profile(of_boto3, osp: GatewayProcess, tmp_path):
    config = tmp_path / "credentials"
    config.write_text(
        f"[right]\naws_access_key_id = {CLIENT_KEY}\naws_secret_access_key = {CLIENT_SECRET}\n"
        "[wrong]\naws_access_key_id = wrong-fake-key\naws_secret_access_key = wrong-fake-secret\n"
    )
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(config)}
    for arguments, green in (
        (("--as", "right"), True),
        (("--as", "wrong"), False),
        (("--as", f"{CLIENT_KEY}=right", "--as", "wrong"), True),
        (("--as", f"{CLIENT_KEY}=wrong", "--as", "right"), False),
    ):
        done = replay(of_boto3.file, osp.url, *arguments, env=env)
        assert (done.status == 0) is green, (arguments, done.said)


def test_gateway_and_store_are_compared_side_by_side_each_with_its_own_keys(osp, store, tmp_path):
    config = tmp_path / "credentials"
    config.write_text(
        f"[client]\naws_access_key_id = {CLIENT_KEY}\naws_secret_access_key = {CLIENT_SECRET}\n"
        f"[backend]\naws_access_key_id = {BACKEND_KEY}\naws_secret_access_key = {BACKEND_SECRET}\n"
    )
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(config)}
    with recording(tmp_path, store) as running:
        s3 = through(running)
        s3.put_object(Bucket="demo", Key="side-by-side", Body=b"body")
        s3.get_object(Bucket="demo", Key="side-by-side")["Body"].read()
        s3.delete_object(Bucket="demo", Key="side-by-side")
    first = [osp.url, "--as", "client"]
    second = ["--compare", store.url, "--compare-as"]
    for profile, green in (("backend", True), ("client", False)):
        done = replay(tmp_path / "session.osp", *first, *second, profile, env=env)
        assert (done.status == 0) is green, done.said


def test_refusals_of_the_validator_are_recorded_and_the_store_has_none(store, osp, tmp_path):
    validator = "def validator(token, bucket, request):\n    return not request.key.startswith('denied/')"
    with recording(tmp_path, store, validator=validator) as running:
        assert error_of(through(running).get_object, Bucket="demo", Key="denied/key") == "AccessDenied"
        wrong = client(running.url, secret="wrong-fake-secret")
        assert error_of(wrong.get_object, Bucket="demo", Key="denied/key") == "SignatureDoesNotMatch"
    session = Session(tmp_path / "session.osp")
    assert [exchange.answer.status for exchange in session.exchanges] == [403], "and what nobody has sent is not"
    assert replay(session.file, osp.url).is_green(1)
    done = replay(session.file, store.url, env=BACKEND)
    assert done.found == ["GetObject key: status", "GetObject key: error code"]


def test_a_recording_holds_what_was_sent_and_who_sent_it(of_boto3):
    first = of_boto3.exchanges[0]
    assert (first.operation, first.identity, first.title) == (
        "PutObject",
        CLIENT_KEY,
        "PutObject demo/recorded/small.txt",
    )
    assert first.request.payload.content == b"small"
    assert first.request.header("x-amz-meta-colour") == "blue"
    assert first.answer.status == 200
    assert 0 < first.began <= first.ended


def test_bodies_over_the_limit_are_recorded_by_digest_and_length(of_boto3, of_aws):
    for session in (of_boto3, of_aws):
        large = [e for e in session.exchanges if e.operation == "UploadPart" and e.request.payload.length > MIB]
        assert large
        assert all(e.request.payload.content is None and len(e.request.payload.sha256) == 64 for e in large)
        assert session.file.stat().st_size < MIB


def test_a_limit_of_nothing_records_no_body_and_is_green(store, osp, tmp_path):
    with recording(tmp_path, store, osp_record_body="0") as running:
        s3 = through(running)
        s3.put_object(Bucket="demo", Key="limit-of-nothing", Body=b"a body that must not be recorded")
        assert s3.get_object(Bucket="demo", Key="limit-of-nothing")["Body"].read()
        s3.delete_object(Bucket="demo", Key="limit-of-nothing")
    session = Session(tmp_path / "session.osp")
    assert b"must not be recorded" not in session.file.read_bytes()
    assert session.is_green(osp, store)


def test_a_recording_is_an_ordinary_flow_file_that_mitmproxy_reads(of_boto3, tmp_path):
    done = subprocess.run(
        [
            str(BIN / "mitmdump"),
            "-n",
            "-r",
            str(of_boto3.file),
            "--set",
            f"confdir={tmp_path}",
            "--set",
            "flow_detail=1",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "recorded/small.txt" in done.stdout


def test_an_interrupted_recording_holds_what_was_answered(store, osp: GatewayProcess, tmp_path):
    with recording(tmp_path, store) as running:
        s3 = through(running)
        for _ in range(2):  # when the second is answered the first has been written
            s3.list_objects_v2(Bucket="demo", Prefix="nothing-there/")
        running.running.process.kill()
        running.running.process.wait()
    assert Session(tmp_path / "session.osp").is_green(osp, store)


@pytest.mark.parametrize("kept", ["1024", "1"], ids=["kept", "made-up"])
def test_chunked_uploads_are_chunked_and_signed_again(store, osp, tmp_path, kept):
    data = bytes(range(256)) * 400
    with recording(tmp_path, store, osp_record_body=kept) as running:
        for number, mode in enumerate(aws_chunked.MODES):
            done = ask(running.ports[0], Upload(mode, data).request(running.ports[0], f"/demo/chunked-{number}").octets)
            assert done.status == 200, done
        s3 = through(running)
        for number in range(len(aws_chunked.MODES)):
            assert s3.get_object(Bucket="demo", Key=f"chunked-{number}")["Body"].read() == data
            s3.delete_object(Bucket="demo", Key=f"chunked-{number}")
    session = Session(tmp_path / "session.osp")
    uploads = session.exchanges[: len(aws_chunked.MODES)]
    assert [exchange.request.mode for exchange in uploads] == list(aws_chunked.MODES)
    assert {(e.request.payload.length, e.request.payload.sha256) for e in uploads} == {
        (len(data), hashlib.sha256(data).hexdigest())
    }
    for _ in range(2):  # rclone's server alone keeps the chunks' framing for a part of the object
        done = replay(session.file, osp.url)
        assert done.is_green(9), done.said


def as_har(file: Path, folder: Path) -> Path:
    """A flow file as HAR, by mitmdump."""
    har = folder / "session.har"
    options = ["--set", f"hardump={har}", "--set", f"confdir={folder}"]
    subprocess.run([str(BIN / "mitmdump"), "-n", "-r", str(file), *options], check=True)
    return har


def test_a_recording_that_went_through_har_is_as_good(store, osp, tmp_path):
    with recording(
        tmp_path, store, validator="def validator(token, bucket, request):\n    return token != ''"
    ) as running:
        s3 = through(running)
        s3.put_object(Bucket="demo", Key="har/a key", Body=b"body", Metadata={"colour": "blue"})
        s3.get_object(Bucket="demo", Key="har/a key")["Body"].read()
        link = presigned_target("GET", running.url, "/demo/har/a%20key")
        assert send("GET", running.url, link).body == b"body"
        s3.delete_object(Bucket="demo", Key="har/a key")
    before = Session(tmp_path / "session.osp")
    after = Session(as_har(before.file, tmp_path))
    for one, other in zip(before.exchanges, after.exchanges, strict=True):
        assert (one.operation, one.identity, one.request.signed) == (other.operation, CLIENT_KEY, True)
        assert one.request.payload == other.request.payload
    assert after.is_green(osp, store)


@pytest.mark.parametrize("kind", ["flows", "har"])
def test_flows_that_mitmdump_has_saved_and_har_files_are_replayed_too(store, osp, tmp_path, kind):
    with gateway(tmp_path / "plain", config_for(store)) as running:
        s3 = through(running)
        s3.put_object(Bucket="demo", Key="saved/a key", Body=b"body", Metadata={"colour": "blue"})
        assert s3.get_object(Bucket="demo", Key="saved/a key")["Body"].read() == b"body"
        s3.list_objects_v2(Bucket="demo", Prefix="saved/")
        s3.delete_object(Bucket="demo", Key="saved/a key")
    file = running.flow_file
    if kind == "har":
        file = as_har(running.flow_file, tmp_path)
    session = Session(file)
    assert [exchange.operation for exchange in session.exchanges] == [
        "PutObject",
        "GetObject",
        "ListObjectsV2",
        "DeleteObject",
    ]
    assert session.is_green(osp, store)


def test_a_form_is_read_back_as_large_as_it_was_recorded(tmp_path):
    file, content = tmp_path / "session.osp", bytes(range(256)) * 8192
    options = {"osp_record": str(file), "osp_record_body": "4096"}
    with recorded_gateway(tmp_path, options=options) as front:
        fields = forms.boto3_fields("form", pair=forms.KeyPair(CLIENT_KEY, CLIENT_SECRET))
        headers = {"Host": front.url.removeprefix("http://"), "Content-Type": forms.CONTENT_TYPE}
        assert send("POST", front.url, "/demo", headers, forms.form_body(fields, content)).status == 200
    (exchange,) = read_recording(file).exchanges
    assert (exchange.operation, exchange.request.payload.content) == ("PostObject", content)
