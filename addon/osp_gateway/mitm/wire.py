"""Between mitmproxy's flows and the gateway's own types."""

from __future__ import annotations

from typing import Final

from mitmproxy import http
from mitmproxy.proxy.mode_specs import ReverseMode

from osp_gateway.backends.responses import XmlNameRewriter
from osp_gateway.backends.routes import Endpoint
from osp_gateway.gateway import Arrival, Forward, Refusal, Reply, Verdict
from osp_gateway.s3.head import RequestHead

REFUSED_MARK: Final = ":no_entry:"
CONNECTION_HEADERS: Final = ("connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade")


def arrival_of(flow: http.HTTPFlow) -> Arrival:
    """What arrived, as the gateway wants it: every octet as it came."""
    request = flow.request.data
    path, _, query = request.path.decode("latin-1").partition("?")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.fields]
    authority = request.authority.decode("latin-1")
    if authority:
        headers = _with_authority(headers, authority)
    peer = flow.client_conn.peername or ("",)  # a loaded flow may have none
    return Arrival(
        head=RequestHead(request.method.decode("latin-1"), path, query, tuple(headers)),
        source=str(peer[0]),
        tls=flow.client_conn.tls_established,
        default_endpoint=default_endpoint(flow),
    )


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
    return http.Response.make(status, outcome.body, headers)


def annotate(flow: http.HTTPFlow, verdict: Verdict) -> None:
    """Tell a person, in one line, what was decided."""
    flow.comment = comment(verdict)
    if not verdict.allowed:
        flow.marked = REFUSED_MARK


def comment(verdict: Verdict) -> str:
    """Who, what, verdict, from cache or not, where it went, how long the gateway took."""
    where = "/".join(part for part in (verdict.bucket, verdict.key) if part) or "/"
    words = "allowed" if verdict.allowed else "REFUSED"
    cached = ", cached" if verdict.cached else ""
    line = (
        f"{verdict.who} {verdict.operation} {where}: {words} ({verdict.reason}{cached})"
        f" -> {verdict.upstream} in {verdict.micros} us"
    )
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def adapt_response(flow: http.HTTPFlow, forward: Forward) -> None:
    """Stream the backend's response, with its own names mapped to the client's."""
    response = flow.response
    assert response is not None
    response.stream = True
    for name in CONNECTION_HEADERS:
        response.headers.pop(name, None)
    if flow.request.is_http2:
        response.headers.pop("transfer-encoding", None)
    names = forward.names
    if "location" in response.headers and response.status_code < 300:
        response.headers["location"] = names.map_location(response.headers["location"])
    fields = {name.lower(): value for name, value in response.headers.items()}
    if _has_body(flow, response) and names.concerns(forward.operation, response.status_code, fields):
        _rewrite_names(flow, response, XmlNameRewriter(names))


def _has_body(flow: http.HTTPFlow, response: http.Response) -> bool:
    return flow.request.method != "HEAD" and response.status_code not in (204, 304)


def _rewrite_names(flow: http.HTTPFlow, response: http.Response, rewriter: XmlNameRewriter) -> None:
    """The document's length is not known in advance any more."""
    response.headers.pop("content-length", None)
    if flow.request.data.http_version == b"HTTP/1.0":
        response.headers["connection"] = "close"
    elif not flow.request.is_http2:
        response.headers["transfer-encoding"] = "chunked"
    response.stream = lambda data: rewriter.feed(data) if data else rewriter.finish()
