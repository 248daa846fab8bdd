"""Recordings: flow files that are safe to be committed, and hold what is needed to replay them.

A recorded flow is made anew from what is meant to be in it: nothing else can slip in. See `sanitizing` for what is left
out of heads; addresses are, too. `rereading` reads recordings.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.io import FlowWriter

from osp_gateway.backends.responses import OBJECT_OPERATIONS
from osp_gateway.mitm.record_format import BODY, METADATA, SIGNED_BY, expires_of, is_hash
from osp_gateway.mitm.rereading import exchange_of
from osp_gateway.mitm.sanitizing import Sanitizer
from osp_gateway.outcomes import Verdict
from osp_gateway.replay.exchange import Form, Payload, path_style
from osp_gateway.replay.tape import KEPT_OCTETS, Tape
from osp_gateway.replay.xml import without_secrets
from osp_gateway.s3 import encoding
from osp_gateway.s3.form import boundary_of, closing, opening
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256

log = logging.getLogger(__name__)

_MODE: Final = re.compile(r"UNSIGNED-PAYLOAD|STREAMING-[A-Z0-9-]{1,64}|[0-9A-Fa-f]{64}").fullmatch
_NOBODY: Final = ("127.0.0.1", 0)


class Recorder:
    """Appends exchanges to a flow file."""

    def __init__(
        self, path: Path, limit: int = KEPT_OCTETS, *, onward: bool = False, sanitizer: Sanitizer | None = None
    ) -> None:
        """Write to `path`, which is begun anew with the first exchange: until then it stays what it was.

        Args:
            path: the flow file.
            limit: objects of up to so many octets are kept whole.
            onward: append to what is there instead.
            sanitizer: the one of what is there.

        Raises:
            OSError: the file cannot be written, or somebody else is recording into it.
        """
        self.limit = limit
        self.sanitizer: Final = sanitizer or Sanitizer()
        self._path = path
        self._made = not path.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that nobody reads is an error
        self._file = os.fdopen(os.open(path, flags, 0o666), "wb", buffering=0)
        try:
            os.set_blocking(self._file.fileno(), True)
            _take(self._file.fileno())
            self._cut = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
            self._length = self._file.seek(0, os.SEEK_END) if self._cut else 0
        except BaseException:
            self._file.close()
            raise
        self.begun = onward
        """Whether what is in the file is of this recording."""

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
            ValueError: it could not be read again.
        """
        if verdict.operation == "-" or flow.response is None:
            return False
        recorded = _recorded(flow, verdict, tape, self.sanitizer)
        exchange_of(recorded)  # one that makes no sense would cost all the others, which nobody could read any more
        octets = io.BytesIO()
        FlowWriter(octets).add(recorded)
        if not self.begun:
            self._length = 0
            self._cut_off()
            self.begun = True
        self._append(octets.getvalue())
        return True

    def close(self) -> None:
        """The end. A file that was made for a recording that never began is removed."""
        if self._made and not self.begun and self._is_at(os.lstat):
            self._path.unlink(missing_ok=True)
        self._file.close()

    @property
    def lost(self) -> bool:
        """Whether somebody has removed the file, or put another one in its place, while it was recorded into."""
        return self.begun and not self._is_at(os.stat)

    def _is_at(self, look: Callable[[Path], os.stat_result]) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), look(self._path))
        except OSError:
            return False

    def _append(self, octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):
                self._cut_off()
            raise
        self._length += len(octets)

    def _cut_off(self) -> None:
        """All that is behind the last whole exchange."""
        if self._cut:
            self._file.truncate(self._length)
            self._file.seek(self._length)


