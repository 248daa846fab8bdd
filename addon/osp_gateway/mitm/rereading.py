"""Reading recordings, and other flow files and HAR files with S3 requests. They may be anybody's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote

from mitmproxy import http
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osp_gateway.fields import place_of
from osp_gateway.mitm.flowfile import FlowFileError, http_flows
from osp_gateway.mitm.record_format import BODY, METADATA, SIGNED_BY, expires_of, is_hash
from osp_gateway.mitm.sanitizing import is_recorded
from osp_gateway.mitm.wire import head_of
from osp_gateway.protocol.syntax import TOKEN
from osp_gateway.replay.exchange import EMPTY, Answer, Exchange, Form, Payload, RecordedRequest
from osp_gateway.replay.tape import KEPT_OCTETS, FormBody, body_of
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import KEY, Fields
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.s3.operations import OperationTable
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from osp_gateway.sigv4.policy import expand
from osp_gateway.sigv4.presigned import hoisted_headers, without_authentication

MAX_BODY_OCTETS: Final = 50 * 1024**4
"""Of the largest object that S3 has."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds. `left_out` counts flows that are no S3 requests, or have no answer; `damage` says what is the
    matter with the end of the file, if anything is.
    """

    exchanges: tuple[Exchange, ...]
    left_out: int
    damage: str = ""


class _Written(BaseModel):
    """Metadata are what a recorder has written, or what somebody wants to be taken for that."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class _WrittenBody(_Written):
    length: Annotated[int, Field(ge=0, le=MAX_BODY_OCTETS)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]
    kept: bool

    def payload(self, content: bytes | None) -> Payload:
        """With the octets that were kept."""
        if self.kept:
            return Payload.of(content) if content else EMPTY
        return Payload(self.length, self.sha256)


_Encoded = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~%-]*\z", max_length=64 * 1024)]
_Path = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~%/-]*\z", max_length=64 * 1024)]


class _WrittenExchange(_Written):
    operation: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}\z")]
    identity: Annotated[str, Field(max_length=64 * 1024)]
    bucket: Annotated[str, Field(max_length=64 * 1024)]
    key: _Path
    query: list[Annotated[list[_Encoded], Field(min_length=2, max_length=2)]]
    mode: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,128}\z")]
    signed: bool
    expires: Annotated[int, Field(ge=0, le=9_999_999)]
    request: _WrittenBody
    response: _WrittenBody


def read_recording(path: Path, *, partial: bool = False) -> Recording:
    """The exchanges in a flow file, in its order: a recording's, or what can be made of other flows.

    Args:
        path: the file.
        partial: whether the beginning of a file that is cut off will do.

    Raises:
        FlowFileError: there is no such file, it is none, or a recorded exchange in it makes no sense.
    """
    exchanges: list[Exchange] = []
    left_out, damage = 0, ""
    try:
        for number, flow in enumerate(http_flows(path), 1):
            exchange = _exchange(number, flow)
            if exchange is None:
                left_out += 1
            else:
                exchanges.append(exchange)
    except FlowFileError as error:
        if not (partial and error.whole):
            raise
        damage = str(error)
    return Recording(tuple(exchanges), left_out, damage)


