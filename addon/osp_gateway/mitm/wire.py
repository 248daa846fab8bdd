"""Between mitmproxy's flows and the gateway's own types."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Final

from mitmproxy import http
from mitmproxy.proxy.mode_specs import ReverseMode

from osp_gateway.backends.confined import ConfinedAnswer, ConfinedNames, mapped_headers
from osp_gateway.backends.refusals import (
    FIRST_STATUS,
    CredentialMask,
    Credentials,
    DecodedRefusal,
    QuoteMask,
    coding_of,
    without_credentials,
)
from osp_gateway.backends.responses import OBJECT_OPERATIONS, DeleteResultCompleter, XmlNameRewriter
from osp_gateway.backends.routes import Endpoint
from osp_gateway.gateway import Gateway
from osp_gateway.mitm.showing import Showing
from osp_gateway.outcomes import Arrival, Forward, Refusal, Reply, Verdict
from osp_gateway.replay.tape import Tape
from osp_gateway.s3.head import RequestHead
from osp_gateway.s3.operations import POST_OBJECT

log = logging.getLogger(__name__)

REFUSED_MARK: Final = ":no_entry:"
CONNECTION_HEADERS: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}
)
CONNECTION_HEADERS_H2: Final = CONNECTION_HEADERS | {b"transfer-encoding"}

_OF_CODED_DOCUMENTS: Final = frozenset({b"content-encoding", b"content-md5"})
"""Headers that are no longer true of a document which was decoded."""

Fields = tuple[tuple[bytes, bytes], ...]
Rewriter = CredentialMask | XmlNameRewriter | ConfinedAnswer | DeleteResultCompleter | DecodedRefusal | QuoteMask


def arrival_of(
    flow: http.HTTPFlow, tls_subject: str | None = None, head: RequestHead | None = None, skew: float = 0.0
) -> Arrival:
    """What arrived, as the gateway wants it; `head` is as it was received, where the flow's own is masked by now."""
    return Arrival(
        head=head or head_of(flow),
        source=str(flow.client_conn.peername[0]),
        tls=flow.client_conn.tls_established,
        default_endpoint=default_endpoint(flow),
        port=flow.client_conn.sockname[1],
        tls_subject=tls_subject,
        skew=skew,
    )


def head_of(flow: http.HTTPFlow) -> RequestHead:
    """The head of a flow's request: every octet as it came, or masked; see `Desk.head`."""
    request = flow.request.data
    path, _, query = request.path.decode("latin-1").partition("?")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.fields]
    authority = request.authority.decode("latin-1")
    if authority:
        headers = _with_authority(headers, authority)
    return RequestHead(request.method.decode("latin-1"), path, query, tuple(headers))


def _with_authority(headers: list[tuple[str, str]], authority: str) -> list[tuple[str, str]]:
    """The authority of HTTP/2, or of an absolute-form target, as a Host header.

    Where a different Host header came with it, both stay: the gateway refuses a Host given twice.
    """
    hosts = [value for name, value in headers if name.lower() == "host"]
    return headers if hosts == [authority] else [("host", authority), *headers]


def default_endpoint(flow: http.HTTPFlow) -> Endpoint | None:
    """The listener's reverse target."""
    mode = flow.client_conn.proxy_mode
    if not isinstance(mode, ReverseMode) or mode.scheme not in ("http", "https"):
        return None
    host, port = mode.address
    return Endpoint(host, port, mode.scheme == "https")


def response_of(outcome: Reply | Refusal) -> http.Response:
    """The gateway's own answer as mitmproxy wants it."""
    status = outcome.error.status if isinstance(outcome, Refusal) else outcome.status
    headers = http.Headers([(name.encode(), value.encode("latin-1", "replace")) for name, value in outcome.headers])
    shown = outcome.shown if isinstance(outcome, Reply) else None
    return http.Response.make(status, outcome.body if shown is None else shown, headers)


def annotate(
    flow: http.HTTPFlow, verdict: Verdict, showing: Showing, head: RequestHead, domains: tuple[str, ...] = ()
) -> None:
    """Tell a person what was decided; see `Showing.verdict`."""
    showing.verdict(flow, head, verdict, domains)
    if not verdict.allowed:
        flow.marked = REFUSED_MARK
        log.info("%s", showing.for_log(head, flow.comment))


