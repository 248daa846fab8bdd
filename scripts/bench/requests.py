"""Requests a second through mitmdump with the addon, beside stock mitmdump, before the same store.

Both proxies run at the same time and are measured in turn, round by round; the ratio of each pair counts, so that a
machine whose speed drifts does not matter. Every request is a GET of a 1 KB object over kept-alive connections.

    .venv/bin/python scripts/bench/requests.py
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import click

from osp_gateway.s3.head import Header
from osp_gateway.sigv4.canonical import EMPTY_SHA256
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.sign import sign_head

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from support.processes import (
    ADDON,
    BACKEND_KEY,
    BACKEND_SECRET,
    BIN,
    CLIENT_KEY,
    CLIENT_SECRET,
    Running,
    Store,
    config_for,
    rclone_server,
)

OBJECT = "/demo/kilobyte"
ANSWER_SECONDS = 30.0


def request_bytes(port: int, pair: KeyPair) -> bytes:
    """A signed GET as it goes over the wire; the same one is sent again and again."""
    headers: list[Header] = sign_head(
        method="GET",
        path=OBJECT,
        query=(),
        headers=[("host", f"127.0.0.1:{port}")],
        payload_hash=EMPTY_SHA256,
        pair=pair,
        region="us-east-1",
        now=time.time(),
        keys=SigningKeys(),
    ).headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"GET {OBJECT} HTTP/1.1\r\n{lines}\r\n".encode()


def fetch(port: int, request: bytes, count: int, problems: list[str]) -> None:
    """`count` requests over one connection."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
        answer = connection.makefile("rb")
        for _ in range(count):
            connection.sendall(request)
            if b" 200 " not in (status := answer.readline()):
                problems.append(f"expected status 200, got {status!r}")
                return
            length = 0
            while (line := answer.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answer.read(length)


def rate(port: int, request: bytes, connections: int, requests: int) -> float:
    """Requests a second over several connections at once."""
    problems: list[str] = []
    each = requests // connections
    threads = [threading.Thread(target=fetch, args=(port, request, each, problems)) for _ in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise click.ClickException(f"port {port}: {problems[0]}")
    return each * connections / (time.perf_counter() - started)


def mitmdump(stack: ExitStack, folder: Path, *arguments: str) -> int:
    """mitmdump with few words; its port."""
    folder.mkdir()
    running = Running(
        [
            *(str(BIN / "mitmdump"), "--set", f"confdir={folder}", "--set", "keep_host_header=true"),
            *("--set", "flow_detail=0", "--set", "termlog_verbosity=warn", *arguments),
        ],
        folder / "mitmdump.log",
    )
    stack.callback(running.stop)
    return port_of(running)


def with_addon(stack: ExitStack, folder: Path, store: Store) -> int:
    """mitmdump with the addon; its port."""
    config = folder.with_suffix(".py")
    config.write_text(config_for(store), encoding="utf-8")
    return mitmdump(
        stack,
        folder,
        *("-s", str(ADDON), "--set", f"osp_config={config}", "--set", "osp_preview=0"),
        *("--mode", "reverse:http://s3.invalid@127.0.0.1:0"),
    )


def port_of(running: Running) -> int:
    """The port that mitmdump listens on: it says so only with more words than a benchmark wants."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and _owns(running.process.pid, fields[9]):
                return int(fields[1].split(":")[1], 16)
        time.sleep(0.1)
    raise click.ClickException("mitmdump does not listen")


def _owns(pid: int, inode: str) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(link.readlink()) == f"socket:[{inode}]":
                return True
    return False


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=5, help="Rounds of each.")
@click.option("--requests", default=2000, help="Requests in a round.")
@click.option("--connections", default=8, help="Connections at the same time.")
def main(rounds: int, requests: int, connections: int) -> None:
    """Compare mitmdump with the addon to stock mitmdump."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osp-bench-")))
        store = stack.enter_context(rclone_server(folder))
        (store.make_bucket("demo") / "kilobyte").write_bytes(b"k" * 1024)
        stock = mitmdump(stack, folder / "stock", "--mode", f"reverse:http://127.0.0.1:{store.port}@127.0.0.1:0")
        ours = with_addon(stack, folder / "gateway", store)
        targets = {
            "mitmdump": (stock, request_bytes(stock, KeyPair(BACKEND_KEY, BACKEND_SECRET))),
            "mitmdump with the addon": (ours, request_bytes(ours, KeyPair(CLIENT_KEY, CLIENT_SECRET))),
            "the store, direct": (store.port, request_bytes(store.port, KeyPair(BACKEND_KEY, BACKEND_SECRET))),
        }
        rates: dict[str, list[float]] = {name: [] for name in targets}
        for number in range(rounds + 1):
            for name, (port, request) in targets.items():
                measured = rate(port, request, connections, requests if number else connections * 4)
                if number:  # the first round warms up
                    rates[name].append(measured)
    for name, measured_rates in rates.items():
        click.echo(f"{name:26}{statistics.median(measured_rates):9.0f} requests/s (median of {rounds} rounds)")
    pairs = zip(rates["mitmdump with the addon"], rates["mitmdump"], strict=True)
    ratios = sorted(mine / theirs for mine, theirs in pairs)
    click.echo(
        f"ratio addon / stock       {statistics.median(ratios):9.2f}   "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}; aim: at least 0.90)"
    )


if __name__ == "__main__":
    main()
