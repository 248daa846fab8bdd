"""Who is told about requests that have come to their end, and which are still under way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from mitmproxy import http
from mitmproxy.connection import Client

from osp_gateway.observe.exchange import Answer, Caller, Exchange, Sink, Timings

log = logging.getLogger(__name__)


class Observed:
    """A request that is being watched."""

    @property
    def waits(self) -> bool:
        """Whether it will go on by itself."""
        raise NotImplementedError

    def gone(self) -> None:
        """Its client is gone."""
        raise NotImplementedError


class Watch:
    """What is under way, and the sinks for what is over. `shows_heads`: they want to see requests' heads."""

    def __init__(self) -> None:
        self.sinks: Sequence[Sink] = ()
        self.shows_heads = False
        self.in_flight = 0
        self._open: dict[str, set[Observed]] = {}

    def begin(self, request: Observed, client: Client) -> None:
        """A request's head has come."""
        self._open.setdefault(client.id, set()).add(request)
        self.in_flight += 1

    def end(self, request: Observed, client: Client) -> None:
        """It is over."""
        requests = self._open.get(client.id)
        if requests is None or request not in requests:
            return
        requests.remove(request)
        self.in_flight -= 1
        if not requests:
            del self._open[client.id]

    def finished(self, tell: Callable[[], Exchange]) -> None:
        """Tell the sinks. Nothing that goes wrong in that must harm a request."""
        try:
            exchange = tell()
            for sink in self.sinks:
                sink.finished(exchange)
        except Exception:
            log.exception("a request could not be recorded")

    def unreadable(self, client: Client, code: str, response: http.Response) -> None:
        """A request that could not be read is answered with an error of this `code`."""
        self.finished(
            lambda: Exchange(
                arrived=time.time(),
                caller=caller_of(client),
                timings=Timings(0.0),
                complete=True,
                refused=True,
                answer=answer_of(response, code),
                sent=len(response.raw_content or b""),
            )
        )

    def client_gone(self, client: Client) -> None:
        """End what nobody else will: a request that waits for something notices by itself."""
        for request in tuple(self._open.get(client.id, ())):
            if not request.waits:
                request.gone()

    def close(self) -> None:
        """The gateway ends, and with it whatever is under way."""
        for requests in tuple(self._open.values()):
            for request in tuple(requests):
                request.gone()


def caller_of(client: Client) -> Caller:
    """The client's side of its connection."""
    return Caller(str(client.peername[0]), client.tls_version or "", client.cipher or "")


def answer_of(response: http.Response, error_code: str) -> Answer:
    """What can be told of an answer by its head."""
    headers = response.headers
    return Answer(
        status=response.status_code,
        request_id=headers.get("x-amz-request-id", ""),
        host_id=headers.get("x-amz-id-2", ""),
        version_id=headers.get("x-amz-version-id", ""),
        size=_object_size(headers),
        error_code=error_code,
    )


def _object_size(headers: http.Headers) -> int | None:
    """The size of the whole object: RFC 9110, sections 8.6 and 14.4."""
    written: str = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 20 else None
