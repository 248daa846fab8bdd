"""A request's way to its backend, and a second try where one does no harm.

Two things make a request go out again, once each, without its client noticing:

- The backend closed a kept-alive connection while the request was on its way, and not an octet of a response came.
- The backend says that the bucket is in another region.

Nothing is sent again as it was: what the client sent is kept while it is short, and goes through a codec of its own
behind a head that is signed anew.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from mitmproxy.proxy import commands
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHeadersHook

from osp_gateway.backends.refusals import credentials_in
from osp_gateway.backends.regions import MAX_ANSWER_OCTETS, REGION_STATUSES, read_region
from osp_gateway.mitm.desk import Desk, UpstreamTrust
from osp_gateway.mitm.upstream import (
    ClosedUnanswered,
    GatewayFailed,
    GetUpstream,
    dial_host,
    server_name,
    upstream_request,
)
from osp_gateway.outcomes import Forward
from osp_gateway.s3.errors import S3Error

RESEND_OCTETS: Final = 64 * 1024
"""Bodies of up to this size, as the client sends them, are kept until the response begins, to be sent again."""
Commands = Generator[commands.Command, Any, None]


class Cancelled(Exception):
    """The client has given its request up, in an event that has yet to be handled."""


class Received:
    """What has come of a client's body, for as long as it is short enough to be sent again."""

    def __init__(self, most: int = RESEND_OCTETS) -> None:
        self._most = most
        self._octets = 0
        self.pieces: list[bytes] | None = []

    def add(self, data: bytes) -> None:
        """One more piece."""
        self._octets += len(data)
        if self._octets > self._most:
            self.pieces = None
        elif self.pieces is not None:
            self.pieces.append(data)

    def forget(self) -> None:
        """It will not be needed any more."""
        self.pieces = None


