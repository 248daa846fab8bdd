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
from dataclasses import dataclass
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
from osp_gateway.mitm.faulty import FaultyStream
from osp_gateway.mitm.watch import Observed, answer_of, caller_of
from osp_gateway.mitm.wire import head_of
from osp_gateway.observe.exchange import Answer, Exchange, Timings
from osp_gateway.outcomes import Outcome, Refusal

Commands = Generator[commands.Command, Any, None]

MAX_ERROR_OCTETS: Final = 4096
_LAST_HOOKS: Final = (HttpResponseHook, HttpErrorHook)
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9._-]{1,64})</Code>").search


@dataclass(slots=True)
class Seen:
    """What has been seen of a request so far. Times are those of `perf_counter`, `arrived` is since the epoch."""

    begun_at: float | None = None
    arrived: float = 0.0
    request_ended_at: float | None = None
    left_at: float | None = None
    first_byte: float | None = None
    answer_began_at: float | None = None
    received: int = 0
    sent: int = 0
    error_code: str = ""
    answer: http.Response | None = None
    outcome: Outcome | None = None
    dropped: bool = False
    over: bool = False


class ObservedStream(FaultyStream, Observed):
    """A request that is watched."""

    def __init__(self, context: Context, stream_id: int, desk: Desk, backlog: Callable[[int], int]) -> None:
        """See the base class."""
        super().__init__(context, stream_id, desk, backlog)
        self.seen = Seen()

    def handle_event(self, event: events.Event) -> Commands:
        """See the base class; what comes and what goes is looked at on its way."""
        if not self.seen.over:
            self.note_event(event)
        for command in super().handle_event(event):
            if not self.seen.over:
                self.note_command(command)
            yield command
        if self.seen.dropped and not self.seen.over:
            self.finish(complete=False)

    def note_event(self, event: events.Event) -> None:
        """Something from the client or the backend."""
        if isinstance(event, RequestData):
            self.seen.received += len(event.data)
        elif isinstance(event, ResponseHeaders):
            if self.seen.left_at is not None:
                self.seen.first_byte = time.perf_counter() - self.seen.left_at
        elif isinstance(event, RequestHeaders):
            self.seen.begun_at, self.seen.arrived = time.perf_counter(), time.time()
            if event.end_stream:
                self.seen.request_ended_at = self.seen.begun_at
            self.desk.watch.begin(self, self.context.client)
        elif isinstance(event, RequestEndOfMessage):
            self.seen.request_ended_at = time.perf_counter()

    def note_command(self, command: commands.Command) -> None:
        """Something for the client, the backend or an addon."""
        if isinstance(command, SendHttp):
            self.note_sent(command.event)
        elif isinstance(command, _LAST_HOOKS):
            self.seen.outcome = self.desk.outcomes.get(self.flow)
        elif isinstance(command, DropStream):
            self.seen.dropped = True

    def note_sent(self, event: Any) -> None:
        """A part of a message."""
        if isinstance(event, ResponseData):
            if self.seen.answer is not None and self.seen.answer.status_code >= 400 and not self.seen.error_code:
                found = _CODE(event.data[:MAX_ERROR_OCTETS])
                self.seen.error_code = found[1].decode("ascii") if found else ""
            self.seen.sent += len(event.data)
        elif isinstance(event, ResponseHeaders):
            if event.response.status_code >= 200 and self.context.client.connected:
                self.seen.answer, self.seen.answer_began_at = event.response, time.perf_counter()
        elif isinstance(event, ResponseEndOfMessage):
            self.finish(complete=bool(self.context.client.connected))
        elif isinstance(event, RequestHeaders):
            self.seen.left_at = time.perf_counter()
        elif isinstance(event, ResponseProtocolError):
            self.finish(complete=False)

    def finish(self, *, complete: bool) -> None:
        """The end, whichever it is."""
        self.seen.over = True
        if self.seen.begun_at is None:
            return
        self.desk.watch.end(self, self.context.client)
        begun_at = self.seen.begun_at
        self.desk.watch.finished(lambda: self.exchange(begun_at, complete))

    def exchange(self, begun_at: float, complete: bool) -> Exchange:
        """What there is to tell."""
        now = time.perf_counter()
        outcome = self.seen.outcome or self.desk.outcomes.get(self.flow)
        turn_around = None
        if self.seen.answer_began_at is not None and self.seen.request_ended_at is not None:
            turn_around = max(0.0, self.seen.answer_began_at - self.seen.request_ended_at)
        return Exchange(
            arrived=self.seen.arrived,
            caller=caller_of(self.context.client),
            timings=Timings(now - begun_at, turn_around, self.seen.first_byte),
            complete=complete,
            verdict=outcome.verdict if outcome is not None else None,
            refused=isinstance(outcome, Refusal),
            answer=self.answer_seen(outcome),
            received=self.seen.received,
            sent=self.seen.sent,
            head=head_of(self.flow) if self.desk.watch.shows_heads else None,
            http_version=self.flow.request.http_version,
        )

    def answer_seen(self, outcome: Outcome | None) -> Answer | None:
        """The answer, where one has begun."""
        if self.seen.answer is None:
            return None
        code = outcome.error.code if isinstance(outcome, Refusal) else self.seen.error_code
        if not self.desk.watch.shows_heads:
            return Answer(self.seen.answer.status_code, error_code=code)
        return answer_of(self.seen.answer, code)

    @property
    def waits(self) -> bool:
        """Whether it will go on by itself: a decision or a connection is awaited."""
        return self._paused is not None

    def gone(self) -> None:
        """The client's connection is gone."""
        if not self.seen.over:
            self.finish(complete=False)