class Beginning:
    """What is kept of a body: its first octets."""

    def __init__(self, limit: int) -> None:
        """Keep `limit` octets at most."""
        self._limit = limit
        self._pieces: list[bytes] = []
        self._kept = 0
        self._octets = 0

    def add(self, data: bytes) -> None:
        """One more piece of the body."""
        self._octets += len(data)
        if data and self._kept < self._limit:
            self._pieces.append(data[: self._limit - self._kept])
            self._kept += len(self._pieces[-1])

    def show(self, flow: http.HTTPFlow, message: http.Message, name: str) -> None:
        """Put it into the flow's `message`; where it is not all of the body, say so."""
        if not self._limit and self._octets:
            return
        message.data.content = b"".join(self._pieces)
        if self._octets > self._kept:
            flow.metadata[f"osp_{name}_cut"] = self._octets
            flow.comment += f", {name} body: the first {self._kept} of {self._octets} octets"

    def forget(self) -> None:
        """Nobody will look at it any more."""
        self._pieces.clear()


class Preview:
    """Streams a response's body through rewriters and keeps its beginning with the flow, to be looked at."""

    def __init__(
        self,
        flow: http.HTTPFlow,
        rewriters: Sequence[Rewriter],
        limit: int,
        record: Callable[[bytes], None] | None = None,
    ) -> None:
        """Keep `limit` octets at most; `record` is told what the client gets."""
        self._flow = flow
        self._record = record
        self._rewriters = tuple(rewriters)
        self._kept = Beginning(limit)

    def __call__(self, data: bytes) -> list[bytes]:
        """What mitmproxy calls for each piece, and with `b""` at the end.

        Nothing is an empty list: an empty piece would be sent as the chunk that ends a chunked body.
        """
        ready = data
        for rewriter in self._rewriters:
            ready = rewriter.feed(ready) if ready else b""
            if not data:
                ready += rewriter.finish()
        self._kept.add(ready)
        if self._record is not None:
            self._record(ready)
        if not data and self._flow.response is not None:
            self._kept.show(self._flow, self._flow.response, "response")
        return [ready] if ready else []


def adapt_response(
    flow: http.HTTPFlow, forward: Forward, preview: int, tape: Tape | None = None, credentials: Credentials = ()
) -> None:
    """Stream the backend's response, with its own names mapped to the client's.

    Args:
        flow: with the response's head.
        forward: what was decided about its request.
        preview: so many octets of the body stay with the flow.
        tape: records what the client gets.
        credentials: what the request was signed with.
    """
    response = flow.response
    assert response is not None
    fields = response.headers.fields
    dropped = _connection_headers(flow)
    kept = without_credentials(tuple([field for field in fields if field[0].lower() not in dropped]), credentials)
    names = forward.names
    rewriters: list[Rewriter] = []
    refused = response.status_code >= FIRST_STATUS and _has_body(flow, response)
    coding = coding_of(_codings(kept)) if refused and names.confined is None else None
    if coding is not None:
        kept = tuple([field for field in kept if field[0].lower() not in _OF_CODED_DOCUMENTS])
    if names.confined is not None:
        kept, rewriters = _confined(names.confined, forward, flow, kept)
    elif _may_name_the_backend(forward, response.status_code):
        if response.status_code < 300:
            kept = tuple([_mapped_location(field, names.map_location) for field in kept])
        elif response.status_code == 303 and forward.operation == POST_OBJECT:
            kept = tuple([_mapped_location(field, names.map_redirect) for field in kept])
        if _has_body(flow, response) and names.concerns(forward.operation, response.status_code, _by_name(kept)):
            rewriters.append(XmlNameRewriter(names))
    if forward.entries and response.status_code == 200:
        rewriters.append(DeleteResultCompleter(forward.entries))
    first: list[Rewriter] = [DecodedRefusal(coding, response.status_code)] if coding is not None else []
    if first or rewriters:
        kept = _with_unknown_length(kept, flow)
    if refused:
        told = cache(partial(_told_of_refusal, forward))
        first += [QuoteMask(told), CredentialMask(credentials, told)]
    rewriters = first + rewriters
    if kept != fields:
        # A response of the flow's own: the connection to the backend still needs the one that it read.
        response = flow.response = _with_fields(response, kept)
    watched = preview or rewriters or tape is not None
    record = None
    if tape is not None:
        record = partial(tape.receive, operation=forward.operation, status=response.status_code)
    response.stream = Preview(flow, rewriters, preview, record) if watched else True


