"""Recordings: flow files that are safe to be committed, and hold what is needed to replay them.

A recorded flow is made anew from what is meant to be in it: nothing else can slip in. Signatures, tokens and cookies
are left out, addresses too; keys of SSE-C become others that stand for them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.io import FlowWriter

from osp_gateway.mitm.flowfile import http_flows
from osp_gateway.mitm.wire import head_of
from osp_gateway.outcomes import Verdict
from osp_gateway.replay.exchange import EMPTY, Answer, Exchange, Form, Payload, RecordedRequest
from osp_gateway.replay.tape import KEPT_OCTETS, Body, Tape, body_of
from osp_gateway.replay.xml import without_secrets
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import boundary_of, closing, opening
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.s3.operations import OperationTable
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from osp_gateway.sigv4.presigned import hoisted_headers, without_authentication

METADATA: Final = "osp"
"""Where in a flow's metadata the recording is."""
RECORDED: Final = (
    "accept",
    "accept-encoding",
    "access-control-request-*",
    "amz-sdk-*",
    "cache-control",
    "content-*",
    "expires",
    "if-*",
    "origin",
    "range",
    "user-agent",
    "x-amz-*",
)
"""Headers of a request that are recorded: those that S3 or its SDKs know. Others may hold anything, secrets too."""
SIGNED_BY: Final = "x-osp-signed-by"
"""A header of recorded requests, which is not sent again."""
_SECRET: Final = frozenset(
    {
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-mfa",
        "x-amz-region-set",
        "x-amz-s3session-token",
        "x-amz-security-token",
    }
)
"""Among these, what is secret or made anew."""
_LEFT_OUT_OF_ANSWERS: Final = _SECRET | {
    "authentication-info",
    "authorization",
    "connection",
    "proxy-authenticate",
    "set-cookie",
    "transfer-encoding",
    "www-authenticate",
    "x-auth-token",
}
_KEY_OF_CUSTOMER: Final = "server-side-encryption-customer-key"
_NOBODY: Final = ("127.0.0.1", 0)


class Recorder:
    """Appends exchanges to a flow file."""

    def __init__(self, path: Path, limit: int) -> None:
        """Write to `path`, which is begun anew; bodies of up to `limit` octets are kept whole.

        Raises:
            OSError: the file cannot be written.
        """
        self.limit = limit
        self._file = path.open("wb", buffering=0)
        self._length = 0
        self._salt = os.urandom(32)

    def tape(self, head: RequestHead) -> Tape:
        """A tape for a request whose head has come."""
        return Tape(head, self.limit)

    def write(self, flow: http.HTTPFlow, verdict: Verdict, tape: Tape) -> bool:
        """Record an exchange that has come to its end; whether it is one that can be.

        Args:
            flow: with its response.
            verdict: what was decided.
            tape: what went by.

        Raises:
            OSError: it cannot be written; what was written before is whole.
        """
        if verdict.operation == "-" or flow.response is None:
            return False
        octets = io.BytesIO()
        FlowWriter(octets).add(_recorded(flow, verdict, tape, self._salt))
        self._append(octets.getvalue())
        return True

    def _append(self, octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):  # no file that can be cut
                self._file.truncate(self._length)
            raise
        self._length += len(octets)

    def close(self) -> None:
        """The end."""
        self._file.close()


def read_recording(path: Path) -> Iterator[Exchange]:
    """The exchanges in a flow file, in its order: a recording's, or what can be made of other flows.

    Raises:
        FlowFileError: there is no such file, or it is none.
    """
    for flow in http_flows(path):
        if (exchange := exchange_of(flow)) is not None:
            yield exchange


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange that a flow holds; None where it is none of S3's, or has no answer."""
    if flow.response is None:
        return None
    if flow.modified():  # what the client sent, and not what went on to the store
        answered, flow = flow.response, flow.copy()
        flow.revert()
        flow.response = answered
    written = flow.metadata.get(METADATA)
    try:
        return _as_written(flow, written) if isinstance(written, Mapping) else _as_found(flow)
    except (S3Error, KeyError, TypeError, ValueError):
        return None


