"""Where the addon's hooks and the transport layers meet: what was decided about which flow and connection.

All of it is keyed weakly: what mitmproxy forgets is forgotten here.
"""

from __future__ import annotations

import asyncio
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import connection, http

from osp_gateway.backends.routes import Destination
from osp_gateway.faults.plan import Happened, Plan
from osp_gateway.gateway import Gateway
from osp_gateway.limits import DEFAULT_LIMITS, Limits
from osp_gateway.mitm.in_flight import InFlight
from osp_gateway.mitm.showing import Showing
from osp_gateway.mitm.watch import Watch
from osp_gateway.mitm.wire import head_of
from osp_gateway.outcomes import Outcome
from osp_gateway.replay.library import Library
from osp_gateway.replay.tape import Body, Tape
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.keys import KeyPair


@dataclass(frozen=True, slots=True)
class UpstreamTrust:
    """How a backend's certificate is judged: the name that it must carry; whether, or by which file, it is checked."""

    server_name: str
    verify: bool | Path


READ_OCTETS: Final = 256 * 1024
"""mitmproxy asks for 64 KiB at a time, and every piece walks through all its layers: downloads at 1.4 of its own speed
instead of 0.7, uploads whose hash is checked at 1.0 instead of 0.7."""


class Gate:
    """Stops the reading from a connection for as long as what comes from it cannot be worked off."""

    def __init__(self, writer: Any = None) -> None:
        """`writer` is the connection's stream writer."""
        self._writer = writer
        self._open = asyncio.Event()
        self._open.set()

    def close(self) -> None:
        """Read no further."""
        self._open.clear()

    def open(self) -> None:
        """Read on."""
        self._open.set()

    def is_behind(self) -> bool:
        """Whether the other side has yet to take what was sent to it."""
        transport = getattr(self._writer, "transport", None)
        return transport is not None and transport.get_write_buffer_size() > 0

    def unsent(self) -> int:
        """Octets that the other side has not acknowledged, as far as the system tells."""
        transport = getattr(self._writer, "transport", None)
        if transport is None or transport.is_closing():
            return 0
        waiting: int = transport.get_write_buffer_size()
        number = transport.get_extra_info("socket").fileno()
        with suppress(OSError):  # not on this system
            (queued,) = struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, b"\0" * 4))
            waiting += queued
        return waiting

    def abort(self) -> None:
        """End the connection at once, whatever was still to be sent."""
        transport = getattr(self._writer, "transport", None)
        if transport is not None:
            transport.abort()

    def reset(self) -> None:
        """End the connection at once, and so that the other side is told of a failure (RST) and not of an end."""
        transport = getattr(self._writer, "transport", None)
        if transport is None or transport.is_closing():
            return
        with suppress(OSError):  # gone already
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()

    def something_to_read(self) -> bool:
        """Whether the other side has sent something that nobody has read yet, its end of the connection included."""
        number = self._writer.get_extra_info("socket").fileno() if self._writer is not None else -1
        if number < 0 or self._writer.is_closing():
            return True
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))

    async def wait(self) -> None:
        """Until the gate is open."""
        await self._open.wait()


class GatedReader:
    """A connection's stream reader with a gate in front of it, and perhaps a time limit for the first octet.

    mitmproxy has no layer for a connection before something has come on it: nobody else could keep that limit.
    """

    def __init__(self, reader: Any, gate: Gate, first_octet: float | None = None) -> None:
        """`first_octet`: seconds, or None for no limit."""
        if isinstance(reader, asyncio.StreamReader):
            reader._limit = READ_OCTETS  # type: ignore[attr-defined]  # set once, before anything is read
        self._reader = reader
        self._gate = gate
        self._first_octet = first_octet

    async def read(self, size: int) -> bytes:
        """Octets, once the gate is open: as many as are there, up to `size` or `READ_OCTETS`; none at the stream's end.

        Raise `TimeoutError` (an `OSError`, as of a broken connection) where the client never says anything.
        """
        await self._gate.wait()
        if self._first_octet is not None:
            seconds, self._first_octet = self._first_octet, None
            async with asyncio.timeout(seconds):
                first: bytes = await self._reader.read(size)
                return first
        data: bytes = await self._reader.read(max(size, READ_OCTETS))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _nobody_told(_flow: http.HTTPFlow, _one: Happened) -> None:
    pass


def _right_time(_flow: http.HTTPFlow) -> float:
    return 0.0


def _nothing_learned(_destination: Destination, _region: str) -> None:
    """Without a gateway."""


async def _no_client_key(_access_key: str) -> KeyPair:
    raise S3Error.unavailable("The gateway has no configuration.")


