"""What a flow shows, in mitmproxy's views, in flow files and in exports: no secrets, and what the views need.

A flow's own head is masked as soon as it is there, before any hook: the gateway decides on the head as it was received,
which the desk keeps until the request is over. Answers are masked when their head is on its way to the client. What a
view needs beyond that is in the flow's metadata under `DETAILS`: JSON-like, masked, and bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mitmproxy import http
from mitmproxy.flow import Flow

from osp_gateway.mitm.columns import WIDTH, visible, wrapped
from osp_gateway.outcomes import NOT_ASKED, Forward, Verdict
from osp_gateway.redaction import Redactor
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4 import canonical
from osp_gateway.sigv4.chunk_journal import journal_of
from osp_gateway.sigv4.explain.reading import Sighting, sightings
from osp_gateway.sigv4.payload import BodyCodec

DETAILS: Final = "osp_request"
"""Where a flow's metadata hold what was found out about it. They are saved with the flow."""
EXPLANATION: Final = "osp_explanation"
"""Where they hold the explanation of a refusal, as text."""
FAULTS: Final = "osp_faults"
"""Where they say which faults it has that were made on purpose: a list of `{"rule", "type", "text"}`."""
MAX_TEXT: Final = 8 * 1024
"""Longer texts are cut in the metadata."""
MAX_HEADERS: Final = 64
NOT_SHOWN: Final = "(the gateway's own, not shown)"
_UPSTREAM_SECRETS: Final = frozenset({"authorization", "x-amz-security-token"})
_AUTHENTICATION: Final = "x-amz-signature"
_FOR_LOGS: Final = Redactor()