class SendingStream(HttpStream):
    """What a stream does towards its backend. `finished` is set once the codec has found the body right."""

    def __init__(self, context: Context, stream_id: int, desk: Desk) -> None:
        super().__init__(context, stream_id)
        self.desk = desk
        self.forward: Forward | None = None
        self.upstream_open = False
        self.response_begun = False
        self.received = Received()
        self.finished = False
        self.tried_again = False
        self.moved = False
        self.held: list[HttpEvent] = []
        self.held_octets = 0
        self.withheld: bytearray | None = bytearray()

    # Sending

    def send_up(self, data: bytes) -> Commands:
        """Send released octets, after the head."""
        if not data:
            return
        if self.desk.library is not None and not self.finished:
            self.withhold(data)
            return
        if not self.upstream_open:
            yield from self.open_upstream(end_stream=False)
        self.client_state = self.state_stream_request_body
        yield SendHttp(RequestData(self.stream_id, data), self.context.server)

    def withhold(self, data: bytes) -> None:
        """Keep what would go to the store, until it is known that there is no recorded answer.

        Raises:
            S3Error: ServiceUnavailable where that becomes too much; what has a recorded answer need not be kept.
        """
        if self.withheld is None:
            return
        self.withheld += data
        if len(self.withheld) > max(self.desk.limits.hold, self.desk.withhold):
            self.withheld = None

    def send_rest(self, rest: bytes) -> Commands:
        """Send the body's last octets, if there are any, and its end."""
        if self.withheld is None:
            raise S3Error.unavailable(
                "There is no recorded answer to this request.",
                reason="no recorded answer, and the body was too long to be kept for the store",
            )
        rest, self.withheld = bytes(self.withheld) + rest, bytearray()
        if not self.upstream_open:
            yield from self.open_upstream(end_stream=not rest)
        if rest:
            yield SendHttp(RequestData(self.stream_id, rest), self.context.server)
        yield SendHttp(RequestEndOfMessage(self.stream_id), self.context.server)

    def open_upstream(self, end_stream: bool) -> Commands:
        """Connect to the backend and send the head.

        Raises:
            S3Error: ServiceUnavailable where the backend cannot be reached.
        """
        assert self.forward is not None
        self.stop_if_cancelled()
        destination = self.forward.destination
        endpoint = destination.endpoint
        name = server_name(destination)
        # Without TLS there is no certificate to judge: buckets at one address share their connections.
        trust = UpstreamTrust(name, destination.verify) if endpoint.tls else UpstreamTrust("", True)
        fresh = self.tried_again or self.moved
        connected, problem = yield GetUpstream(
            (dial_host(name), endpoint.port), endpoint.tls, None, "tcp", trust, self.desk, fresh
        )
        if problem:
            raise _unreachable(problem)
        if self.is_cancelled() and self.flow.request.is_http2:
            yield commands.CloseConnection(connected)  # nobody else would use it
        self.stop_if_cancelled()
        self.context.server = self.flow.server_conn = connected
        self.upstream_open = True
        request = upstream_request(self.forward)
        self.desk.credentials[self.flow] = credentials_in(request.headers.fields)
        self.desk.showing.sent(self.flow, request)
        yield SendHttp(RequestHeaders(self.stream_id, request, end_stream), self.context.server)

    def is_cancelled(self) -> bool:
        """Whether the client has given up while a verdict or a connection was awaited."""
        return any(isinstance(event, RequestProtocolError) for event in self._paused_event_queue)

    def stop_if_cancelled(self) -> None:
        """Let nothing reach the store that nobody wants any more.

        Raises:
            Cancelled: the client has given up.
        """
        if self.is_cancelled():
            raise Cancelled

    # Sending again

    def backend_failed(self, event: ResponseProtocolError) -> Commands:
        """The connection ended, or became useless, before there was a response.

        Raises:
            S3Error: ServiceUnavailable where the request cannot be sent again; InternalError where it is our fault.
        """
        if isinstance(event, GatewayFailed):
            raise S3Error.internal(event.message)
        forward = self.forward
        once_more = isinstance(event, ClosedUnanswered) and event.used and not self.tried_again
        if not once_more or forward is None or not forward.repeatable or self.received.pieces is None:
            raise S3Error.unavailable(
                "The backend closed the connection or sent something that is not HTTP.", reason=event.message
            )
        self.tried_again = True
        yield from self.send_again(forward.again(), "the backend had closed the connection")

    def send_again(self, forward: Forward, why: str) -> Commands:
        """Begin anew with what has come so far; `why` is for the operator."""
        pieces = self.received.pieces
        assert pieces is not None
        self.forward = forward
        self.upstream_open = False
        self.flow.comment += f", sent again: {why}"
        released = b"".join([forward.body.feed(piece) for piece in pieces])
        if self.finished:
            yield from self.send_rest(released + forward.body.finish())
        else:
            yield from self.send_up(released)

    # Answers about regions

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> Commands:
        """Hold what may be an answer about the bucket's region until it can be read."""
        length = "0" if event.end_stream else event.response.headers.get("content-length", "0")
        short = length.isdecimal() and int(length) <= MAX_ANSWER_OCTETS
        if self.forward is None or self.moved or event.response.status_code not in REGION_STATUSES or not short:
            yield from self.response_head(event)
        else:
            self.held.append(event)
            self.server_state = self.state_hold_answer

    def response_head(self, event: HttpEvent) -> Commands:
        """The parent's part, unless the addon's hook did not adapt this answer for the client, or found that it cannot.

        Raises:
            S3Error: what it found; InternalError where it failed.
        """
        parent = super().state_wait_for_response_headers(event)
        reply: Any = None
        while True:
            try:
                command = parent.send(reply)
            except StopIteration:
                return
            reply = yield command
            if isinstance(command, HttpResponseHeadersHook) and self.flow not in self.desk.adapted:
                parent.close()
                raise self.desk.unfit.pop(self.flow, None) or S3Error.internal("nobody adapted the response")

    def state_hold_answer(self, event: HttpEvent) -> Commands:
        """The body of such an answer."""
        self.held.append(event)
        if isinstance(event, ResponseData):
            self.held_octets += len(event.data)
        if self.held_octets > MAX_ANSWER_OCTETS:
            yield from self.pass_held_on()
        elif isinstance(event, ResponseEndOfMessage):
            yield from self.answer_complete()

    def answer_complete(self) -> Commands:
        """Follow the answer if it is one about the region, else let the client have it.

        Raises:
            S3Error: ServiceUnavailable where the request cannot be sent again: at the client's next try the region is
                known.
        """
        assert self.forward is not None
        head = self.held[0]
        assert isinstance(head, ResponseHeaders)
        body = b"".join(event.data for event in self.held if isinstance(event, ResponseData))
        region = read_region(head.response.headers, body)
        destination = self.desk.learn_region(self.forward.destination, region) if region else None
        if destination is None:
            yield from self.pass_held_on()
            return
        self.held.clear()
        self.server_state = self.state_wait_for_response_headers
        self.upstream_open = False
        why = f"the bucket is in {destination.region}"
        yield SendHttp(RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL), self.context.server)
        if self.forward.recipe is None or self.received.pieces is None:
            raise S3Error.unavailable(
                "The backend has the bucket in another region than expected, which is known now. Please try again.",
                reason=f"{why}, and the body is too long to be sent again",
            )
        self.moved = True
        yield from self.send_again(self.forward.again(destination), why)

    def pass_held_on(self) -> Commands:
        """The answer is for the client after all."""
        (head, *rest), self.held = self.held, []
        yield from self.response_head(head)
        for event in rest:
            yield from self.server_state(event)


def _unreachable(problem: str) -> S3Error:
    if "ertificate" in problem or "hostname mismatch" in problem.lower():
        return S3Error.unavailable("The backend's certificate could not be verified.", reason=problem)
    return S3Error.unavailable("The backend cannot be reached. Please try again.", reason=problem)