@dataclass(slots=True)
class Desk:
    """The records that hooks and transport share.

    `refuse` turns an error that the transport met into the flow's response; `learn_region` takes what a backend said
    about the region of a bucket, see `Regions.learn`; bodies of up to `preview` octets stay
    with their flows, for people to look at. `bodies` holds those that are to be decided upon, for as long as it takes.
    A request without progress for `read_timeout` seconds is given up, and so is a connection without a request.
    `unseen` are answers that hold secrets: the flow has their like without them. `adapted` are the flows whose response
    has been made the client's; `unfit` says of which it must not reach the client, and why.
    `judges` are the gateways that have yet to decide about a body: the ones that decided about its head.
    """

    refuse: Callable[[http.HTTPFlow, S3Error], http.Response]
    learn_region: Callable[[Destination, str], Destination | None] = _nothing_learned
    preview: int = 0
    read_timeout: float = 60.0
    limits: Limits = DEFAULT_LIMITS
    outcomes: WeakKeyDictionary[http.HTTPFlow, Outcome] = field(default_factory=WeakKeyDictionary)
    judges: WeakKeyDictionary[http.HTTPFlow, Gateway] = field(default_factory=WeakKeyDictionary)
    bodies: WeakKeyDictionary[http.HTTPFlow, bytes] = field(default_factory=WeakKeyDictionary)
    unseen: WeakKeyDictionary[http.HTTPFlow, bytes] = field(default_factory=WeakKeyDictionary)
    unfit: WeakKeyDictionary[http.HTTPFlow, S3Error] = field(default_factory=WeakKeyDictionary)
    managed: WeakSet[http.HTTPFlow] = field(default_factory=WeakSet)
    gates: WeakKeyDictionary[connection.Connection, Gate] = field(default_factory=WeakKeyDictionary)
    trust: WeakKeyDictionary[connection.Server, UpstreamTrust] = field(default_factory=WeakKeyDictionary)
    adapted: WeakSet[http.HTTPFlow] = field(default_factory=WeakSet)
    in_flight: InFlight = field(default_factory=InFlight)
    watch: Watch = field(default_factory=Watch)
    tapes: WeakKeyDictionary[http.HTTPFlow, Tape] = field(default_factory=WeakKeyDictionary)
    plans: WeakKeyDictionary[http.HTTPFlow, Plan] = field(default_factory=WeakKeyDictionary)
    """What faults are made of which requests."""
    lost: WeakKeyDictionary[http.HTTPFlow, Body] = field(default_factory=WeakKeyDictionary)
    """Parts of uploads that are not to reach the store: their content goes by, to be summed up (MD5)."""
    credentials: WeakKeyDictionary[http.HTTPFlow, tuple[bytes, ...]] = field(default_factory=WeakKeyDictionary)
    """What the gateway has signed a request with, which no store is to tell the client."""
    domains: tuple[str, ...] = ()
    """Of virtual-hosted addresses."""
    clock_offset: Callable[[http.HTTPFlow], float] = _right_time
    """By how many seconds the clock is to be wrong for a request."""
    fault_happened: Callable[[http.HTTPFlow, Happened], None] = _nobody_told
    """A fault of a request's plan, of which that was not certain, has happened."""
    client_key: Callable[[str], Awaitable[KeyPair]] = _no_client_key
    """The key pair of a client; raises `S3Error` where there is none."""
    library: Library | None = None
    """Recorded answers, which come before the store's."""
    withhold: int = 0
    """So many octets of a body may wait for the recording to be asked, where that is more than `limits.hold`."""
    showing: Showing = field(default_factory=Showing)
    heads: WeakKeyDictionary[http.HTTPFlow, RequestHead] = field(default_factory=WeakKeyDictionary)
    """Heads as they were received: on the flows they are masked."""

    def receive(self, flow: http.HTTPFlow) -> None:
        """A head has come: it is taken down as it is, and masked on its flow before anybody sees it."""
        self.heads[flow] = head_of(flow)
        self.showing.request_head(flow)

    def head(self, flow: http.HTTPFlow) -> RequestHead:
        """The head of a request as it was received, for as long as the request is not over."""
        return self.heads.get(flow) or head_of(flow)

    def abort_if_behind(self, peer: connection.Connection) -> None:
        """End the connection of somebody who has not even taken what was sent: closing would wait for that."""
        gate = self.gates.get(peer)
        if gate is not None and gate.is_behind():
            gate.abort()

    def forget(self, flow: http.HTTPFlow) -> None:
        """A flow has come to its end."""
        self.outcomes.pop(flow, None)
        self.credentials.pop(flow, None)
        self.judges.pop(flow, None)
        self.unseen.pop(flow, None)
        self.bodies.pop(flow, None)
        self.unfit.pop(flow, None)
        self.heads.pop(flow, None)
