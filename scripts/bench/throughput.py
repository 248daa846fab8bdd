"""MB/s up and down through the gateway, beside stock mitmdump that streams, and beside a direct transfer.

All of them are measured in turn, round by round, before one server that takes and makes octets as fast as it can; the
ratio of each pair counts. Uploads carry the hash of their body, which the gateway checks.

    .venv/bin/python scripts/bench/throughput.py
"""

from __future__ import annotations

import hashlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from requests import mitmdump, port_of  # the benchmark beside this one

from support.processes import ADDON, BIN, CLIENT_KEY, CLIENT_SECRET, Running
from support.signing import signed

MIB = 2**20
PIECE = bytes(range(256)) * (MIB // 256)
TIMEOUT = 120.0

SERVER = """
import socket, sys, threading
size = int(sys.argv[1]); piece = bytes(range(256)) * 4096
def serve(connection):
    buffer = bytearray(2**20)
    while True:
        head = b""
        while b"\\r\\n\\r\\n" not in head:
            data = connection.recv(65536)
            if not data:
                return
            head += data
        head, _, rest = head.partition(b"\\r\\n\\r\\n")
        if head.startswith(b"GET"):
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
            for _ in range(size // len(piece)):
                connection.sendall(piece)
            continue
        left = size - len(rest)
        while left:
            count = connection.recv_into(buffer, min(left, len(buffer)))
            if not count:
                return
            left -= count
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

CONFIG = """
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={port}, is_tls_enabled=False,
        access_key='bench-fake-key', secret_key='bench-fake-secret')}},
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=lambda token, bucket: True, http_port=0, listen_host='127.0.0.1',
)
"""


def expect_200(stream: object, name: str) -> int:
    """The length that a good answer announces."""
    status = stream.readline()  # type: ignore[attr-defined]
    if b" 200 " not in status:
        raise click.ClickException(f"{name}: expected status 200, got {status!r}")
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return length


def transfer(name: str, port: int, upload: bool, mib: int, digest: str) -> float:
    """MB/s of one upload or download."""
    if upload:
        request = signed(port, "PUT", "/demo/key", payload_hash=digest, length=mib * MIB)
    else:
        request = signed(port, "GET", "/demo/key")
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        started = time.perf_counter()
        connection.sendall(request.head)
        if upload:
            for _ in range(mib):
                connection.sendall(PIECE)
        stream = connection.makefile("rb", buffering=MIB)
        left = expect_200(stream, name)
        buffer = bytearray(MIB)
        while left and (count := stream.readinto1(buffer)):  # type: ignore[attr-defined]
            left -= count
        if left:
            raise click.ClickException(f"{name}: {left} octets are missing")
        return mib * MIB / 1e6 / (time.perf_counter() - started)


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=3, help="Rounds of each.")
@click.option("--mib", default=256, help="Size of each body in MiB.")
def main(rounds: int, mib: int) -> None:
    """Compare the gateway to stock mitmdump and to no proxy at all."""
    hashed = hashlib.sha256()
    for _ in range(mib):
        hashed.update(PIECE)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osp-bench-")))
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(mib * MIB)], stdout=subprocess.PIPE)
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        store = int(server.stdout.readline())
        config = folder / "server.py"
        config.write_text(CONFIG.format(port=store, key=CLIENT_KEY, secret=CLIENT_SECRET), encoding="utf-8")
        serve = Running([str(BIN / "osp"), "serve", str(config)], folder / "osp.log")
        stack.callback(serve.stop)
        reverse = f"reverse:http://127.0.0.1:{store}@127.0.0.1:0"
        addon = ("-s", str(ADDON), "--set", f"osp_config={config}", "--mode", "reverse:http://s3.invalid@127.0.0.1:0")
        targets = {
            "direct": store,
            "stock mitmdump": mitmdump(stack, folder / "stock", "--set", "stream_large_bodies=1", "--mode", reverse),
            "mitmdump with the addon": mitmdump(stack, folder / "addon", *addon),
            "osp serve": port_of(serve),
        }
        for upload in (True, False):
            rates: dict[str, list[float]] = {name: [] for name in targets}
            for _ in range(rounds):
                for name, port in targets.items():
                    rates[name].append(transfer(name, port, upload, mib, hashed.hexdigest()))
            report("up" if upload else "down", rates)


def report(direction: str, rates: dict[str, list[float]]) -> None:
    """Medians, and the medians of the ratios round by round."""
    for name, measured in rates.items():
        pairs = [
            statistics.median(mine / other for mine, other in zip(measured, rates[base], strict=True))
            for base in ("stock mitmdump", "direct")
        ]
        click.echo(
            f"{direction:5}{name:26}{statistics.median(measured):8.0f} MB/s"
            f"{pairs[0]:8.2f} of stock mitmdump{pairs[1]:8.2f} of direct"
        )


if __name__ == "__main__":
    main()
