"""The access log: one JSON document a line for each request.

The fields are those of S3's own server access log, in its order and under its names in lower case, and after them what
a gateway knows besides. What is not known is null. See "Amazon S3 server access log format" in the user guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from osp_gateway.observe.clean import from_octets, masked_target, masked_text, masked_words, readable
from osp_gateway.observe.exchange import Answer, Exchange
from osp_gateway.observe.labels import NONE, reason_class
from osp_gateway.observe.rest_names import rest_name
from osp_gateway.s3.head import RequestHead

MAX_NAME: Final = 255
MAX_KEY: Final = 1024
MAX_TARGET: Final = 2048
MAX_TEXT: Final = 512
_UNVERIFIED: Final = "(unverified)"
_NOBODY: Final = "anonymous"
_ALGORITHMS: Final = (("AWS4-HMAC-SHA256", "SigV4"), ("AWS4-ECDSA-P256-SHA256", "SigV4A"), ("AWS ", "SigV2"))

_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class AccessLog:
    """Turns requests into lines."""

    def __init__(self, put: Callable[[bytes], None], names: Callable[[], frozenset[str]] = frozenset) -> None:
        """Write lines.

        Args:
            put: takes each line, its end included; it must not block.
            names: gives those of further parameters whose values are masked, as `clean.folded` writes them.
        """
        self._put = put
        self._names = names

    def finished(self, exchange: Exchange) -> None:
        """See `Sink`."""
        self._put(line_of(exchange, self._names()))


def line_of(exchange: Exchange, names: frozenset[str] = frozenset()) -> bytes:
    """A request's line: ASCII, whatever the client sent, and a line feed. For `names` see `clean.masked_text`."""
    return _encode(_document(exchange, names)).encode("ascii") + b"\n"


def _document(exchange: Exchange, names: frozenset[str]) -> dict[str, Any]:
    verdict, answer, head, caller = exchange.verdict, exchange.answer, exchange.head, exchange.caller
    operation = verdict.operation if verdict else NONE
    bucket = readable(verdict.bucket, MAX_NAME) if verdict else ""
    key = readable(masked_text(verdict.key, names), MAX_KEY) if verdict else ""
    version, kind = _signature(head) if head else (None, None)
    code = answer.error_code if answer else ""
    why = reason_class(code, operation) if exchange.refused else ""
    timings = exchange.timings
    return {
        "bucket_owner": None,
        "bucket": bucket or None,
        "time": _time(exchange.arrived),
        "remote_ip": caller.address,
        "requester": _requester(exchange),
        "request_id": _request_id(exchange),
        "operation": rest_name(operation, head.method if head else "", bool(bucket), bool(key)),
        "key": key or None,
        "request_uri": _request_uri(head, exchange.http_version, names) if head else None,
        "http_status": answer.status if answer else None,
        "error_code": readable(code, MAX_NAME) or None,
        "bytes_sent": exchange.sent,
        "object_size": _object_size(exchange, operation),
        "total_time": round(timings.total * 1000),
        "turn_around_time": None if timings.turn_around is None else round(timings.turn_around * 1000),
        "referrer": _header(head, "referer", MAX_TARGET, lambda url: masked_target(url, names)),
        "user_agent": _header(head, "user-agent", MAX_TEXT, lambda text: masked_words(text, names)),
        "version_id": _version_id(answer),
        "host_id": (from_octets(answer.host_id, MAX_NAME) or None) if answer else None,
        "signature_version": version,
        "cipher_suite": caller.cipher or None,
        "authentication_type": kind,
        "host_header": _header(head, "host", MAX_NAME),
        "tls_version": caller.tls_version or None,
        "access_point_arn": None,
        "acl_required": None,
        "operation_name": operation if operation != NONE else None,
        "identity": readable(verdict.who, MAX_NAME) if verdict and verdict.who != NONE else None,
        "tls_subject": readable(verdict.tls_subject, MAX_TEXT) if verdict and verdict.tls_subject else None,
        "verdict": _verdict(exchange),
        "reason": readable(masked_text(verdict.reason, names), MAX_TEXT) if verdict else None,
        "reason_class": why or None,
        "cache": _cache(exchange, why),
        "upstream": readable(verdict.upstream, MAX_TEXT) if verdict and verdict.upstream != NONE else None,
        "decision_id": verdict.request_id if verdict else None,
        "bytes_received": exchange.received,
        "complete": exchange.complete,
        "admit_ms": _milliseconds(verdict.micros / 1e6) if verdict else None,
        "upstream_first_byte_ms": _milliseconds(timings.first_byte),
        "total_ms": _milliseconds(timings.total),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _requester(exchange: Exchange) -> str | None:
    """Who was verified: a name that a refused request only claimed is no requester."""
    verdict = exchange.verdict
    if verdict is None or verdict.operation == NONE or verdict.who in (NONE, _NOBODY):
        return None
    return None if verdict.who.endswith(_UNVERIFIED) else readable(verdict.who, MAX_NAME)


def _request_id(exchange: Exchange) -> str | None:
    """What the client was told."""
    told = exchange.answer.request_id if exchange.answer else ""
    return from_octets(told, MAX_NAME) or (exchange.verdict.request_id if exchange.verdict else None)


def _verdict(exchange: Exchange) -> str | None:
    if exchange.verdict is None:
        return "refused" if exchange.refused else None
    return "allowed" if exchange.verdict.allowed else "refused"


def _cache(exchange: Exchange, why: str) -> str | None:
    """Whether the authorizer's decision was remembered; null where it did not come to one."""
    verdict = exchange.verdict
    if verdict is None or verdict.operation == NONE or why not in ("", "authorization", "backend", "body"):
        return None
    return "hit" if verdict.cached else "miss"


def _version_id(answer: Answer | None) -> str | None:
    return (from_octets(answer.version_id, MAX_NAME) or None) if answer else None


def _request_uri(head: RequestHead, http_version: str, names: frozenset[str]) -> str:
    target = masked_target(f"{head.path}?{head.query}" if head.query else head.path, names)
    written = f"{from_octets(head.method, MAX_NAME)} {from_octets(target, MAX_TARGET)}"
    return f"{written} {http_version}" if http_version else written


def _header(head: RequestHead | None, name: str, limit: int, mask: Callable[[str], str] = str) -> str | None:
    value = head.get(name) if head else None
    return None if value is None else from_octets(mask(value), limit)


def _object_size(exchange: Exchange, operation: str) -> int | None:
    if operation in ("PutObject", "UploadPart") and exchange.complete and not exchange.refused:
        return exchange.received
    if operation in ("GetObject", "HeadObject") and exchange.answer and exchange.answer.status < 300:
        return exchange.answer.size
    return None


def _signature(head: RequestHead) -> tuple[str | None, str | None]:
    """Version and place of a signature, as the request claims."""
    written = head.get("authorization")
    if written is not None:
        return next((name for start, name in _ALGORITHMS if written.startswith(start)), None), "AuthHeader"
    query = head.query
    if "X-Amz-Algorithm=" in query:
        return ("SigV4A" if "X-Amz-Algorithm=AWS4-ECDSA" in query else "SigV4"), "QueryString"
    if "AWSAccessKeyId=" in query and "Signature=" in query:
        return "SigV2", "QueryString"
    return None, None
