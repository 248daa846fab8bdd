"""Requests that suffer a fault on their way: what is to pass is held back, cut up, corrupted or cut off.

`FaultyStream` stands at the border of a request's layer, like `ObservedStream` above it: everything that the layer
sends to its client or its store goes by as commands, and comes out of a `Shaper` when its time has come. The layer
itself knows nothing of it and takes what waits for sent.

    shaped        a command on its way: held back, or passed on
    let_go        what is due, whenever something happens or the alarm rings
    tell          which of its faults have happened: until then each may yet turn out not to
    cut           the connection ends here: to the layer it looks as if the client had hung up
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from email.utils import formatdate
from itertools import islice
from typing import Any, Final

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, SendHttp
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
from mitmproxy.proxy.layers.http._hooks import HttpResponseHook

from osp_gateway.faults.plan import PLAIN, Ending, Happened, Plan, Reached, Way
from osp_gateway.faults.shaping import Shaper
from osp_gateway.faults.telling import UNTOLD, store_can_tell
from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.pacing import PacedStream, Stalled

MAX_HELD_OCTETS: Final = 256 * 1024
"""What may wait of a body before no more of it is read."""
MAX_AT_ONCE: Final = 16
"""So many pieces go before other connections have their turn: small ones may be due faster than they can be sent."""
_EARLY: Final = 0.001
_HEADS: Final = (RequestHeaders, ResponseHeaders)
_DATA: Final = (RequestData, ResponseData)
_ENDS: Final = (RequestEndOfMessage, ResponseEndOfMessage)
_FAILURES: Final = (RequestProtocolError, ResponseProtocolError)
_OTHER_DIGITS: Final = str.maketrans("0123456789abcdefABCDEF", "123456789abcdef0BCDEFA")
Commands = Generator[commands.Command, Any, None]
Held = Shaper[commands.Command]


class FaultyStream(PacedStream):
    """A request that may have faults."""

    def __init__(self, context: Context, stream_id: int, desk: Desk, backlog: Callable[[int], int]) -> None:
        """See `PacedStream`."""
        super().__init__(context, stream_id, desk, backlog)
        self.down: Held | None = None
        self.up: Held | None = None
        self.planned: Plan | None = None
        self.awaited: list[Happened] = []
        self.alarms: dict[commands.RequestWakeup, float] = {}
        self.closed: set[Connection] = set()

    # What comes

    def handle_event(self, event: events.Event) -> Commands:
        """See the base class. Where nobody makes faults, this is all that there is to it."""
        if not self.desk.plans:
            yield from super().handle_event(event)
            return
        if isinstance(event, events.Wakeup) and event.command in self.alarms:
            del self.alarms[event.command]
        else:
            if isinstance(event, RequestProtocolError):
                self.forget_held()
            elif isinstance(event, ResponseProtocolError):
                self.up = None
            yield from self.pass_on(super().handle_event(event))
        yield from self.let_go()

    def pass_on(self, layers: Commands) -> Commands:
        """What the layer wants done."""
        for command in layers:
            if isinstance(command, HttpResponseHook):
                self.foresee()
            yield from self.shaped(command)

    def stalled(self, now: float, *, reading: bool) -> Stalled | None:
        """See the base class: what is held back on purpose does not stand still."""
        if any(held is not None and held.busy for held in (self.down, self.up)):
            self.last_progress = now
            self.count_anew(now)
            return None
        return super().stalled(now, reading=reading)

    def send_up(self, data: bytes) -> Commands:
        """See the base class; a part that gets lost goes nowhere."""
        if self.flow not in self.desk.lost:
            yield from super().send_up(data)

    # What goes

    def shaped(self, command: commands.Command) -> Iterator[commands.Command]:
        """A command, now or, out of `let_go`, later."""
        client = self.context.client
        if isinstance(command, SendHttp):
            held = self.shaper_towards(command.connection)
            self.look_at_head(command.event)
            etag = _has_etag(command.event)
            command = self.changed(command)
            if held is None or isinstance(command.event, _FAILURES) or _is_interim(command.event):
                if isinstance(command.event, _FAILURES):
                    self.forget_held(command.connection)
                yield command
            else:
                _hold(held, command, time.monotonic())
            self.tell(held.has if held is not None else _never, down=command.connection is client, etag=etag)
        elif self.down is not None and self._ends_the_client(command):
            self.down.last(command, time.monotonic())
        else:
            yield command

    def changed(self, command: SendHttp) -> SendHttp:
        """An answer's head as the client is to have it. What people see on the flow, and what is recorded, is true."""
        plan, event = self.planned, command.event
        if plan is None or not isinstance(event, ResponseHeaders) or _is_interim(event):
            return command
        changes = {}
        if plan.wrong_etag and _has_etag(event):
            changes["etag"] = _other_etag(event.response.headers["etag"])
        if plan.down.closing and not self.flow.request.is_http2:
            changes["connection"] = "close"
        if plan.skew:
            changes["date"] = formatdate(time.time() + plan.skew, usegmt=True)
        if not changes:
            return command
        response = event.response.copy()
        response.headers.update(changes)
        return SendHttp(replace(event, response=response), command.connection)

    # What has happened

    def tell(self, has: Callable[[Reached], bool], *, down: bool, etag: bool = False) -> None:
        """Say which of the faults that may yet happen have happened by now.

        Args:
            has: whether the message in one direction has been at a moment.
            down: whether that is the one to the client.
            etag: whether it has an ETag.
        """
        for one in list(self.awaited):
            if isinstance(one.when, Reached):
                happened = (one.when.stream == "downstream") is down and has(one.when)
            else:
                happened = etag
            if happened:
                self.awaited.remove(one)
                self.desk.fault_happened(self.flow, one)

    def foresee(self) -> None:
        """What goes to the client as a whole is looked at before the addons are told: they ask what has happened."""
        held, response = self.shaper_towards(self.context.client), self.flow.response
        if self.planned is None or response is None or (held is not None and held.begun):
            return
        octets = 0 if self.flow.request.method == "HEAD" else len(response.raw_content or b"")
        way = self.planned.down
        self.tell(lambda moment: way.has(moment, octets), down=True, etag="etag" in response.headers)

    def look_at_head(self, event: Any) -> None:
        """Where a store cannot tell that what it gets is corrupted, that is said: it stores it for good."""
        if self.awaited and isinstance(event, RequestHeaders) and not store_can_tell(event.request.headers):
            self.awaited = [
                replace(one, text=one.text + UNTOLD) if one.type == "corrupt" and _is_up(one) else one
                for one in self.awaited
            ]

    def _ends_the_client(self, command: commands.Command) -> bool:
        """Whether it has to wait for what the client has yet to get."""
        if isinstance(command, DropStream):
            return True
        return isinstance(command, commands.CloseConnection) and command.connection is self.context.client

    def shaper_towards(self, connection: Connection) -> Held | None:
        """The shaper of a direction, where there is anything to shape."""
        if self.planned is None:
            self.planned = self.desk.plans.get(self.flow)
            if self.planned is not None:
                self.awaited = [one for one in self.planned.happened if one.when not in ("at once", "part")]
                self.down = self.shaper(self.planned.down, self.context.client, ResponseData, "down")
                self.up = self.shaper(self.planned.up, None, RequestData, "up")
        return self.down if connection is self.context.client else self.up

    def shaper(self, way: Way, to: Connection | None, data: type[RequestData | ResponseData], name: str) -> Held | None:
        """A shaper for one direction; None where it is as it should be."""
        assert self.planned is not None
        if way == PLAIN:
            return None

        def send(piece: bytes) -> commands.Command:
            return SendHttp(data(self.stream_id, piece), to or self.context.server)

        return Shaper(way, send, f"{self.planned.seed}/{name}")

    def let_go(self) -> Commands:
        """What is due by now; see to it that the rest is looked at in time."""
        for held in (self.down, self.up):
            now = time.monotonic()
            if held is None:
                continue
            yield from islice(held.ready(now), MAX_AT_ONCE)
            if (ending := held.ending(now)) is not None:
                yield from self.cut(ending)
                return
        self.hold_readers()
        yield from self.set_alarm()

    def set_alarm(self) -> Iterator[commands.Command]:
        """One for what is due next."""
        dues = [due for held in (self.down, self.up) if held is not None and (due := held.due()) is not None]
        if dues and not any(at <= min(dues) + _EARLY for at in self.alarms.values()):
            alarm = commands.RequestWakeup(max(0.0, min(dues) - time.monotonic()))
            self.alarms[alarm] = min(dues)
            yield alarm

    def hold_readers(self) -> None:
        """Read no more of a message than can be let go."""
        for held, source in ((self.down, self.context.server), (self.up, self.context.client)):
            gate = self.desk.gates.get(source)
            if gate is None:
                continue
            if held is not None and (held.octets > MAX_HELD_OCTETS or (held.stopped and not self.shares(source))):
                gate.close()
                self.closed.add(source)
            elif source in self.closed:
                gate.open()
                self.closed.discard(source)

    def shares(self, source: Connection) -> bool:
        """Whether other requests are on the same connection: what can be thrown away need not stop them."""
        return source is self.context.client and self.flow.request.is_http2

    # Ends

    def cut(self, ending: Ending) -> Commands:
        """End the client's connection, or its stream over HTTP/2, in the middle of whatever is under way."""
        client = self.context.client
        self.forget_held()
        self.hold_readers()
        if ending.how == "reset" and (gate := self.desk.gates.get(client)) is not None:
            gate.reset()
        text = "the connection is cut by a fault"
        yield SendHttp(ResponseProtocolError(self.stream_id, text, ErrorCode.KILL), client)
        gone = RequestProtocolError(self.stream_id, text, ErrorCode.CANCEL)
        yield from self.pass_on(super().handle_event(gone))

    def forget_held(self, connection: Connection | None = None) -> None:
        """Nothing of what is held back is wanted any more; with a `connection`, of what would go there."""
        if connection is None or connection is self.context.client:
            self.down = None
        if connection is None or connection is not self.context.client:
            self.up = None


def _other_etag(etag: str) -> str:
    """Of the same form: its hexadecimal digits are others."""
    return etag.translate(_OTHER_DIGITS)


def _hold(held: Held, command: SendHttp, now: float) -> None:
    event = command.event
    if isinstance(event, _HEADS):
        held.head(command, now)
    elif isinstance(event, _DATA):
        held.data(event.data, now)
    else:
        assert isinstance(event, _ENDS)
        held.last(command, now)


def _has_etag(event: Any) -> bool:
    return isinstance(event, ResponseHeaders) and not _is_interim(event) and "etag" in event.response.headers


def _never(_moment: Reached) -> bool:
    return False


def _is_up(one: Happened) -> bool:
    return isinstance(one.when, Reached) and one.when.stream == "upstream"


def _is_interim(event: Any) -> bool:
    """A 100 Continue, which comes before there is anything to break."""
    return isinstance(event, ResponseHeaders) and event.response.status_code < 200
