"""The view of a request: who wanted what, what was decided and why, and what became of it on its way to the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from osp_gateway.mitm.columns import Compared, indented, side_by_side, visible
from osp_gateway.mitm.showing import EXPLANATION, FAULTS, details_of
from osp_gateway.outcomes import NOT_ASKED

PRIORITY: Final = 2.0
MAX_BODY_SHOWN: Final = 4096
MAX_HEADERS: Final = 500
"""More than a request may have; flows from files have what their makers wrote."""


class S3RequestView(Contentview):
    """Operation, identity, verdict; the request before and after; what the client signed."""

    @property
    def name(self) -> str:
        """As it stands in mitmproxy's list of views."""
        return "S3 request"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """All that is known about the request."""
        flow = metadata.flow
        details = details_of(flow)
        if not details or not isinstance(flow, http.HTTPFlow):
            return "This flow did not go through the gateway.\n"
        return "\n".join(_lines(flow, details, data)) + "\n"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:  # noqa: ARG002 - the flow says it
        """For requests that went through the gateway, unless there is a view for their very body."""
        return PRIORITY if isinstance(metadata.http_message, http.Request) and details_of(metadata.flow) else -1


def _lines(flow: http.HTTPFlow, details: Mapping[str, Any], body: bytes) -> Iterator[str]:
    yield from _verdict(details)
    yield from _faults(flow.metadata.get(FAULTS))
    yield ""
    sent = details.get("sent")
    if isinstance(sent, Mapping):
        yield from side_by_side(_compared(flow, sent), "as the client sent it", "as it went to the store")
        yield ""
        yield "! differs   - stays here   + is the gateway's own"
    else:
        yield "Nothing was sent to the store. As the client sent it:"
        yield from side_by_side(_received(flow.request), "", "")
    yield from _signature(details.get("signature"))
    explanation = flow.metadata.get(EXPLANATION)
    if isinstance(explanation, str):
        yield from ("", "Why the signature was refused:", *indented(explanation.rstrip()))
    yield from _body(flow, body)


def _verdict(details: Mapping[str, Any]) -> Iterator[str]:
    where = "/".join(part for part in (_text(details, "bucket"), _text(details, "key")) if part) or "/"
    yield visible(f"{_text(details, 'operation', '-')}  {where}")
    allowed = details.get("allowed") is True
    yield visible(f"who      {_text(details, 'who', '-')}")
    yield visible(f"verdict  {'allowed' if allowed else 'REFUSED'}: {_text(details, 'reason', '-')}")
    yield f"cache    {_asked(details)}"
    yield visible(f"store    {_text(details, 'upstream', '-')}")
    yield visible(f"id       {_text(details, 'request_id', '-')}, {_text(details, 'micros', '?')} us in the gateway")


def _asked(details: Mapping[str, Any]) -> str:
    if details.get("cached") is True:
        return "the verdict was remembered"
    return "no authorizer was asked" if details.get("authorizer") == NOT_ASKED else "the authorizer was asked"


def _faults(found: Any) -> Iterator[str]:
    """What was broken on purpose."""
    for one in found if isinstance(found, list) else []:
        if isinstance(one, Mapping):
            yield visible(f"FAULT    {_text(one, 'text', '-')} (rule {_text(one, 'rule', '-')})")


def _compared(flow: http.HTTPFlow, sent: Mapping[str, Any]) -> Iterator[Compared]:
    request = flow.request
    listener = _listener("https" if flow.client_conn.tls_established else "http", flow.client_conn.sockname)
    target = request.data.path.decode("latin-1")
    yield _row("method", request.method, _text(sent, "method"))
    yield _row("target", target, _text(sent, "target"))
    yield _row("endpoint", listener, _text(sent, "endpoint"))
    received, gone = _by_name(_fields(request)), _by_name(_pairs(sent.get("headers")))
    for name in [*received, *[name for name in gone if name not in received]]:
        yield _row(name, received.get(name), gone.get(name))
    yield from _more(request)


def _listener(scheme: str, address: tuple[Any, ...] | None) -> str:
    """Where the request arrived, which a flow from elsewhere need not say."""
    return f"{scheme}://{':'.join(str(part) for part in address[:2])}" if address else "not known"


def _more(request: http.Request) -> Iterator[Compared]:
    count = len(request.headers.fields)
    if count > MAX_HEADERS:
        yield (" ", "...", f"and {count - MAX_HEADERS} more", "")


def _received(request: http.Request) -> Iterator[Compared]:
    yield (" ", "method", request.method, "")
    yield (" ", "target", request.data.path.decode("latin-1"), "")
    for name, value in _fields(request):
        yield (" ", name, value, "")
    yield from _more(request)


def _row(label: str, received: str | None, sent: str | None) -> Compared:
    mark = "+" if received is None else "-" if sent is None else " " if received == sent else "!"
    return mark, label, received or "", sent or ""


def _fields(request: http.Request) -> list[tuple[str, str]]:
    fields = request.headers.fields[:MAX_HEADERS]
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields]


def _pairs(found: Any) -> list[tuple[str, str]]:
    if not isinstance(found, list):
        return []
    pairs = found[:MAX_HEADERS]
    return [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2]


def _by_name(fields: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in found.items()}


def _signature(found: Any) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield from ("", "The request carries no signature of version 4 in its head.")
        return
    yield from ("", "Canonical request, as the gateway reads it:", *indented(_text(found, "canonical_request")))
    yield from ("", "String to sign:", *indented(_text(found, "string_to_sign")))


def _body(flow: http.HTTPFlow, body: bytes) -> Iterator[str]:
    announced = flow.request.headers.get("content-length", "0")
    cut = flow.metadata.get("osp_request_cut")
    if not body and announced != "0":
        yield from ("", f"Of its body, {visible(announced)} octets by its head, nothing was kept, or nothing was read.")
    elif body:
        length = f"the first {len(body)} of {cut}" if isinstance(cut, int) else str(len(body))
        yield from ("", f"Body, {length} octets:", *indented(body[:MAX_BODY_SHOWN].decode("utf-8", "replace")))
        if len(body) > MAX_BODY_SHOWN:
            yield "  ..."


def _text(found: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    value = found.get(name)
    return otherwise if value is None or value == "" else str(value)
