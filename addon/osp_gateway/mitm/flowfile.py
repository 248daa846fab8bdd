"""Reading flow files: the S3 requests in them, as they arrived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mitmproxy import exceptions, http
from mitmproxy.io import FlowReader

from osp_gateway.mitm.showing import EXPLANATION, details_of
from osp_gateway.mitm.wire import REFUSED_MARK, head_of
from osp_gateway.s3.head import RequestHead

_REFUSALS: Final = frozenset({400, 401, 403})


class FlowFileError(Exception):
    """A file that cannot be read; the text says why. `whole` flows before that could be."""

    def __init__(self, problem: str, whole: int = 0) -> None:
        super().__init__(problem)
        self.whole = whole


@dataclass(frozen=True, slots=True)
class Noted:
    """An explanation that was made when the request came: its text, the names of its causes, what was decided."""

    text: str
    causes: tuple[str, ...]
    matches: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request from a flow file.

    `body` is None where it was not kept, `arrived` is in seconds since the epoch, `port` that of the listener; `noted`
    is what was found out at the time.
    """

    head: RequestHead
    body: bytes | None = field(repr=False)
    arrived: float
    refused: bool
    port: int | None
    noted: Noted | None = None


def http_flows(path: Path) -> Iterator[http.HTTPFlow]:
    """The HTTP flows in a flow file or HAR file, in its order. The file may be anybody's.

    Raises:
        FlowFileError: there is no such file, it is none, or it is damaged.
    """
    count = 0
    try:
        with path.open("rb") as file:
            for flow in FlowReader(file).stream():
                count += 1
                if isinstance(flow, http.HTTPFlow):
                    yield flow
    except OSError as error:
        raise FlowFileError(error.strerror or type(error).__name__) from None
    except Exception as error:  # noqa: BLE001 - mitmproxy trusts these files: nesting, lengths and types may be anything
        what = str(error) if isinstance(error, exceptions.FlowReadException) else type(error).__name__
        problem = f"cut off or damaged behind {count} flows" if count else "not a flow file"
        raise FlowFileError(f"{problem}: {what}", count) from None


def read_flows(path: Path) -> Iterator[RecordedRequest]:
    """The HTTP requests in a flow file, in its order.

    Raises:
        FlowFileError: there is no such file, or it is none.
    """
    yield from map(_recorded, http_flows(path))


def _recorded(flow: http.HTTPFlow) -> RecordedRequest:
    head = head_of(flow)
    response = flow.response
    refused = flow.marked == REFUSED_MARK or (response is not None and response.status_code in _REFUSALS)
    port = next(iter(flow.client_conn.sockname[1:2]), None)
    return RecordedRequest(head, _body(flow, head), flow.request.timestamp_start, refused, port, _noted(flow))


def _noted(flow: http.HTTPFlow) -> Noted | None:
    """From the metadata, which may say anything in a file that somebody else has written."""
    details = details_of(flow)
    if not details:
        return None
    causes = details.get("causes")
    return Noted(
        text=str(flow.metadata.get(EXPLANATION, "")),
        causes=tuple(map(str, causes)) if isinstance(causes, list) else (),
        matches=details.get("matches") is True,
        reason=str(details.get("reason", "")),
    )


def _body(flow: http.HTTPFlow, head: RequestHead) -> bytes | None:
    """The body where it is known in full: that of a refused or a streamed request is mostly not kept."""
    content = flow.request.data.content
    if content is None or "transfer-encoding" in head.fields:
        return None
    length = head.get("content-length") or "0"
    return content if length == str(len(content)) else None
