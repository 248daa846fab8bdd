"""The layers of a client connection, put in place from the `next_layer` hook."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from hyperframe.frame import GoAwayFrame
from mitmproxy.connection import Server
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
)
from mitmproxy.proxy.layers.http._http2 import Http2Server

from osp_gateway.mitm.clock import ClockTick, round_length
from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.downstream import BodyRefused, ClientHttp1
from osp_gateway.mitm.downstream_http2 import ClientHttp2
from osp_gateway.mitm.refusals import note_end
from osp_gateway.mitm.transport import GatewayStream
from osp_gateway.mitm.upstream import GetUpstream, UpstreamClient
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

MAX_IDLE_CONNECTIONS: Final = 4
ANY_STREAM: Final = 2**31 - 1
Commands = Generator[commands.Command, Any, None]


@dataclass
class Drain(events.Event):
    """The gateway is about to end: first the client is told; then the connection ends as soon as it is idle."""

    close: bool


class ListenerLayer(layer.Layer):
    """The first layer above a reverse-mode listener: waits until TLS and plain HTTP can be told apart.

    That, and the TLS handshake after it, has to be over within the time that a head may take.
    """

    def __init__(self, context: Context, desk: Desk) -> None:
        super().__init__(context)
        self.desk = desk
        self.waiting: list[events.Event] = []
        self.received = b""
        self.child: layer.Layer | None = None
        self.deadline: commands.RequestWakeup | None = None

    def _handle_event(self, event: events.Event) -> Commands:
        try:
            yield from self.dispatch(event)
        except Exception:
            log.exception("a client connection failed and is closed")
            yield commands.CloseConnection(self.context.client)

    def dispatch(self, event: events.Event) -> Commands:
        """What is to be done about an event."""
        if self.deadline is None:
            self.deadline = commands.RequestWakeup(self.desk.limits.head_timeout)
            yield self.deadline
        if isinstance(event, events.Wakeup) and event.command is self.deadline:
            yield from self.look_at_the_clock()
        elif self.child is not None:
            yield from self.child.handle_event(event)
        else:
            yield from self.wait_for_first_octets(event)

    def look_at_the_clock(self) -> Commands:
        """Close a connection that has come no further; from here on the layers above have their own clock."""
        if self.child is not None and (self.context.client.tls_established or not self.context.client.tls):
            self._handle_event = self.child.handle_event  # type: ignore[method-assign]
            return
        note_end(self.context.client, "no TLS handshake or request came in time")
        yield commands.CloseConnection(self.context.client)

    def wait_for_first_octets(self, event: events.Event) -> Commands:
        """Until it is known what is spoken here."""
        self.waiting.append(event)
        if isinstance(event, events.DataReceived) and event.connection == self.context.client:
            self.received += event.data
            if len(self.received) >= 3:
                yield from self.hand_over()
        elif isinstance(event, events.ConnectionClosed) and event.connection == self.context.client:
            yield commands.CloseConnection(self.context.client)

    def hand_over(self) -> Commands:
        """Put the stack in place and pass on what arrived so far."""
        stack = tunnel.LayerStack()
        if starts_like_tls_record(self.received):
            stack /= tls.ClientTLSLayer(self.context)
        stack /= GatewayHttpLayer(self.context, self.desk)
        self.child = stack[0]
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            yield from self.child.handle_event(event)


class GatewayHttpLayer(HttpLayer):
    """One client connection: a `GatewayStream` for each request, and the connections to backends."""

    def __init__(self, context: Context, desk: Desk) -> None:
        super().__init__(context, HTTPMode.transparent)
        self.desk = desk
        self.round: commands.RequestWakeup | None = None
        self.ending = False
        self.gone: set[Server] = set()

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Start):
            fork = self.context.fork()
            if self.context.client.alpn == b"h2":
                self.connections[self.context.client] = ClientHttp2(fork, self.desk, self.throttle)
            else:
                self.connections[self.context.client] = ClientHttp1(fork, self.desk)
        try:
            if isinstance(event, Drain):
                yield from self.drain(event)
            elif isinstance(event, events.Wakeup) and event.command is self.round:
                yield from self.look_for_stalled()
            else:
                yield from super()._handle_event(event)
            if isinstance(event, events.ConnectionClosed) and isinstance(event.connection, Server):
                self.gone.add(event.connection)
            if isinstance(event, events.Start | events.Wakeup):
                yield from self.look_again_later()
            if self.ending:
                yield from self.end_when_idle()
        except Exception as error:
            log.exception("a client connection failed and is closed")
            yield from self.fail(S3Error.internal(f"{type(error).__name__} in the transport"))

    def fail(self, error: S3Error) -> Commands:
        """End the connection; where a request was being read, with an answer to that."""
        client = self.connections.get(self.context.client)
        if isinstance(client, ClientHttp1) and not self.streams:
            yield from client.refuse(error)
        else:
            yield commands.CloseConnection(self.context.client)

    def drain(self, event: Drain) -> Commands:
        """The client is to send its next requests elsewhere; what it has sent until it hears of that is served."""
        self.ending = event.close
        client = self.connections.get(self.context.client)
        if isinstance(client, ClientHttp1):
            client.last = True
        elif isinstance(client, Http2Server) and not event.close:
            yield commands.SendData(self.context.client, GoAwayFrame(0, last_stream_id=ANY_STREAM).serialize())

    def end_when_idle(self) -> Commands:
        """Close the connection when nothing is under way on it.

        HTTP/2 clients learn which of their requests was the last to be served (RFC 9113, section 6.8).
        """
        client = self.connections.get(self.context.client)
        if self.streams or not self.context.client.connected:
            return
        if isinstance(client, ClientHttp1) and client.idle:
            yield commands.CloseConnection(self.context.client)
        elif isinstance(client, Http2Server) and not any(client.h2_conn.stream_buffers.values()):
            last = GoAwayFrame(0, last_stream_id=client.h2_conn.highest_inbound_stream_id)
            yield commands.SendData(self.context.client, last.serialize())
            yield commands.CloseConnection(self.context.client)

    def look_again_later(self) -> Commands:
        """One timer for the connection: one for each request would outlive it by a minute."""
        if self.round is None and self.context.client.connected:
            self.round = commands.RequestWakeup(round_length(self.desk))
            yield self.round

    def look_for_stalled(self) -> Commands:
        """Tell the requests on which nothing has moved, and the connection that the time has come to look."""
        self.round = None
        if not self.context.client.connected:
            return
        tick = ClockTick(busy=bool(self.streams))
        yield from self.event_to_child(self.connections[self.context.client], tick)
        now, reading = time.monotonic(), not self.held_back()
        for stream in list(self.streams.values()):
            if isinstance(stream, GatewayStream) and (news := _news_for(stream, now, reading)):
                yield from self.event_to_child(stream, news)

    def held_back(self) -> bool:
        """Whether a store has yet to take what was sent to it: mitmproxy reads nothing from the client meanwhile."""
        gates = [self.desk.gates.get(c) for c in self.connections if isinstance(c, Server)]
        return any(gate.is_behind() for gate in gates if gate is not None)

    def make_stream(self, stream_id: int) -> Commands:
        """A stream for each request."""
        self.streams[stream_id] = GatewayStream(self.context.fork(), stream_id, self.desk, self.backlog)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def backlog(self, stream_id: int) -> int:
        """How many octets of a response wait for the client to make room for them."""
        connection = self.connections[self.context.client]
        return connection.backlogs.octets(stream_id) if isinstance(connection, ClientHttp2) else 0

    def throttle(self, stream_id: int, behind: bool) -> None:
        """Read no further from a backend whose client falls behind; it has its connection for itself."""
        stream = self.streams.get(stream_id)
        gate = self.desk.gates.get(stream.context.server) if stream is not None else None
        if gate is not None:
            gate.close() if behind else gate.open()

    def close_idle(self) -> Commands:
        """Make room: mitmproxy lets a client connection have five connections to one address.

        An HTTP/1 client has one request at a time, so when it needs a new connection all the others are idle.
        """
        if self.context.client.alpn == b"h2":
            return
        idle = [c for c in self.connections if isinstance(c, Server) and c.connected]
        if len(idle) >= MAX_IDLE_CONNECTIONS:
            for connection in idle:
                yield commands.CloseConnection(connection)

    def forget_gone(self) -> None:
        """Let go of closed connections that no request holds on to: a client may outlive many of them."""
        needed = {stream.context.server for stream in self.streams.values()} | self.waiting_for_establishment.keys()
        for connection in self.gone - needed:
            self.gone.discard(connection)
            self.connections.pop(connection, None)

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        """An open connection that will do, or a new one.

        The parent's method without upstream proxies, QUIC and HTTP/2 towards the backend, and with each new
        connection's trust on record before anything happens on it.
        """
        assert isinstance(event, GetUpstream)
        assert event.trust is not None
        # mitmproxy closes a backend's connection after one request of an HTTP/2 client.
        usable = reuse and not event.fresh and self.context.client.alpn != b"h2"
        for connection in list(self.connections) if usable else ():
            if not event.connection_spec_matches(connection):
                continue
            if connection in self.waiting_for_establishment:
                self.waiting_for_establishment[connection].append(event)
                return
            if connection.connected and not connection.error:
                if (gate := self.desk.gates.get(connection)) and gate.something_to_read():
                    yield commands.CloseConnection(connection)  # its end, which we have not been told of yet
                    continue
                stream = self.command_sources.pop(event)
                yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (connection, None)))
                return
        yield from self.close_idle()
        self.forget_gone()
        context = self.context.fork()
        context.server = Server(address=event.address, transport_protocol="tcp")
        self.desk.trust[context.server] = event.trust
        stack = tunnel.LayerStack()
        if event.tls:
            stack /= tls.ServerTLSLayer(context)
        stack /= UpstreamClient(context)
        self.connections[context.server] = stack[0]
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(stack[0], events.Start())


def _news_for(stream: GatewayStream, now: float, reading: bool) -> events.Event | None:
    """What a request is to be told; where that cannot be found out, it ends, and no other with it."""
    try:
        return stream.stalled(now, reading=reading)
    except Exception as error:
        log.exception("a request failed inside the gateway")
        return BodyRefused(stream.stream_id, S3Error.internal(f"{type(error).__name__} in the transport"))
