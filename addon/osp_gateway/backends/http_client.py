"""The one HTTP client of our own: forms and questions sent with urllib3, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import urllib3
from urllib3.exceptions import HTTPError

from osp_gateway.asking import Answer, Question, without_details
from osp_gateway.backends.iam import HttpReply

TIMEOUT_SECONDS: Final = 10.0
ASK_SECONDS: Final = 5.0
READ_OCTETS: Final = 65536
MAX_REPLY_OCTETS: Final = 1024 * 1024


class Urllib3Poster:
    """An `HttpPost`: no redirects are followed and no retries made, so that a secret goes where it was sent."""

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Give up after `timeout` seconds."""
        without_details("urllib3")
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


class Urllib3Asker:
    """An `Ask`, with threads of its own: a service that hangs holds up nobody but those who ask it."""

    def __init__(self, timeout: float = ASK_SECONDS, threads: int = 8) -> None:
        """Give up after `timeout` seconds, the last octet of the answer included."""
        self._timeout = timeout
        without_details("urllib3")
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout), retries=False)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="osp:asking")

    async def __call__(self, question: Question) -> Answer:
        """The answer. Raises OSError where no whole answer came in time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)

    def _ask(self, question: Question) -> Answer:
        deadline = time.monotonic() + self._timeout
        try:
            reply = self._pool.request(
                "GET" if question.body is None else "POST",
                question.url,
                body=question.body,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **question.headers},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                body = _read(reply, question.max_octets, deadline)
            except BaseException:
                reply.close()
                raise
            reply.release_conn()
            return Answer(reply.status, body)
        except HTTPError as error:
            raise OSError(type(error).__name__) from error


def _read(reply: Any, max_octets: int, deadline: float) -> bytes:
    """All of a body, as it comes: a server that sends an octet now and then gets no more time than others."""
    body = b""
    while piece := reply.read1(READ_OCTETS):
        body += piece
        if len(body) > max_octets:
            raise OSError(f"the answer is longer than {max_octets} octets")
        if time.monotonic() > deadline:
            raise OSError("the answer takes too long")
    return body