def _recorded(flow: http.HTTPFlow, verdict: Verdict, tape: Tape, salt: bytes) -> http.HTTPFlow:
    head, response = tape.head, flow.response
    assert response is not None
    request_body, answer_body = tape.request.payload(), tape.answer.payload()
    if not answer_body.length and response.raw_content:  # the gateway's own answer
        answer_body = Payload.of(response.raw_content)
    if response.status_code >= 300 and answer_body.content:
        answer_body = Payload.of(without_secrets(answer_body.content))
    query = plain_query(head)
    presigned = "x-amz-signature=" in head.query.lower()
    form = tape.request.form
    signed = form.signed if form is not None else "authorization" in head.fields or presigned
    copy = http.HTTPFlow(_client(flow), Server(address=None))
    copy.request = http.Request(
        host="osp.invalid",
        port=80,
        method=head.method.encode("latin-1"),
        scheme=b"http",
        authority=b"",
        path=(head.path + ("?" + encoding.join_query(query) if query else "")).encode("latin-1"),
        http_version=b"HTTP/1.1",
        headers=_headers([*_signer(verdict, signed), *(p for p in head.headers if is_recorded(p[0]))], salt),
        content=request_body.content or b"" if form is None else _form(head, form, request_body, salt),
        trailers=None,
        timestamp_start=flow.request.timestamp_start,
        timestamp_end=flow.request.timestamp_end,
    )
    answered = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.fields]
    copy.response = http.Response(
        http_version=b"HTTP/1.1",
        status_code=response.status_code,
        reason=response.data.reason,
        headers=_headers((pair for pair in answered if pair[0].lower() not in _LEFT_OUT_OF_ANSWERS), salt),
        content=answer_body.content or b"",
        trailers=None,
        timestamp_start=response.timestamp_start,
        timestamp_end=response.timestamp_end,
    )
    mode = head.get(CONTENT_SHA256) or ""
    copy.metadata[METADATA] = {
        "operation": verdict.operation,
        "identity": verdict.who,
        "bucket": verdict.bucket,
        "key": encoding.encode(verdict.key.encode(), "/"),
        "query": [list(pair) for pair in query],
        "mode": mode if not _is_hash(mode) else "",
        "signed": signed,
        "expires": _expires(head) if presigned else 0,
        "request": _written(request_body),
        "response": _written(answer_body),
    }
    copy.comment = f"{verdict.operation} {verdict.bucket}/{verdict.key}".rstrip("/")
    return copy


def _form(head: RequestHead, form: Form, file: Payload, salt: bytes) -> bytes:
    """The form without what authenticates it, and without its file where that is too large."""
    boundary = boundary_of(head.get("content-type") or "")
    pairs = [(name, _stand_in(name.lower(), value, salt)) for name, value in form.pairs]
    return opening(boundary, pairs, form.filename) + (file.content or b"") + closing(boundary)


def _signer(verdict: Verdict, signed: bool) -> list[Header]:
    """Who signed: in formats that have no room for metadata, such as HAR, it is all that is left of them."""
    return [(SIGNED_BY, quote(verdict.who, safe=""))] if signed else []


def _as_written(flow: http.HTTPFlow, written: Mapping[str, Any]) -> Exchange:
    """Of a recording."""
    request, response = flow.request, flow.response
    assert response is not None
    body = _body(head_of(flow), request.raw_content or b"")
    content = request.raw_content if body.form is None else body.payload().content
    recorded = RecordedRequest(
        method=request.method,
        bucket=written["bucket"],
        key_path=written["key"],
        query=tuple((name, value) for name, value in written["query"]),
        headers=_sent(request.headers),
        payload=_payload(written["request"], content),
        mode=written["mode"],
        expires=written["expires"] or None,
        signed=written["signed"],
        form=body.form,
    )
    answer = Answer(
        response.status_code, _fields(response.headers), _payload(written["response"], response.raw_content)
    )
    return Exchange(written["operation"], written["identity"], recorded, answer, *_times(flow))


def _body(head: RequestHead, content: bytes) -> Body:
    """A recorded body, all of it: what was to be kept was decided when it was recorded."""
    body = body_of(head, len(content))
    body.add(content)
    return body