def _told_of_refusal(forward: Forward) -> None:
    log.warning(
        "%s %s: the store refuses the gateway's own signature or credentials, see its answer's code",
        forward.operation,
        forward.destination.bucket,
    )


async def adapt_by_hook(flow: http.HTTPFlow, forward: Forward, gateway: Gateway) -> None:
    """Let the operator's function change the headers that the client gets.

    Raises:
        S3Error: BadGateway (502) where it fails.
    """
    response = flow.response
    assert response is not None
    fields = response.headers.fields
    told = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
    changed = await gateway.after_response(forward, response.status_code, told)
    if changed != told:
        kept = tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in changed])
        flow.response = _with_fields(response, kept)
        flow.response.stream = response.stream


def _confined(
    names: ConfinedNames, forward: Forward, flow: http.HTTPFlow, fields: Fields
) -> tuple[Fields, list[Rewriter]]:
    """The headers of an answer about a part of a bucket, and what its document goes through."""
    response = flow.response
    assert response is not None
    status = response.status_code
    text = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
    mapped = mapped_headers(names, text, status)
    is_content = forward.operation in OBJECT_OPERATIONS and status < 300
    rewriters: list[Rewriter] = []
    if not is_content and _has_body(flow, response):
        readable = _by_name(fields).get("content-encoding", "identity").lower() == "identity"
        rewriters.append(ConfinedAnswer(names, status, readable=readable))
        if status >= 300:
            described = ("content-type", "content-encoding", "content-md5")
            mapped = [field for field in mapped if field[0].lower() not in described]
            mapped.append(("content-type", "application/xml"))
    kept = tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in mapped])
    return (fields if kept == fields else kept), rewriters


def _connection_headers(flow: http.HTTPFlow) -> frozenset[bytes]:
    """Headers that speak of the connection to the backend; HTTP/2 has no transfer codings either."""
    return CONNECTION_HEADERS_H2 if flow.request.is_http2 else CONNECTION_HEADERS


def _may_name_the_backend(forward: Forward, status: int) -> bool:
    """Whether names need a closer look; plain reads and writes under their own name do not."""
    return forward.names.renamed or forward.method == "POST" or (forward.operation == "CreateBucket" and status < 300)


def _mapped_location(field: tuple[bytes, bytes], mapped: Callable[[str], str]) -> tuple[bytes, bytes]:
    name, value = field
    if name.lower() != b"location":
        return field
    return name, mapped(value.decode("latin-1")).encode("latin-1")


def _by_name(fields: Fields) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in fields}


def _codings(fields: Fields) -> str:
    return ",".join([value.decode("latin-1") for name, value in fields if name.lower() == b"content-encoding"])


def _with_unknown_length(fields: Fields, flow: http.HTTPFlow) -> Fields:
    """A rewritten document's length is not known in advance."""
    rest = tuple(field for field in fields if field[0].lower() not in (b"content-length", b"transfer-encoding"))
    if flow.request.is_http2:
        return rest
    if flow.request.data.http_version == b"HTTP/1.0":
        return (*rest, (b"connection", b"close"))
    return (*rest, (b"transfer-encoding", b"chunked"))


def _with_fields(response: http.Response, fields: Fields) -> http.Response:
    data = response.data
    return http.Response(
        http_version=data.http_version,
        status_code=data.status_code,
        reason=data.reason,
        headers=http.Headers(fields),
        content=None,
        trailers=None,
        timestamp_start=data.timestamp_start,
        timestamp_end=None,
    )


def _has_body(flow: http.HTTPFlow, response: http.Response) -> bool:
    empty = response.status_code in (204, 304) or (b"content-length", b"0") in _lower_names(response.headers.fields)
    return flow.request.method != "HEAD" and not empty


def _lower_names(fields: Fields) -> Fields:
    return tuple([(name.lower(), value) for name, value in fields])
