"""The same calls pass online and, from their recording, with no store at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mitmproxy.io import FlowReader

from support.processes import (
    START_SECONDS,
    Store,
    config_for,
    gateway,
    rclone_server,
)
from support.replays import error_of, everyday, recording, served, through
from support.s3 import client
from support.sessions import SESSIONS, Place


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, list[Any], Store]:
    """A recording, what was seen, and a store that is no longer there."""
    folder = tmp_path_factory.mktemp("offline")
    with rclone_server(folder) as store:
        store.make_bucket("demo")
        with recording(folder, store, osp_record_body="8192") as running:
            s3 = through(running)
            seen = everyday(s3, "offline/")
            for body in (b"one", b"two"):
                s3.put_object(Bucket="demo", Key="changes", Body=body)
                s3.get_object(Bucket="demo", Key="changes")["Body"].read()
    return folder / "session.osp", seen, store


@contextmanager
def mitmdump(file: Path, folder: Path, store: Store, **options: str) -> Iterator[str]:
    """`mitmdump --server-replay`."""
    settings = {"server_replay": str(file), "server_replay_extra": "404", **options}
    with gateway(folder, config_for(store), options=settings) as running:
        yield running.url


def offline(url: str, **credentials: str) -> Any:
    return client(url, response_checksum_validation="when_required", **credentials)


@pytest.mark.parametrize("way", ["osp replay --serve", "osp replay --serve --config", "mitmdump --server-replay"])
def test_the_same_calls_see_the_same_offline(recorded, tmp_path, way):
    file, seen, store = recorded
    config = tmp_path / "server.py"
    config.write_text(config_for(store, extra="http_port=0, listen_host='127.0.0.1',"), encoding="utf-8")
    ways = {
        "osp replay --serve": lambda: served(file, tmp_path),
        "osp replay --serve --config": lambda: served(file, tmp_path, "--config", str(config)),
        "mitmdump --server-replay": lambda: mitmdump(file, tmp_path, store),
    }
    with ways[way]() as url:
        assert everyday(offline(url), "offline/") == seen


@pytest.mark.parametrize("session", ["boto3", "aws", "rclone"])
def test_the_same_suite_of_calls_passes_online_and_offline(store, tmp_path, session):
    """With everything in it: what a client sees through the gateway, and what it sees of the recording."""
    with recording(tmp_path, store, osp_record_body="16384") as running:
        online = SESSIONS[session](Place(running.url), tmp_path)
    with served(tmp_path / "session.osp", tmp_path) as url:
        assert SESSIONS[session](Place(url), tmp_path) == online


def test_several_answers_to_the_same_request_come_in_their_order_and_then_no_more(recorded, tmp_path):
    file, _, store = recorded
    with mitmdump(file, tmp_path, store) as url:
        s3 = offline(url)
        assert [s3.get_object(Bucket="demo", Key="changes")["Body"].read() for _ in range(2)] == [b"one", b"two"]
        assert error_of(s3.get_object, Bucket="demo", Key="changes") == "ServiceUnavailable"


def test_with_reuse_the_first_answer_comes_again_and_again(recorded, tmp_path):
    file, _, store = recorded
    with mitmdump(file, tmp_path, store, server_replay_reuse="true") as url:
        s3 = offline(url)
        assert [s3.get_object(Bucket="demo", Key="changes")["Body"].read() for _ in range(3)] == 3 * [b"one"]


@pytest.mark.parametrize("way", [served, mitmdump])
def test_what_was_not_recorded_is_said_to_be_so(recorded, tmp_path, way):
    file, _, store = recorded
    arguments = (file, tmp_path) if way is served else (file, tmp_path, store)
    with way(*arguments) as url:
        s3 = offline(url)
        for call, more in (
            (s3.get_object, {"Key": "never-asked-for"}),
            (s3.get_object, {"Key": "changes", "Range": "bytes=0-0"}),
            (s3.put_object, {"Key": "changes", "Body": b"another body"}),
        ):
            with pytest.raises(ClientError) as error:
                call(Bucket="demo", **more)
            assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            assert "There is no recorded answer to this request." in str(error.value)


def test_a_body_of_which_only_the_digest_was_recorded_is_not_made_up(recorded, store, tmp_path):
    with recording(tmp_path, store, osp_record_body="1") as running:
        through(running).put_object(Bucket="demo", Key="digest-only", Body=bytes(2000))
        through(running).get_object(Bucket="demo", Key="digest-only")["Body"].read()  # else it may be broken off
    with served(tmp_path / "session.osp", tmp_path) as url:
        s3 = offline(url)
        s3.put_object(Bucket="demo", Key="digest-only", Body=bytes(2000))
        with pytest.raises(ClientError, match="body is not in the recording") as error:
            s3.get_object(Bucket="demo", Key="digest-only")
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_offline_too_nobody_gets_in_without_a_right_signature(recorded, tmp_path):
    file, _, store = recorded
    with mitmdump(file, tmp_path, store) as url:
        wrong = offline(url, secret="wrong-fake-secret")
        assert error_of(wrong.get_object, Bucket="demo", Key="changes") == "SignatureDoesNotMatch"
        assert error_of(offline(url, key="unknown").get_object, Bucket="demo", Key="changes") == "InvalidAccessKeyId"
        # and what was refused has used up no answer
        assert offline(url).get_object(Bucket="demo", Key="changes")["Body"].read() == b"one"


def test_with_a_store_what_was_not_recorded_goes_there(recorded, store, tmp_path, direct, prefix):
    file, _, _ = recorded
    direct.put_object(Bucket="demo", Key=f"{prefix}live", Body=b"live")
    with mitmdump(file, tmp_path, store, server_replay_extra="forward") as url:
        s3 = offline(url)
        assert s3.get_object(Bucket="demo", Key="changes")["Body"].read() == b"one"
        assert s3.get_object(Bucket="demo", Key=f"{prefix}live")["Body"].read() == b"live"


def replayed(file: Path, folder: Path, store: Store, **more: Any) -> list[Any]:
    """What passed the gateway while mitmdump did `--client-replay`, which ends by itself."""
    options = {"client_replay": str(file), "client_replay_concurrency": "1", **more.pop("options", {})}
    with gateway(folder, config_for(store, **more), options=options) as running:
        running.running.process.wait(START_SECONDS)
    with running.flow_file.open("rb") as flows:
        return [flow for flow in FlowReader(flows).stream() if not flow.is_replay]


def test_client_replay_signs_anew_and_goes_through_the_gateway(recorded, store, direct, tmp_path):
    file, _, _ = recorded
    flows = replayed(file, tmp_path, store)
    assert direct.get_object(Bucket="demo", Key="changes")["Body"].read() == b"two"
    direct.delete_object(Bucket="demo", Key="changes")
    statuses = [flow.response.status_code for flow in flows]
    assert statuses.count(200) > 20
    assert {status for status in statuses if status >= 400} == {404}


def test_client_replay_of_flows_that_mitmdump_has_saved_is_signed_anew(store, direct, tmp_path):
    with gateway(tmp_path / "saved", config_for(store)) as running:
        s3 = client(running.url)
        s3.put_object(Bucket="demo", Key="saved flows", Body=b"saved")
        s3.get_object(Bucket="demo", Key="saved flows")["Body"].read()
    direct.delete_object(Bucket="demo", Key="saved flows")
    flows = replayed(running.flow_file, tmp_path / "again", store)
    assert [(flow.request.method, flow.response.status_code) for flow in flows] == [("PUT", 200), ("GET", 200)]
    assert direct.get_object(Bucket="demo", Key="saved flows")["Body"].read() == b"saved"


def test_client_replay_is_no_way_around_authorization(recorded, store, direct, tmp_path):
    file, _, _ = recorded
    denied = "def validator(token, bucket, request):\n    return False"
    flows = replayed(file, tmp_path, store, validator=denied)
    assert {flow.response.status_code for flow in flows} == {403}
    assert error_of(direct.get_object, Bucket="demo", Key="changes") == "NoSuchKey"


def test_client_replay_with_a_key_that_the_gateway_does_not_know_is_refused(recorded, store, direct, tmp_path):
    file, _, _ = recorded
    replayed(file, tmp_path, store, options={"osp_replay_as": "unknown-fake-key"})
    assert error_of(direct.get_object, Bucket="demo", Key="changes") == "NoSuchKey"
