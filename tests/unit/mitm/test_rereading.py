"""Recordings, and what somebody wants to be taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from osp_gateway.mitm.flowfile import FlowFileError, http_flows
from osp_gateway.mitm.record_format import BODY, METADATA
from osp_gateway.mitm.recording import Recorder
from osp_gateway.mitm.rereading import exchange_of, read_recording
from support.flows_recorded import flow_answered, flows, rewritten, write

DIGEST = {"length": 4, "sha256": "0" * 64, "kept": False}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "session.osp"
    recorder = Recorder(path)
    write(recorder, target="/demo/key?versionId=v", headers=(("x-amz-meta-a", "b"),))
    write(recorder)
    recorder.close()
    return path


@pytest.mark.parametrize(
    ("metadata", "where"),
    [
        ({"key": ["a"]}, "osp.key"),
        ({"key": None}, "osp.key"),
        ({"key": "a b"}, "osp.key"),
        ({"key": "\u00e9"}, "osp.key"),
        ({"key": "a\r\nHost: other"}, "osp.key"),
        ({"key": "key\n"}, "osp.key"),
        ({"bucket": 1}, "osp.bucket"),
        ({"query": [["a"]]}, "osp.query[0]"),
        ({"query": [["a", "b", "c"]]}, "osp.query[0]"),
        ({"query": [["a", 1]]}, "osp.query[0][1]"),
        ({"query": [["a", "b c"]]}, "osp.query[0][1]"),
        ({"query": "a=b"}, "osp.query"),
        ({"mode": 1}, "osp.mode"),
        ({"mode": "UNSIGNED-PAYLOAD\r\na: b"}, "osp.mode"),
        ({"identity": ["alice"]}, "osp.identity"),
        ({"operation": "Get\nObject"}, "osp.operation"),
        ({"operation": ["GetObject"]}, "osp.operation"),
        ({"signed": None}, "osp.signed"),
        ({"expires": "60"}, "osp.expires"),
        ({"expires": -1}, "osp.expires"),
        ({"request": []}, "osp.request"),
        ({"request": {**DIGEST, "length": 2**62}}, "osp.request.length"),
        ({"request": {**DIGEST, "length": -1}}, "osp.request.length"),
        ({"request": {**DIGEST, "sha256": "../../etc"}}, "osp.request.sha256"),
        ({"response": {**DIGEST, "kept": "no"}}, "osp.response.kept"),
    ],
)
def test_metadata_that_make_no_sense_are_told_with_their_place(file, metadata, where):
    with pytest.raises(FlowFileError, match=rf"^flow 1: metadata {where.replace('[', chr(92) + '[')}: "):
        read_recording(rewritten(file, metadata))


@pytest.mark.parametrize("missing", ["operation", "bucket", "key", "query", "request"])
def test_metadata_that_are_missing_are_told(file, missing):
    (flow, _) = flows(file)
    del flow.metadata[METADATA][missing]
    with pytest.raises(ValueError, match=f"osp.{missing}: Field required"):
        exchange_of(flow)


@pytest.mark.parametrize("metadata", [[], "text", 1, None])
def test_metadata_that_are_something_else_are_told(file, metadata: Any):
    (flow, _) = flows(file)
    flow.metadata[METADATA] = metadata
    with pytest.raises(ValueError, match="metadata osp: "):
        exchange_of(flow)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": b"GET / HTTP/1.1\r\nHost: other\r\n\r\nGET"}, "the method is none of HTTP's"),
        ({"method": b""}, "the method is none of HTTP's"),
        ({"headers": http.Headers([(b"x-amz-meta-a", b"b\r\nc: d")])}, "header x-amz-meta-a: characters"),
        ({"headers": http.Headers([(b"x-amz-meta-a\r\nb", b"c")])}, r"header x-amz-meta-a\\r\\nb: characters"),
    ],
)
def test_what_would_begin_another_request_is_not_sent(file, changes, told):
    with pytest.raises(FlowFileError, match=f"flow 1: {told}"):
        read_recording(rewritten(file, **changes))


def test_an_answer_that_would_begin_another_one_is_not_given(file):
    (flow, _) = flows(file)
    assert flow.response is not None
    flow.response.headers = http.Headers([(b"etag", b"a\r\nset-cookie: b")])
    with pytest.raises(ValueError, match="header etag: characters"):
        exchange_of(flow)


def test_flows_that_are_none_of_s3s_are_counted(file):
    foreign = flow_answered()
    foreign.request.method = "PROPFIND"
    assert exchange_of(foreign) is None
    unanswered = flow_answered()
    unanswered.response = None
    assert exchange_of(unanswered) is None
    assert read_recording(file).left_out == 0


def test_of_a_recording_that_is_cut_off_the_beginning_may_do(file):
    cut = file.with_name("cut.osp")
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FlowFileError, match="cut off or damaged behind 1 flows") as found:
        read_recording(cut)
    assert found.value.whole == 1
    recording = read_recording(cut, partial=True)
    assert len(recording.exchanges) == 1
    assert recording.damage.startswith("cut off or damaged behind 1 flows")


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"]" * 100_000,
        b"9999999999999:",
        b"9" * 10_000,
        b'{"log": {"entries": [{}]}}',
        b"".join(b"%d:" % length for length in range(100)),
        b"0:~",
        b"\xff\xfe",
    ],
    ids=["empty", "text", "brackets", "length", "digits", "har", "lengths", "null", "octets"],
)
def test_what_is_no_recording_is_said_to_be_none(tmp_path, content, partial):
    other = tmp_path / "other"
    other.write_bytes(content)
    try:
        assert not read_recording(other, partial=partial).exchanges
    except FlowFileError as error:
        assert "not a flow file" in str(error)


def test_nesting_without_end_is_an_error_of_the_file(tmp_path):
    nested = b"0:]"
    for _ in range(5000):
        nested = b"%d:%b]" % (len(nested), nested)
    deep = tmp_path / "deep"
    deep.write_bytes(nested)
    with pytest.raises(FlowFileError, match="not a flow file"):
        list(http_flows(deep))


def test_what_har_has_no_place_for_is_known_by_its_digest(file):
    (flow, _) = flows(file)
    assert flow.response is not None
    flow.metadata.clear()
    flow.response.headers[BODY] = f"3 {'a' * 64}"
    flow.response.content = b"decoded by somebody"
    exchange = exchange_of(flow)
    assert exchange is not None
    assert (exchange.answer.payload.length, exchange.answer.payload.sha256) == (3, "a" * 64)
    assert exchange.answer.payload.content is None
    assert BODY not in dict(exchange.answer.headers)
    assert BODY not in dict(exchange.request.headers)


@pytest.mark.parametrize(
    "told", ["", "x", "3", f"-3 {'a' * 64}", f"{'9' * 5000} {'a' * 64}", f"{2**62} {'a' * 64}", f"3 {'A' * 64}"]
)
def test_a_digest_that_is_none_says_nothing(file, told):
    (flow, _) = flows(file)
    assert flow.response is not None
    flow.metadata.clear()
    flow.response.headers[BODY] = told
    flow.response.content = b"content"
    exchange = exchange_of(flow)
    assert exchange is not None
    assert exchange.answer.payload.content == b"content"
