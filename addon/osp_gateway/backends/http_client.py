"""The one HTTP client of our own: forms posted with urllib3, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from osp_gateway.backends.iam import HttpReply

TIMEOUT_SECONDS: Final = 10.0
MAX_REPLY_OCTETS: Final = 1024 * 1024


class Urllib3Poster:
    """An `HttpPost`: no redirects are followed and no retries made, so that a secret goes where it was sent."""

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Give up after `timeout` seconds."""
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout), retries=False)

    async def __call__(self, url: str, form: Mapping[str, str]) -> HttpReply:
        """Post `form` to `url`. Raises OSError where no answer came."""
        return await asyncio.to_thread(self._post, url, dict(form))

    def _post(self, url: str, form: dict[str, str]) -> HttpReply:
        try:
            reply = self._pool.request(
                "POST",
                url,
                fields=form,
                encode_multipart=False,
                headers={"Accept": "application/json"},
                redirect=False,
                preload_content=False,
            )
            try:
                return HttpReply(reply.status, reply.read(MAX_REPLY_OCTETS))
            finally:
                reply.release_conn()
        except HTTPError as error:
            raise OSError(type(error).__name__) from error