def _take(number: int) -> None:
    """Two programs that record into one file would write over each other."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(0, "another program is recording into it") from None
    except OSError:
        log.debug("osp_record: this file system has no locks")


def _recorded(flow: http.HTTPFlow, verdict: Verdict, tape: Tape, sanitizer: Sanitizer) -> http.HTTPFlow:
    head, response = tape.head, flow.response
    assert response is not None
    request_body, answer_body = tape.request.payload(), _answer_body(response, verdict, tape)
    query = sanitizer.query(head)
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
        path=(_path(head, verdict, form) + ("?" + encoding.join_query(query) if query else "")).encode("latin-1"),
        http_version=b"HTTP/1.1",
        headers=_headers([*_signer(verdict, signed), _digest(request_body), *sanitizer.of_request(head.headers)]),
        content=request_body.content or b"" if form is None else _form(head, form, request_body, sanitizer),
        trailers=None,
        timestamp_start=flow.request.timestamp_start,
        timestamp_end=flow.request.timestamp_end,
    )
    fields = response.headers.fields if tape.answer_headers is None else tape.answer_headers
    answered = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
    copy.response = http.Response(
        http_version=b"HTTP/1.1",
        status_code=response.status_code,
        reason=response.data.reason,
        headers=_headers([_digest(answer_body), *sanitizer.of_answer(answered)]),
        content=answer_body.content or b"",
        trailers=None,
        timestamp_start=response.timestamp_start,
        timestamp_end=response.timestamp_end,
    )
    copy.metadata[METADATA] = {
        "operation": verdict.operation,
        "identity": verdict.who,
        "bucket": verdict.bucket,
        "key": encoding.encode(verdict.key.encode(), "/"),
        "query": [list(pair) for pair in query],
        "mode": _mode(head, request_body),
        "signed": signed,
        "expires": expires_of(head) if presigned else 0,
        "request": _written(request_body),
        "response": _written(answer_body),
    }
    copy.comment = f"{verdict.operation} {verdict.bucket}/{verdict.key}".rstrip("/")
    return copy


def _path(head: RequestHead, verdict: Verdict, form: Form | None) -> str:
    """In path style: the host that names a bucket in virtual-hosted style is left out."""
    if not verdict.bucket:
        return head.path
    return path_style(verdict.bucket, "" if form is not None else encoding.encode(verdict.key.encode(), "/"))


def _answer_body(response: http.Response, verdict: Verdict, tape: Tape) -> Payload:
    body = tape.answer.payload()
    if not body.length and response.raw_content:  # the gateway's own answer
        body = Payload.of(response.raw_content)
    is_object = verdict.operation in OBJECT_OPERATIONS and response.status_code < 300
    return body if is_object or not body.content else Payload.of(without_secrets(body.content))


def _form(head: RequestHead, form: Form, file: Payload, sanitizer: Sanitizer) -> bytes:
    """The form without what authenticates it, and without its file where that is too large."""
    boundary = boundary_of(head.get("content-type") or "")
    return opening(boundary, sanitizer.of_form(form.pairs), form.filename) + (file.content or b"") + closing(boundary)


def _signer(verdict: Verdict, signed: bool) -> list[Header]:
    return [(SIGNED_BY, quote(verdict.who, safe=""))] if signed else []


def _digest(body: Payload) -> Header:
    return BODY, f"{body.length} {body.sha256}"


def _mode(head: RequestHead, body: Payload) -> str:
    """The `x-amz-content-sha256`, but for hashes that are right: those are made anew. A wrong one was refused."""
    mode = head.get(CONTENT_SHA256) or ""
    if _MODE(mode) is None:
        return ""
    if not is_hash(mode):
        return mode
    whole = (head.get("content-length") or "0") == str(body.length)
    return mode if whole and mode.lower() != body.sha256 else ""


def _headers(fields: Iterable[Header]) -> http.Headers:
    return http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields])


def _written(payload: Payload) -> dict[str, Any]:
    return {"length": payload.length, "sha256": payload.sha256, "kept": payload.content is not None}


def _client(flow: http.HTTPFlow) -> Client:
    began = flow.client_conn.timestamp_start
    return Client(peername=_NOBODY, sockname=_NOBODY, timestamp_start=began or flow.request.timestamp_start)
