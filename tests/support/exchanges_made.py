"""Recorded exchanges that were never sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from osp_gateway.replay.exchange import Answer, Exchange, Payload, RecordedRequest


def request(method: str = "GET", key: str = "key", content: bytes = b"", **more: Any) -> RecordedRequest:
    """For `key` in the bucket `demo`."""
    fields: dict[str, Any] = {"query": (), "headers": (), "payload": Payload.of(content), "bucket": "demo"}
    return RecordedRequest(method, key_path=key, **{**fields, **more})


def answer(status: int = 200, content: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, tuple((headers or {}).items()), Payload.of(content))


def document(content: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in XML."""
    return answer(status, content.encode(), {"content-type": "application/xml", **(headers or {})})


def exchange(
    operation: str = "GetObject",
    asked: RecordedRequest | None = None,
    answered: Answer | None = None,
    began: float = 0.0,
    ended: float = 0.0,
) -> Exchange:
    return Exchange(operation, "client-fake-key", asked or request(), answered or answer(), began, ended)


def large(length: int, name: str = "large") -> Payload:
    """A body of which no more than the digest was recorded."""
    return Payload(length, hashlib.sha256(name.encode()).hexdigest())
