"""What is known of one request once it has come to its end, whichever way that was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from osp_gateway.outcomes import Verdict
from osp_gateway.s3.head import RequestHead


@dataclass(frozen=True, slots=True)
class Caller:
    """The client's side of a connection: its address and, where it came by TLS, version and cipher of that."""

    address: str
    tls_version: str = ""
    cipher: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client got of an answer.

    `size` is that of the whole object, where the answer tells it; `request_id`, `host_id` and `version_id` are those
    that stand in it, where somebody wanted to see heads; `error_code` is S3's, whoever it is from.
    """

    status: int
    request_id: str = ""
    host_id: str = ""
    version_id: str = ""
    size: int | None = None
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class Timings:
    """In seconds. `turn_around` is from the request's last octet to the answer's first; None: it did not come to that.

    `first_byte` is from the head's departure to the backend until the backend's answer.
    """

    total: float
    turn_around: float | None = None
    first_byte: float | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer.

    `arrived` is in seconds since the epoch. `head` is None where nobody wanted to see it, or where it could not be
    read; `verdict` and `answer` where there was none. `refused` says that the answer is the gateway's own refusal;
    `received` and `sent` are octets of the bodies; `complete` is False where the request was broken off.
    """

    arrived: float
    caller: Caller
    timings: Timings
    complete: bool
    verdict: Verdict | None = None
    refused: bool = False
    answer: Answer | None = None
    received: int = 0
    sent: int = 0
    head: RequestHead | None = field(default=None, repr=False)
    http_version: str = ""


class Sink(Protocol):
    """Takes what has come to its end. Must be quick, and must not raise."""

    def finished(self, exchange: Exchange) -> None:
        """One request more."""
