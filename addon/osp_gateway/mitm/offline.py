"""Answering from a recording, without a store: mitmproxy's server replay, which finds its answers as S3 would.

What mitmproxy itself compares, signatures, dates and addresses among it, differs each time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mitmproxy import ctx, exceptions, http

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.flowfile import FlowFileError
from osp_gateway.mitm.rereading import read_recording
from osp_gateway.mitm.sanitizing import plain_query
from osp_gateway.outcomes import Forward, Verdict
from osp_gateway.replay.exchange import Answer, Exchange
from osp_gateway.replay.library import Library, matching
from osp_gateway.replay.tape import Tape
from osp_gateway.s3 import encoding
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

FORWARD: Final = "forward"
"""mitmproxy's word for what is done with requests that have no recorded answer."""
AT_ONCE: Final = "400"
"""They get an error that no client tries again after."""
MAX_UNMATCHED: Final = 1000
_OPTIONS: Final = frozenset({"server_replay", "server_replay_extra", "server_replay_reuse"})
_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


class OfflineAddon:
    """Comes after the gateway's own addon: what was refused stays refused."""

    def __init__(self, desk: Desk, library: Library | None = None, extra: str = FORWARD) -> None:
        """`library` is used where mitmproxy's options say nothing; `extra` is `server_replay_extra`."""
        self._desk = desk
        self._extra = extra
        self.unmatched: deque[Verdict] = deque(maxlen=MAX_UNMATCHED)
        """The requests that had no recorded answer, and did not go on to a store."""
        desk.library = library

    def use(self, library: Library | None, extra: str = FORWARD) -> None:
        """From the next request on; see the constructor."""
        self._desk.library, self._extra = library, extra

    def configure(self, updated: set[str]) -> None:
        """Take over what mitmproxy's own addon would replay."""
        options = ctx.options
        if not updated & _OPTIONS or "server_replay" not in options:
            return
        self._extra = options.server_replay_extra
        try:
            paths = [Path(file).expanduser() for file in options.server_replay]
            self._desk.library = load_library(paths, reuse=options.server_replay_reuse) if paths else None
        except FlowFileError as error:
            raise exceptions.OptionsError(f"server_replay: {error}") from None
        if paths and "keepserving" in options:
            options.update(keepserving=True)  # mitmdump would end at once: its own addon has nothing left to answer
        self.running()

    def running(self) -> None:
        """mitmproxy's own addon would answer after us, with what its own comparison finds; it may have read the files
        after us, too.
        """
        if self._desk.library is not None and (theirs := ctx.master.addons.get("serverplayback")) is not None:
            theirs.clear()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """What the request is about must be known when its body is complete."""
        if self._desk.library is not None and flow in self._desk.managed and flow not in self._desk.tapes:
            self._desk.tapes[flow] = Tape(self._desk.head(flow), limit=0, document_limit=0)

    def request(self, flow: http.HTTPFlow) -> None:
        """The body is complete, and found right."""
        outcome, tape = self._desk.outcomes.get(flow), self._desk.tapes.get(flow)
        library = self._desk.library
        if library is None or tape is None or flow.response is not None or not isinstance(outcome, Forward):
            return
        plan = self._desk.plans.get(flow)
        if plan is not None and plan.without_store:
            return
        cut = plan is not None and plan.down.ending is not None
        try:
            found = answer_offline(flow, outcome.verdict, tape, library, keep=cut)
        except S3Error as error:
            self._unanswered(flow, outcome.verdict, error)
            return
        if found:
            flow.comment += ", answered from the recording"
        elif self._extra != FORWARD:
            self._unanswered(flow, outcome.verdict, not_recorded(outcome.verdict))

    def _unanswered(self, flow: http.HTTPFlow, verdict: Verdict, problem: S3Error) -> None:
        self.unmatched.append(verdict)
        if self._extra == "kill":
            flow.kill()
        else:
            flow.response = self._desk.refuse(flow, _at_once(problem) if self._extra == AT_ONCE else problem)


def load_library(files: Sequence[Path], *, reuse: bool) -> Library:
    """The answers recorded in some files.

    Raises:
        FlowFileError: with the file's name, where one cannot be read or holds none.
    """
    exchanges: list[Exchange] = []
    for file in files:
        try:
            found = read_recording(file).exchanges
        except FlowFileError as error:
            raise FlowFileError(f"{file}: {error}") from None
        if not found:
            raise FlowFileError(f"{file}: no S3 requests with answers in it, expected a recording")
        exchanges += found
    return Library(exchanges, reuse=reuse)


def answer_offline(flow: http.HTTPFlow, verdict: Verdict, tape: Tape, library: Library, *, keep: bool = False) -> bool:
    """Give a request, whose body is complete, the answer that was recorded. Returns whether there is one.

    With `keep` it is not used up: it will be cut off by a fault, which happened when it was recorded as well.

    Raises:
        S3Error: ServiceUnavailable (503) where the recording has no more than the digest of the answer's body.
    """
    fields = [(name, ",".join(values)) for name, values in tape.head.fields.items()]
    key = matching(
        verdict.operation,
        verdict.bucket,
        encoding.encode(verdict.key.encode(), "/"),
        plain_query(tape.head),
        fields,
        tape.request.payload(),
    )
    answer = library.answer(key, keep=keep)
    if answer is None:
        return False
    flow.response = _response(answer, tape.head.method)
    flow.is_replay = "response"
    return True


def not_recorded(verdict: Verdict) -> S3Error:
    """What is said of a request that has no answer."""
    return S3Error(
        "ServiceUnavailable",
        "There is no recorded answer to this request.",
        reason=f"offline: no recorded answer, or none any more, to this {verdict.operation}",
    )


def _at_once(problem: S3Error) -> S3Error:
    """The same as an error that no client tries again after."""
    return S3Error("NotRecorded", problem.message, reason=problem.reason, status=400)


def _response(answer: Answer, method: str) -> http.Response:
    content = answer.payload.content
    if content is None:
        raise S3Error.unavailable(
            "The recorded answer's body is not in the recording.",
            reason=f"offline: of a body of {answer.payload.length} octets only the digest was recorded",
        )
    kept = [(name, value) for name, value in answer.headers if name not in _OF_THE_CONNECTION]
    length: Any = answer.header("content-length") if method == "HEAD" else str(len(content))
    if length is not None and answer.status not in (204, 304):
        kept.append(("content-length", length))
    response = http.Response.make(answer.status, content)
    # All at once: `make` would say how long a HEAD's body is that is not there.
    response.data.headers = http.Headers([(n.encode("latin-1"), value.encode("latin-1")) for n, value in kept])
    return response