def _exchange(number: int, flow: http.HTTPFlow) -> Exchange | None:
    try:
        return exchange_of(flow)
    except ValueError as error:
        raise FlowFileError(f"flow {number}: {error}") from None


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange that a flow holds; None where it is none of S3's, or has no answer.

    Raises:
        ValueError: a recorded one makes no sense; the text says what is wrong.
    """
    if flow.response is None:
        return None
    if flow.modified():  # what the client sent, and not what went on to the store
        answered, flow = flow.response, flow.copy()
        flow.revert()
        flow.response = answered
    if METADATA in flow.metadata:
        return _as_written(flow, flow.metadata[METADATA])
    try:
        return _as_found(flow)
    except (S3Error, ValueError):
        return None


def _as_written(flow: http.HTTPFlow, metadata: Any) -> Exchange:
    """Of a recording."""
    try:
        written = _WrittenExchange.model_validate(metadata)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{METADATA}.{place_of(first['loc'])}".rstrip(".")
        raise ValueError(f"metadata {place}: {first['msg']}") from None
    request, response = flow.request, flow.response
    assert response is not None
    _must_be_sendable(request.data.method, request.headers)
    _must_be_sendable(b"GET", response.headers)
    content, form = request.raw_content or b"", None
    body = body_of(head_of(flow), len(content))  # all of it: what was to be kept was decided when it was recorded
    if isinstance(body, FormBody):
        body.add(content)
        if (form := body.form) is not None:
            content = body.payload().content or b""
    recorded = RecordedRequest(
        method=request.method,
        bucket=written.bucket,
        key_path=written.key,
        query=tuple((name, value) for name, value in written.query),
        headers=_sent(request.headers),
        payload=written.request.payload(content),
        mode=written.mode,
        expires=written.expires or None,
        signed=written.signed,
        form=form,
    )
    answer = Answer(response.status_code, _answered(response.headers), written.response.payload(response.raw_content))
    return Exchange(written.operation, written.identity, recorded, answer, *_times(flow))


def _must_be_sendable(method: bytes, headers: http.Headers) -> None:
    """What HTTP has no place for would end a request, and begin another one."""
    if not TOKEN.fullmatch(method):
        raise ValueError("the method is none of HTTP's")
    for name, value in headers.fields:
        if not TOKEN.fullmatch(name) or _CONTROL(value):
            raise ValueError(f"header {ascii(name.decode('latin-1'))[1:-1]}: characters that HTTP does not allow")


_CONTROL: Final = re.compile(rb"[\r\n\0]").search


def _as_found(flow: http.HTTPFlow) -> Exchange:
    """Of a flow that somebody else has saved, or that was made of a HAR file."""
    head, response = head_of(flow), flow.response
    assert response is not None
    _must_be_sendable(flow.request.data.method, flow.request.headers)
    _must_be_sendable(b"GET", response.headers)
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
        key_path=resource.canonical_key if form is None else encoding.encode(_key_of(form).encode(), "/"),
        query=plain,
        headers=headers,
        payload=_as_recorded(flow.request.headers, body.payload()),
        mode=mode if not is_hash(mode) else "",
        expires=expires_of(head) if presigned else None,
        signed=signed or presigned or "authorization" in head.fields or SIGNED_BY in head.fields,
        form=form,
    )
    answered = _as_recorded(response.headers, Payload.of(response.raw_content or b""))
    answer = Answer(response.status_code, _answered(response.headers), answered)
    return Exchange(operation.name, _access_key(head), recorded, answer, *_times(flow))


def _key_of(form: Form) -> str:
    """Where the form's file goes."""
    fields = expand(Fields(form.pairs, form.filename))
    return next((value for name, value in fields.pairs if name.lower() == KEY), "")


def _as_recorded(headers: http.Headers, found: Payload) -> Payload:
    """Of a body that was not kept, or is not what was recorded any more, the digest."""
    told = _DIGEST(headers.get(BODY, ""))
    if told is None or told[2] == found.sha256 or int(told[1]) > MAX_BODY_OCTETS:
        return found
    return Payload(int(told[1]), told[2])


_DIGEST: Final = re.compile(r"(\d{1,15}) ([0-9a-f]{64})", re.ASCII).fullmatch


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


def _sent(headers: http.Headers) -> tuple[Header, ...]:
    return tuple(pair for pair in _fields(headers) if is_recorded(pair[0]))


def _answered(headers: http.Headers) -> tuple[Header, ...]:
    return tuple(pair for pair in _fields(headers) if pair[0] != BODY)


def _fields(headers: http.Headers) -> tuple[Header, ...]:
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers.fields)