def _as_found(flow: http.HTTPFlow) -> Exchange:
    """Of a flow that somebody else has saved, or that was made of a HAR file."""
    head, response = head_of(flow), flow.response
    assert response is not None
    resource = locate(head.path, head.get("host") or "", ())
    query = encoding.parse_query(head.query)
    presigned = any(name == "X-Amz-Signature" for name, _ in query)
    headers = _sent(flow.request.headers)
    plain = without_authentication(query)
    if presigned and (hoisted := hoisted_headers(plain)):
        plain = tuple(pair for pair in plain if pair[0].lower() not in hoisted)
        headers = (*headers, *hoisted.items())
    operation = _TABLE.name(head.method, resource, plain, head.fields)
    mode = head.get(CONTENT_SHA256) or ""
    body = body_of(head, KEPT_OCTETS)
    body.add(flow.request.raw_content or b"")
    form = body.form
    signed = form is not None and form.signed
    recorded = RecordedRequest(
        method=head.method,
        bucket=resource.bucket,
        key_path=resource.canonical_key if form is None else encoding.encode(form.key.encode(), "/"),
        query=plain,
        headers=headers,
        payload=body.payload(),
        mode=mode if not _is_hash(mode) else "",
        expires=_expires(head) if presigned else None,
        signed=signed or presigned or "authorization" in head.fields or SIGNED_BY in head.fields,
        form=form,
    )
    answer = Answer(response.status_code, _fields(response.headers), Payload.of(response.raw_content or b""))
    return Exchange(operation.name, _access_key(head), recorded, answer, *_times(flow))


def _access_key(head: RequestHead) -> str:
    """Who signed, as they say, or as it was recorded."""
    if recorded := head.get(SIGNED_BY):
        return unquote(recorded)
    credential = dict(encoding.parse_query(head.query)).get("X-Amz-Credential", "")
    if not credential:
        found = _CREDENTIAL(head.get("authorization") or "")
        credential = found[1] if found else ""
    return unquote(credential).rsplit("/", 4)[0]


_CREDENTIAL: Final = re.compile(r"AWS4-\S+\s+.*?Credential=([^,\s]+)").match
_TABLE: Final = OperationTable.from_botocore()


def _times(flow: http.HTTPFlow) -> tuple[float, float]:
    began = flow.request.timestamp_start
    ended = flow.response.timestamp_end if flow.response is not None else None
    return began, ended or began


def plain_query(head: RequestHead) -> tuple[Pair, ...]:
    """The query without the parameters of a signature, and nothing that is one."""
    try:
        query = encoding.parse_query(head.query)
    except ValueError:
        return ()
    return tuple(pair for pair in without_authentication(query) if pair[0].lower() not in _SECRET_PARAMETERS)


_SECRET_PARAMETERS: Final = frozenset({"awsaccesskeyid", "signature", "expires", "x-amz-security-token"})


def _expires(head: RequestHead) -> int:
    query = dict(encoding.parse_query(head.query))
    text = query.get("X-Amz-Expires", "")
    return int(text) if text.isdecimal() and len(text) < 8 else 3600


def is_recorded(name: str) -> bool:
    """Whether a header of a request is."""
    lower = name.lower()
    return lower not in _SECRET and any(fnmatchcase(lower, pattern) for pattern in RECORDED)


def _headers(fields: Iterable[Header], salt: bytes) -> Any:
    kept = [(name, _stand_in(name.lower(), value, salt)) for name, value in fields]
    return http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept])


def _stand_in(name: str, value: str, salt: bytes) -> str:
    """Instead of a customer's key another one, the same each time; and its MD5 where that is wanted."""
    if not name.endswith((_KEY_OF_CUSTOMER, _KEY_OF_CUSTOMER + "-md5")):
        return value
    digest = value
    if not name.endswith("-md5"):
        try:
            key = base64.b64decode(value, validate=True)
        except ValueError:
            return "not-base64"
        digest = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
    other = hmac.digest(salt, digest.encode(), hashlib.sha256)
    if name.endswith("-md5"):
        other = hashlib.md5(other, usedforsecurity=False).digest()
    return base64.b64encode(other).decode()


def _sent(headers: http.Headers) -> tuple[Header, ...]:
    return tuple(pair for pair in _fields(headers) if is_recorded(pair[0]))


def _fields(headers: http.Headers) -> tuple[Header, ...]:
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers.fields)


def _written(payload: Payload) -> dict[str, Any]:
    return {"length": payload.length, "sha256": payload.sha256, "kept": payload.content is not None}


def _payload(written: Mapping[str, Any], content: bytes | None) -> Payload:
    if written["kept"]:
        return Payload.of(content) if content else EMPTY
    return Payload(int(written["length"]), str(written["sha256"]))


def _client(flow: http.HTTPFlow) -> Client:
    began = flow.client_conn.timestamp_start
    return Client(peername=_NOBODY, sockname=_NOBODY, timestamp_start=began or flow.request.timestamp_start)


def _is_hash(mode: str) -> bool:
    return mode != UNSIGNED_PAYLOAD and not mode.startswith("STREAMING-")
