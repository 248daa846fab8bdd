"""A client that goes away in the middle leaves nothing behind, however often it happens."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.processes import GatewayProcess, Store, config_for, gateway
from support.signing import signed

WARM_UP = 400
REPEATS = 1000
LARGE = 4 * 1024 * 1024
SETTLE_SECONDS = 30.0
# A connection that stays behind holds 100 KiB and more. Less than that per repeat is what the allocator has yet to give
# back, which it does in large pieces.
ALLOWED_GROWTH_KIB = REPEATS * 80


@pytest.fixture(scope="module")
def lonely(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway of its own, so that nothing but this module's clients shows in its numbers."""
    with gateway(tmp_path_factory.mktemp("lonely"), config_for(store), options={"osp_preview": "0"}) as running:
        yield running


def process_folder(osp: GatewayProcess) -> Path:
    return Path(f"/proc/{osp.running.process.pid}")


def open_files(osp: GatewayProcess) -> int:
    return len(list((process_folder(osp) / "fd").iterdir()))


def resident_kib(osp: GatewayProcess) -> int:
    lines = (process_folder(osp) / "status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def settles(number: Callable[[], int], most: int) -> int:
    """The number once it is small enough, or what it is when we stop waiting."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := number()) > most and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def hang_up(connection: socket.socket) -> None:
    """Close with a reset, as a killed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def upload_half(osp: GatewayProcess, prefix: str, number: int) -> None:
    port = osp.ports[0]
    body = bytes(200_000)
    request = signed(port, "PUT", f"/demo/{prefix}upload-{number}", body)
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.sendall(request.head + body[: len(body) // 2])
    hang_up(connection) if number % 2 else connection.close()


def download_half(osp: GatewayProcess, prefix: str, number: int) -> None:
    port = osp.ports[0]
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.sendall(signed(port, "GET", f"/demo/{prefix}large").octets)
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    hang_up(connection) if number % 2 else connection.close()


@pytest.mark.parametrize("leave", [upload_half, download_half])
def test_clients_that_go_away_leave_nothing_behind(lonely, direct, prefix, leave):
    direct.put_object(Bucket="demo", Key=prefix + "large", Body=bytes(LARGE))
    for number in range(WARM_UP):
        leave(lonely, prefix, number)
    settles(lambda: open_files(lonely), 40)
    files, memory = open_files(lonely), resident_kib(lonely)
    for number in range(REPEATS):
        leave(lonely, prefix, number)
    assert settles(lambda: open_files(lonely), files + 4) <= files + 4
    assert settles(lambda: resident_kib(lonely) - memory, ALLOWED_GROWTH_KIB) <= ALLOWED_GROWTH_KIB
    listed = direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents", [])
    assert [entry["Key"] for entry in listed] == [prefix + "large"]
    assert "crashed" not in lonely.output()
    assert "Traceback" not in lonely.output()
