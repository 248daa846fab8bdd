"""Layers hear of the end of each connection to a backend, whatever mitmproxy does to the task that reads from it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import events

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.ends import PatientWriter, tell_of_the_end


class Handler:
    """What `tell_of_the_end` needs of mitmproxy's."""

    def __init__(self, server: Server, writer: object) -> None:
        self.transports = {server: SimpleNamespace(writer=writer)}
        self.told: list[events.Event] = []

    async def server_event(self, event: events.Event) -> None:
        self.told.append(event)


@pytest.fixture
def server():
    server = Server(address=("127.0.0.1", 1))
    server.state = ConnectionState.OPEN
    return server


@pytest.fixture
def desk():
    return Desk(refuse=lambda flow, error: None)


async def test_the_layers_are_told_where_nobody_did(server, desk):
    closed = []
    handler = Handler(server, SimpleNamespace(close=lambda: closed.append(1)))
    await tell_of_the_end(handler, server, desk)
    (told,) = handler.told
    assert isinstance(told, events.ConnectionClosed)
    assert told.connection is server
    assert server.state is ConnectionState.CLOSED
    assert (closed, handler.transports) == ([1], {})


async def test_they_are_told_once(server, desk):
    desk.ended.add(server)
    handler = Handler(server, None)
    await tell_of_the_end(handler, server, desk)
    assert not handler.told


async def test_a_connection_that_never_had_a_stream_is_ended_too(server, desk):
    handler = Handler(server, None)
    await tell_of_the_end(handler, server, desk)
    assert len(handler.told) == 1


async def broken(_reader, writer):
    writer.transport.abort()


async def test_writing_to_a_broken_connection_fails_nobody():
    """mitmproxy would cancel the task that reads, perhaps with what it has read in its hands."""
    listener = await asyncio.start_server(broken, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    with pytest.raises(OSError, match=r"reset|Connection lost|Broken pipe"):
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
    await PatientWriter(writer).drain()
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        await reader.read(1)
    writer.close()
    listener.close()


async def test_a_patient_writer_waits_for_one_that_does_not_read():
    held = asyncio.Event()

    async def never_reads(_reader, writer):
        await held.wait()
        writer.transport.abort()

    listener = await asyncio.start_server(never_reads, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    patient = PatientWriter(writer)
    patient.write(bytes(64 * 2**20))
    waiting = asyncio.create_task(patient.drain())
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    held.set()
    await waiting
    patient.close()
    listener.close()
