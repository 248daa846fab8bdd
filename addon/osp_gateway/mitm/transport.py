"""How a request travels: a subclass of mitmproxy's layer for one request and its response.

mitmproxy reads a request's body to its end before it lets an addon answer, and streams without looking back.
A gateway must refuse on the head alone, and must break off a request whose body turns out wrong. So the layer
for each request, `GatewayStream`, takes over from its parent right after the `requestheaders` hook:

    head -> hook decides -> refused: answer at once, half-close, drain the rest of the body, bounded
                         -> admitted: body -> codec -> (first released octet: connect and send the head)
                                      codec objects: cut the upstream off before its last octet, answer

Nothing goes upstream before the codec releases something, the flow keeps the client's own request, and what
is sent on is a request of its own. An exception in here ends the one request with an error, not in a hang.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, Final

from mitmproxy import http
from mitmproxy.flow import Error
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    SendHttp,
)
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
from mitmproxy.proxy.layers.http._hooks import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpResponseHook,
)

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.downstream import BodyRefused
from osp_gateway.mitm.downstream_http2 import AnsweredEarly
from osp_gateway.mitm.pacing import Stalled
from osp_gateway.mitm.sending import Cancelled
from osp_gateway.mitm.uploading import UploadingStream
from osp_gateway.outcomes import Forward, PendingAction, PendingForm
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

MAX_QUEUED_OCTETS: Final = 256 * 1024
"""What a client may send ahead while its request waits for a decision or a connection."""
DRAIN_OCTETS: Final = 16 * 1024 * 1024
DRAIN_SECONDS: Final = 5.0
"""How much, and for how long, a refused body is read and thrown away, so that the client can see the answer."""
Commands = Generator[commands.Command, Any, None]


class GatewayStream(UploadingStream):
    """One request and its response."""

    def __init__(self, context: Context, stream_id: int, desk: Desk, backlog: Callable[[int], int]) -> None:
        """`backlog` says how much of a stream's response waits for the client's window."""
        super().__init__(context, stream_id, desk, backlog)
        self.drained = 0
        self.queued = 0
        self.queued_answer = 0

    # Events

    def handle_event(self, event: events.Event) -> Commands:
        """Count what queues up behind a decision, and stop reading before it becomes much."""
        self.note_progress(event)
        if self._paused and isinstance(event, RequestData):
            self.queued += len(event.data)
            if self.queued > MAX_QUEUED_OCTETS and (gate := self.desk.gates.get(self.context.client)):
                gate.close()
        if self._paused and isinstance(event, ResponseData):
            self.queued_answer += len(event.data)
            if self.queued_answer > MAX_QUEUED_OCTETS and (gate := self.desk.gates.get(self.context.server)):
                gate.close()
        yield from super().handle_event(event)
        if self.queued_answer and not self._paused:
            self.queued_answer = 0
            if gate := self.desk.gates.get(self.context.server):
                gate.open()
        if self.queued and not self._paused:
            self.queued = 0
            if gate := self.desk.gates.get(self.context.client):
                gate.open()

    def _handle_event(self, event: events.Event) -> Commands:
        try:
            yield from self._dispatch(event)
        except Cancelled:
            return  # the event that says so is the next one
        except S3Error as error:
            yield from self.break_off(error)
        except Exception as error:
            log.exception("a request failed inside the gateway")
            yield from self.break_off(S3Error.internal(f"{type(error).__name__} in the transport"))

    def _dispatch(self, event: events.Event) -> Commands:
        if isinstance(event, Stalled):
            yield from self.give_up(event)
        elif isinstance(event, events.Wakeup):
            yield from self.stop_draining()
        elif isinstance(event, BodyRefused):
            raise event.error
        elif self.answered:
            yield from self.drain(event)
        elif isinstance(event, ResponseProtocolError) and not self.response_begun:
            yield from self.backend_failed(event)
        else:
            if isinstance(event, RequestEndOfMessage):
                self.request_complete = True
            yield from super()._handle_event(event)

    # Head

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """The parent's part up to the hook in which the verdict falls; then ours."""
        self.request_complete = event.end_stream
        parent = super().state_wait_for_request_headers(event)
        reply: Any = None
        while True:
            try:
                command = parent.send(reply)
            except StopIteration:
                return
            if isinstance(command, HttpRequestHeadersHook):
                parent.close()
                break
            reply = yield command
        self.desk.managed.add(self.flow)
        self.desk.receive(self.flow)
        self.desk.in_flight.enter(self.context.client.id, self.stream_id)
        yield command
        if (yield from self.check_killed(True)):
            return
        self.count_anew(time.monotonic())
        yield from self.decided()

    def check_invalid(self, request: bool) -> Generator[commands.Command, Any, bool]:
        """What is not proper HTTP gives an S3 error instead of mitmproxy's page."""
        yield from ()  # nothing of what mitmproxy would do
        for _ in super().check_invalid(request):
            message = self.flow.error.msg if self.flow.error else "invalid message"
            self.flow.error = None
            if not request:
                self.flow.response = None
                raise S3Error.unavailable("The backend sent something that is not HTTP.", reason=message)
            self.desk.managed.add(self.flow)
            self.desk.receive(self.flow)
            raise S3Error("InvalidRequest", "The request is not valid HTTP.", reason=message)
        return False

    def decided(self) -> Commands:
        """Act on the verdict."""
        outcome = self.desk.outcomes.get(self.flow)
        if self.flow.response is not None:  # a refusal, the gateway's own reply, or another addon's answer
            yield from self.answer(self.flow.response)
        elif not isinstance(outcome, Forward | PendingForm | PendingAction):
            raise S3Error.internal("no verdict was given")
        else:
            if isinstance(outcome, PendingForm):
                self.form = outcome.form
            elif isinstance(outcome, PendingAction):
                self.action = outcome.body
            else:
                self.forward = outcome
            length = self.flow.request.headers.get("content-length", "0")
            self.check_size(int(length) if length.isdecimal() else 0)
            self.client_state = self.state_consume_request_body
            self.server_state = self.state_wait_for_response_headers
            if not self.request_complete and _expects_continue(self.flow.request):
                go_on = http.Response.make(100)
                go_on.headers.clear()
                yield SendHttp(ResponseHeaders(self.stream_id, go_on), self.context.client)

    # Response

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> Commands:
        """The backend has answered."""
        if event.response.status_code == 101:
            raise S3Error.unavailable("The backend tried to switch protocols.")
        yield from super().state_wait_for_response_headers(event)

    def start_response_stream(self) -> Commands:
        """From here on an error can no longer be told to the client but by cutting the response off."""
        self.response_begun = True
        self.received.forget()
        for command in self.with_clients_head(super().start_response_stream):
            if not isinstance(command, commands.Log):  # every response is streamed: no news
                yield command

    def send_response(self, already_streamed: bool = False) -> Commands:
        """See `start_response_stream`: a response without a body begins here."""
        self.response_begun = True
        if already_streamed:
            yield from super().send_response(already_streamed)
        else:
            yield from self.with_clients_head(super().send_response)

    def with_clients_head(self, parent: Callable[[], Commands]) -> Iterator[commands.Command]:
        """The parent's commands, with the response's head for the client: what the flow shows is masked."""
        for_client = self.desk.showing.answer_head(self.flow)
        if tape := self.desk.tapes.get(self.flow):
            tape.answer_headers = for_client.headers.fields
        for command in parent():
            if isinstance(command, SendHttp) and isinstance(command.event, ResponseHeaders):
                command = SendHttp(replace(command.event, response=for_client), command.connection)
            yield command

    def flow_done(self) -> Commands:
        """mitmproxy uses a connection to the backend for one request of an HTTP/2 client only, and allows five."""
        yield from super().flow_done()
        self.release()
        if self.flow.request.is_http2 and self.upstream_open:
            self.upstream_open = False
            yield commands.CloseConnection(self.context.server)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        """One of the two sides is gone."""
        if isinstance(event, RequestProtocolError) and self.upstream_open:
            self.desk.abort_if_behind(self.context.server)
        yield from super().handle_protocol_error(event)
        self.client_state = self.server_state = self.state_errored  # events that are queued find nobody any more
        self.release()

    def check_killed(self, emit_error_hook: bool) -> Generator[commands.Command, Any, bool]:
        """A request that was killed, by a person or by its client's leaving, is under way no more."""
        killed = yield from super().check_killed(emit_error_hook)
        if killed:
            self.release()
            if self.upstream_open:
                self.upstream_open = False
                self.desk.abort_if_behind(self.context.server)
                gone = RequestProtocolError(self.stream_id, "killed", ErrorCode.CANCEL)
                yield SendHttp(gone, self.context.server)
            yield DropStream(self.stream_id)
        return killed

    # Ends

    def release(self) -> None:
        """Let go of what was held of the body: a stream is part of reference cycles and may stay in memory for long."""
        self.desk.in_flight.leave(self.context.client.id, self.stream_id)
        self.forward = self.form = self.action = None
        self.kept.forget()
        self.received.forget()
        self.held.clear()
        self.request_body_buf.clear()
        self.response_body_buf.clear()

    def break_off(self, error: S3Error) -> Commands:
        """End the request: cut the upstream off, tell the client if that is still possible."""
        if self.forward is not None:
            self.desk.showing.body(self.flow, self.forward.body)
        if self.upstream_open:
            self.upstream_open = False
            self.desk.abort_if_behind(self.context.server)
            yield SendHttp(RequestProtocolError(self.stream_id, error.reason, ErrorCode.CANCEL), self.context.server)
        if self.answered:
            yield commands.CloseConnection(self.context.client)
        elif self.response_begun:
            self.client_state = self.server_state = self.state_errored
            self.answered = True
            self.flow.live = False
            self.flow.error = Error(error.reason)
            yield HttpErrorHook(self.flow)
            self.release()
            yield SendHttp(ResponseProtocolError(self.stream_id, error.reason, ErrorCode.KILL), self.context.client)
            yield DropStream(self.stream_id)
        else:
            yield from self.answer(self.desk.refuse(self.flow, error))

    def answer(self, response: http.Response) -> Commands:
        """Answer without (or instead of) the backend, whether or not the request is complete."""
        self.answered = True
        self.client_state = self.server_state = self.state_done
        response.timestamp_start = response.timestamp_end = time.time()
        unseen = self.desk.unseen.pop(self.flow, None)
        self.show_body()
        incomplete = not self.request_complete
        if incomplete and not self.flow.request.is_http2:
            response.headers["connection"] = "close"
        self.flow.response = self.desk.showing.own_answer(self.desk.head(self.flow), response)
        yield HttpResponseHook(self.flow)
        self.release()
        self.flow.live = False
        content = b"" if self.flow.request.method == "HEAD" else unseen or response.raw_content or b""
        client = self.context.client
        yield SendHttp(ResponseHeaders(self.stream_id, response, not content), client)
        if content:
            yield SendHttp(ResponseData(self.stream_id, content), client)
        if not incomplete or not client.connected:
            yield DropStream(self.stream_id)
            yield SendHttp(ResponseEndOfMessage(self.stream_id), client)
        elif self.flow.request.is_http2:
            yield DropStream(self.stream_id)
            yield SendHttp(AnsweredEarly(self.stream_id), client)
        else:
            yield commands.RequestWakeup(DRAIN_SECONDS)
            yield SendHttp(ResponseEndOfMessage(self.stream_id), client)
            # The client sees the end of the answer at once. Closing altogether now could take the answer away from it:
            # its system throws unread octets away when ours refuses what it still sends.
            yield commands.CloseTcpConnection(client, half_close=True)

    def drain(self, event: events.Event) -> Commands:
        """After an early answer: read and throw away, within bounds."""
        if isinstance(event, RequestData):
            self.drained += len(event.data)
            if self.drained > DRAIN_OCTETS:
                yield from self.stop_draining()
        elif isinstance(event, RequestEndOfMessage | RequestProtocolError):
            self.request_complete = True
            yield DropStream(self.stream_id)

    def stop_draining(self) -> Commands:
        """The client of HTTP/1 goes on sending what nobody wants."""
        if not self.request_complete:
            yield commands.CloseConnection(self.context.client)
        yield DropStream(self.stream_id)


def _expects_continue(request: http.Request) -> bool:
    expectation: str = request.headers.get("expect", "")
    return expectation.lower() == "100-continue"