class Showing:
    """Masks flows, and takes down what was done with them."""

    def __init__(self, redactor: Redactor | None = None, *, details: bool = True) -> None:
        """Show flows.

        Args:
            redactor: masks what is secret; None shows everything.
            details: whether anybody will look at the flows.
        """
        self.redactor = redactor
        self.details = details

    # Requests

    def request_head(self, flow: http.HTTPFlow) -> None:
        """Mask a request whose head was taken down elsewhere."""
        if self.redactor is None:
            return
        data = flow.request.data
        data.headers = http.Headers(self.redactor.fields(data.headers.fields))
        data.path = self.redactor.target(data.path)

    def unreadable(self, flow: http.HTTPFlow) -> None:
        """Mask a request that could not even be read, and whose body, here, is its head."""
        if self.redactor is None:
            return
        data = flow.request.data
        data.headers = http.Headers(self.redactor.doubtful_fields(data.headers.fields))
        data.path = self.redactor.target(data.path)
        if data.content:
            data.content = self.redactor.raw_head(data.content)

    def request_body(self, flow: http.HTTPFlow, head: RequestHead) -> None:
        """Mask what is kept of a request's body: all of it, or its beginning."""
        data = flow.request.data
        if self.redactor is not None and data.content:
            data.content = self.redactor.request_body(head, data.content)

    def verdict(self, flow: http.HTTPFlow, head: RequestHead, verdict: Verdict, domains: tuple[str, ...]) -> None:
        """Take down what was decided, in one line for everybody and at length for the views.

        Args:
            flow: whose comment and metadata get it.
            head: as it was received.
            verdict: what was decided.
            domains: of virtual-hosted addresses.
        """
        found = sightings(head)
        scrub = self.scrubber(head, found)
        flow.comment = scrub(comment(verdict))
        if verdict.explanation is not None:
            flow.metadata[EXPLANATION] = _cut(
                wrapped(verdict.explanation.changed(scrub).text(width=WIDTH)), 4 * MAX_TEXT
            )
        if not self.details:
            return
        details = _details(flow)
        details.update(
            request_id=verdict.request_id,
            who=_cut(verdict.who, 256),
            operation=verdict.operation,
            bucket=scrub(verdict.bucket),
            key=scrub(verdict.key),
            allowed=verdict.allowed,
            reason=_cut(scrub(verdict.reason)),
            cached=verdict.cached,
            authorizer=verdict.authorizer,
            upstream=verdict.upstream,
            micros=verdict.micros,
            redacted=self.redactor is not None,
        )
        if verdict.explanation is not None:
            details["causes"] = [cause.name for cause in verdict.explanation.causes]
            details["matches"] = verdict.explanation.matches
        if "signature" not in details:
            details["signature"] = self._signature(head, found, domains, scrub)

    def scrubber(self, head: RequestHead, signatures: Sequence[Sighting] | None = None) -> Callable[[str], str]:
        """Masks a request's secrets in text about it; `signatures` are those in it, where they are known already."""
        return _as_it_is if self.redactor is None else self.redactor.scrubber(head, signatures)

    def for_log(self, head: RequestHead, text: str) -> str:
        """A comment as it may stand in a log, where secrets are masked even if flows show everything."""
        return text if self.redactor is not None else _FOR_LOGS.scrubber(head)(text)

    def sent(self, flow: http.HTTPFlow, request: http.Request) -> None:
        """Take down what goes to the store; of how the gateway signs it nothing but the mechanism is shown."""
        if not self.details:
            return
        headers = [self._sent_header(name, value) for name, value in request.headers.fields[:MAX_HEADERS]]
        target = request.data.path if self.redactor is None else self.redactor.target(request.data.path)
        _details(flow)["sent"] = {
            "method": request.method,
            "target": _cut(target.decode("latin-1")),
            "endpoint": f"{request.scheme}://{request.host}:{request.port}",
            "headers": [[name, _cut(value, MAX_TEXT // 8)] for name, value in headers],
        }

    def _sent_header(self, name: bytes, value: bytes) -> Header:
        lower, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if lower in _UPSTREAM_SECRETS:
            mechanism = text.partition(" ")[0] if lower == "authorization" else ""
            return lower, f"{mechanism} {NOT_SHOWN}".strip()
        return lower, text if self.redactor is None else self.redactor.header(lower, text)

    def body(self, flow: http.HTTPFlow, codec: BodyCodec) -> None:
        """Take down what was found in an aws-chunked body."""
        journal = journal_of(codec) if self.details else None
        if journal is None:
            return
        _details(flow)["chunks"] = {
            "signed": journal.signed,
            "sizes": list(journal.sizes),
            "count": journal.count,
            "right": journal.right,
            "trailers": [[name, _cut(value, 256)] for name, value in journal.trailers],
            "trailers_right": journal.trailers_right,
            "complete": journal.complete,
            "error": _cut(journal.error, 1024),
        }

    # Answers

    def answer_head(self, flow: http.HTTPFlow) -> http.Response:
        """Mask an answer's head on its flow; return the answer as the client is to have it."""
        response = flow.response
        assert response is not None
        masked = None if self.redactor is None else self.redactor.fields(response.headers.fields)
        if masked is None or masked is response.headers.fields:
            return response
        for_client = response.copy()
        response.data.headers = http.Headers(masked)
        return for_client

    def own_answer(self, head: RequestHead, response: http.Response) -> http.Response:
        """What the flow is to show of an answer that does not come from the store."""
        if self.redactor is None:
            return response
        fields = self.redactor.fields(response.headers.fields)
        body = response.raw_content or b""
        told = self.redactor.answer_body(body, from_store=False).decode("latin-1")
        shown = self.redactor.scrubber(head)(told).encode("latin-1")
        if fields is response.headers.fields and shown == body:
            return response
        copy = response.copy()
        copy.data.headers = http.Headers(fields)
        copy.data.content = shown
        return copy

    def over(self, flow: http.HTTPFlow, outcome: object) -> None:
        """The exchange is over: mask what was kept of a store's answer."""
        if self.redactor is not None and flow.response is not None and isinstance(outcome, Forward):
            response = flow.response
            masked = self.redactor.fields(response.headers.fields)
            if masked is not response.headers.fields:
                response.data.headers = http.Headers(masked)
            if response.raw_content:
                response.data.content = self._store_body(response, response.raw_content)

    def _store_body(self, response: http.Response, body: bytes) -> bytes:
        assert self.redactor is not None
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if response.status_code >= 400 and coding not in ("", "identity", "aws-chunked"):
            return b""  # an error document that cannot be looked into
        return self.redactor.answer_body(body, from_store=response.status_code >= 400)

    # What the client signed

    def _signature(
        self,
        head: RequestHead,
        found: Sequence[Sighting],
        domains: tuple[str, ...],
        scrub: Callable[[str], str],
    ) -> dict[str, str] | None:
        """The canonical request and the string to sign, as the gateway reads the head; None where nothing is signed."""
        if not found:
            return None
        sighting = found[0]
        key = sighting.access_key
        request = _canonical_request(head, sighting, domains)
        scope = sighting.credential_scope
        text = canonical.string_to_sign(sighting.amz_date, scope, request, sighting.algorithm)
        return {
            "access_key": _cut(self.redactor.credential(key) if self.redactor is not None else key, 256),
            "canonical_request": _cut(scrub(request)),
            "string_to_sign": _cut(scrub(text)),
        }


def comment(verdict: Verdict) -> str:
    """Who, what, verdict, from cache or not where an authorizer decided, where it went, how long the gateway took."""
    where = "/".join(part for part in (verdict.bucket, verdict.key) if part) or "/"
    decision = verdict.reason if verdict.allowed else f"REFUSED: {verdict.reason}"
    sent = f" -> {verdict.upstream}" if verdict.upstream != "-" else ""
    cached = ", from cache" if verdict.cached else ", not from cache" if verdict.authorizer != NOT_ASKED else ""
    who = verdict.who if verdict.tls_subject is None else f"{verdict.who} [{verdict.tls_subject}]"
    return visible(f"{who} {verdict.operation} {where}: {decision}{cached}{sent}, {verdict.micros} us in the gateway")


def details_of(flow: Flow | None) -> Mapping[str, Any]:
    """What was taken down about a flow; nothing where it is none of the gateway's."""
    found = flow.metadata.get(DETAILS) if flow is not None else None
    return found if isinstance(found, dict) else {}


def _details(flow: http.HTTPFlow) -> dict[str, Any]:
    found = flow.metadata.setdefault(DETAILS, {})
    assert isinstance(found, dict)
    return found


def _canonical_request(head: RequestHead, sighting: Sighting, domains: tuple[str, ...]) -> str:
    path = head.path
    try:
        path = locate(head.path, head.get("host") or "", domains).canonical_path
        query = encoding.parse_query(head.query)
    except (S3Error, ValueError):
        query = tuple((name, value) for name, _, value in (piece.partition("=") for piece in head.query.split("&")))
    signed = tuple(name for name in sighting.signed_headers if name in head.fields)
    pairs = [pair for pair in query if pair[0].lower() != _AUTHENTICATION]
    payload_hash = sighting.payload_hash or canonical.UNSIGNED_PAYLOAD
    return canonical.canonical_request(
        head.method, path, canonical.canonical_query(pairs), head.fields, signed, payload_hash
    )


def _as_it_is(text: str) -> str:
    return text


def _cut(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else text[:most] + "..."
