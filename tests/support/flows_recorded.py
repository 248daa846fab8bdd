"""Recorded flows that were never served."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from osp_gateway.mitm.record_format import METADATA
from osp_gateway.mitm.recording import Recorder
from osp_gateway.outcomes import Verdict
from osp_gateway.s3.head import Header, RequestHead


def verdict(operation: str = "GetObject", key: str = "key") -> Verdict:
    return Verdict("id", "alice", operation, "demo", key, True, "", False, "store", 1)


def flow_answered(status: int = 200, headers: tuple[Header, ...] = (), content: bytes = b"") -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    assert flow.response is not None
    fields = [(name.encode(), value.encode()) for name, value in headers]
    flow.response = http.Response(b"HTTP/1.1", status, b"", http.Headers(fields), content, None, 1.0, 2.0)
    return flow


def write(
    recorder: Recorder,
    *,
    target: str = "/demo/key",
    headers: tuple[Header, ...] = (),
    answered: http.HTTPFlow | None = None,
    body: bytes = b"",
    method: str = "GET",
    operation: str = "GetObject",
) -> bool:
    """Record an exchange as if it had been served."""
    path, _, query = target.partition("?")
    tape = recorder.tape(RequestHead(method, path, query, headers))
    if body:
        tape.send(body, operation)
    flow = answered or flow_answered()
    assert flow.response is not None
    if flow.response.raw_content:
        tape.receive(flow.response.raw_content, operation, flow.response.status_code)
    return recorder.write(flow, verdict(operation), tape)


def flows(file: Path) -> list[http.HTTPFlow]:
    with file.open("rb") as opened:
        return [flow for flow in FlowReader(opened).stream() if isinstance(flow, http.HTTPFlow)]


def rewritten(file: Path, metadata: Mapping[str, Any] | None = None, **changes: Any) -> Path:
    """The recording with its first flow's metadata, or attributes of its request, changed."""
    (flow, *others) = flows(file)
    if metadata is not None:
        flow.metadata[METADATA] = {**flow.metadata[METADATA], **metadata}
    for name, value in changes.items():
        setattr(flow.request.data, name, value)
    return written(file.with_name(f"changed-{file.name}"), flow, *others)


def written(file: Path, *flows: http.HTTPFlow) -> Path:
    """A flow file as mitmproxy writes it."""
    with file.open("wb") as opened:
        writer = FlowWriter(opened)
        for flow in flows:
            writer.add(flow)
    return file
