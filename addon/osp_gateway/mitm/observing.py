"""Watching requests go by: from the head to whatever end each comes to, exactly one `Exchange` is made of it.

    head        a request begins                       RequestHeaders
    verdict     taken when mitmproxy's last hook for the flow is on its way, or at the end
    backend     the request leaves, the answer begins  RequestHeaders, ResponseHeaders
    client      the answer begins, grows and ends      SendHttp(ResponseHeaders, ResponseData, ResponseEndOfMessage)
    end         the answer's end; or it is cut off     SendHttp(ResponseProtocolError)
                or nobody wants it any more            DropStream without an answer's end

`ObservedStream` stands at the border of a request's layer, where all of that passes as events and commands.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from typing import Any, Final

from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHook

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.pacing import PacedStream
from osp_gateway.mitm.watch import Observed, answer_of, caller_of
from osp_gateway.mitm.wire import head_of
from osp_gateway.observe.exchange import Answer, Exchange, Timings
from osp_gateway.outcomes import Outcome, Refusal

Commands = Generator[commands.Command, Any, None]

MAX_ERROR_OCTETS: Final = 4096
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9._-]{1,64})</Code>").search


class ObservedStream(PacedStream, Observed):
    """A request that is watched."""

    def __init__(self, context: Context, stream_id: int, desk: Desk, backlog: Callable[[int], int]) -> None:
        """See `PacedStream`."""
        super().__init__(context, stream_id, desk, backlog)
        self.begun_at: float | None = None
        self.arrived = 0.0
        self.request_ended_at: float | None = None
        self.left_at: float | None = None
        self.first_byte: float | None = None
        self.answer_began_at: float | None = None
        self.octets_received = 0
        self.octets_sent = 0
        self.error_code = ""
        self.shown: http.Response | None = None
        self.outcome: Outcome | None = None
        self.dropped = False
        self.over = False

    def handle_event(self, event: events.Event) -> Commands:
        """See the base class; what comes and what goes is looked at on its way."""
        if not self.over:
            self.note_event(event)
        for command in super().handle_event(event):
            if not self.over:
                self.note_command(command)
            yield command
        if self.dropped and not self.over:
            self.finish(complete=False)

    def note_event(self, event: events.Event) -> None:
        """Something from the client or the backend."""
        if isinstance(event, RequestData):
            self.octets_received += len(event.data)
        elif isinstance(event, ResponseHeaders):
            if self.left_at is not None:
                self.first_byte = time.perf_counter() - self.left_at
        elif isinstance(event, RequestHeaders):
            self.begun_at, self.arrived = time.perf_counter(), time.time()
            if event.end_stream:
                self.request_ended_at = self.begun_at
            self.desk.watch.begin(self, self.context.client)
        elif isinstance(event, RequestEndOfMessage):
            self.request_ended_at = time.perf_counter()

    def note_command(self, command: commands.Command) -> None:
        """Something for the client, the backend or an addon."""
        if isinstance(command, SendHttp):
            self.note_sent(command.event)
        elif isinstance(command, HttpResponseHook | HttpErrorHook):
            self.outcome = self.desk.outcomes.get(self.flow)
        elif isinstance(command, DropStream):
            self.dropped = True

    def note_sent(self, event: Any) -> None:
        """A part of a message."""
        if isinstance(event, ResponseData):
            if self.shown is not None and self.shown.status_code >= 400 and not self.error_code:
                found = _CODE(event.data[:MAX_ERROR_OCTETS])
                self.error_code = found[1].decode("ascii") if found else ""
            self.octets_sent += len(event.data)
        elif isinstance(event, ResponseHeaders):
            if event.response.status_code >= 200 and self.context.client.connected:
                self.shown, self.answer_began_at = event.response, time.perf_counter()
        elif isinstance(event, ResponseEndOfMessage):
            self.finish(complete=bool(self.context.client.connected))
        elif isinstance(event, RequestHeaders):
            self.left_at = time.perf_counter()
        elif isinstance(event, ResponseProtocolError):
            self.finish(complete=False)

    def finish(self, *, complete: bool) -> None:
        """The end, whichever it is."""
        self.over = True
        if self.begun_at is None:
            return
        self.desk.watch.end(self, self.context.client)
        begun_at = self.begun_at
        self.desk.watch.finished(lambda: self.exchange(begun_at, complete))

    def exchange(self, begun_at: float, complete: bool) -> Exchange:
        """What there is to tell."""
        now = time.perf_counter()
        outcome = self.outcome or self.desk.outcomes.get(self.flow)
        turn_around = None
        if self.answer_began_at is not None and self.request_ended_at is not None:
            turn_around = max(0.0, self.answer_began_at - self.request_ended_at)
        return Exchange(
            arrived=self.arrived,
            caller=caller_of(self.context.client),
            timings=Timings(now - begun_at, turn_around, self.first_byte),
            complete=complete,
            verdict=outcome.verdict if outcome is not None else None,
            refused=isinstance(outcome, Refusal),
            answer=self.answer_seen(outcome),
            received=self.octets_received,
            sent=self.octets_sent,
            head=head_of(self.flow) if self.desk.watch.shows_heads else None,
            http_version=self.flow.request.http_version,
        )

    def answer_seen(self, outcome: Outcome | None) -> Answer | None:
        """The answer, where one has begun."""
        if self.shown is None:
            return None
        code = outcome.error.code if isinstance(outcome, Refusal) else self.error_code
        return answer_of(self.shown, code)

    @property
    def waits(self) -> bool:
        """Whether it will go on by itself: a decision or a connection is awaited."""
        return self._paused is not None

    def gone(self) -> None:
        """The client's connection is gone."""
        if not self.over:
            self.finish(complete=False)
