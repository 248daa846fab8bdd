"""Recording: the addon that listens in while requests are served."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.recording import Recorder
from osp_gateway.mitm.sanitizing import Sanitizer
from osp_gateway.outcomes import DENIED, Forward, Refusal, Verdict
from osp_gateway.replay.report import printable
from osp_gateway.replay.tape import KEPT_OCTETS, Tape
from osp_gateway.s3.operations import POST_OBJECT

log = logging.getLogger(__name__)

NOBODYS: Final = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)
"""What is refused so was sent by nobody who could be named, and would be signed rightly when it is sent again."""


class RecorderAddon:
    """Comes before the gateway's own addon: it sees requests as they come, and answers before they are forgotten."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._recorder: Recorder | None = None
        self._file = self._interrupted = self._before = ""
        self._sanitizer: Sanitizer | None = None
        """Of the last recording: where that goes on, what stands for something stands for it still."""
        self.failed = False
        """Whether a recording has ended before its time."""
        self.skips_replayed = False
        """Whether what is answered from a recording is left out."""
        self.written = 0
        """Exchanges in the present file."""

    def load(self, loader: Loader) -> None:
        """Declare our options."""
        loader.add_option(
            "osp_record",
            str,
            "",
            "Record requests and answers into this flow file, without secrets, for `osp replay`. It is begun anew with "
            "the first exchange.",
        )
        loader.add_option(
            "osp_record_body",
            int,
            KEPT_OCTETS // 1024,
            "Objects of up to this many KiB are recorded whole, larger ones by their digest and length.",
        )

    def configure(self, updated: set[str]) -> None:
        """Begin a file, or end it. The one that is recorded into stays that where something else changes."""
        if not updated & {"osp_record", "osp_record_body", "osp_redact_headers"}:
            return
        options = ctx.options
        if options.osp_record_body < 0:
            raise exceptions.OptionsError("osp_record_body: expected a number of KiB, 0 or more")
        file, limit = options.osp_record, options.osp_record_body * 1024
        if self._recorder is None or file != self._file:
            self._change(file)
        if self._recorder is not None:
            self._recorder.limit = limit
            self._recorder.sanitizer.name(options.osp_redact_headers if "osp_redact_headers" in options else ())

    def _change(self, file: str) -> None:
        """Where the new file cannot be recorded into, the old one still is."""
        if file and _is_stream(file):
            raise exceptions.OptionsError(
                f"osp_record: {file}: mitmproxy itself saves its flows there (save_stream_file)"
            )
        onward = bool(file) and file in (self._interrupted, self._before)
        try:
            sanitizer = self._sanitizer if onward else None
            recorder = Recorder(Path(file).expanduser(), onward=onward, sanitizer=sanitizer) if file else None
        except OSError as error:
            raise exceptions.OptionsError(f"osp_record: {file}: {error.strerror}") from None
        before = self._file if self._recorder is not None and self._recorder.begun else ""
        self._end()
        self._recorder, self._file = recorder, file
        if not onward:
            self.written = 0
        self._remember(before)

    def _remember(self, file: str) -> None:
        """Where another addon refuses what came along with a change, mitmproxy sets the file at once to what it was."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._before = file
        loop.call_soon(self._forget)

    def _forget(self) -> None:
        self._before = ""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A tape for each request."""
        if self._recorder is not None and flow in self._desk.managed:
            self._desk.tapes[flow] = self._recorder.tape(self._desk.head(flow))

    def response(self, flow: http.HTTPFlow) -> None:
        """An exchange has come to its end. What somebody made up to break a program is none of the store's."""
        outcome, tape = self._desk.outcomes.get(flow), self._desk.tapes.pop(flow, None)
        plan = self._desk.plans.get(flow)
        if isinstance(outcome, Refusal) and outcome.error.code in NOBODYS:
            return
        if outcome is not None and self._refused_for_its_policy(flow, outcome.verdict):
            return
        if (plan is not None and plan.without_store) or (self.skips_replayed and flow.is_replay == "response"):
            return
        if self._recorder is not None and outcome is not None and tape is not None:
            self._write(self._recorder, flow, outcome.verdict, tape)

    def _refused_for_its_policy(self, flow: http.HTTPFlow, verdict: Verdict) -> bool:
        """A form is sent again with a policy for exactly its fields: one that its own did not allow would be good."""
        refused = flow.response is not None and flow.response.status_code >= 400 and flow not in self._desk.adapted
        return refused and verdict.operation == POST_OBJECT and verdict.authorizer != DENIED

    def _write(self, recorder: Recorder, flow: http.HTTPFlow, verdict: Verdict, tape: Tape) -> None:
        """Where that fails, requests go on: the addons behind this one, which mask and forget, must have their turn."""
        try:
            self.written += recorder.write(flow, verdict, tape)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            log.error("osp_record: %s; the recording ends here, with %d exchanges in it", reason, self.written)  # noqa: TRY400
            self.failed = True
            self._end()
        except ValueError as error:
            log.error("osp_record: %s cannot be recorded: %s", _title(verdict), error)  # noqa: TRY400
        except Exception:
            log.exception("osp_record: an exchange could not be recorded")

    def error(self, flow: http.HTTPFlow) -> None:
        """What was broken off is not recorded: nobody knows what else there would have been."""
        tape, outcome = self._desk.tapes.pop(flow, None), self._desk.outcomes.get(flow)
        if self._recorder is not None and tape is not None and isinstance(outcome, Forward):
            log.warning("osp_record: %s was broken off, and is not in the recording", _title(outcome.verdict))

    def done(self) -> None:
        """The end, or the end of this version of the script: its next one goes on."""
        interrupted = self._file if self._recorder is not None and self._recorder.begun else ""
        self._end()
        self._interrupted = interrupted

    def _end(self) -> None:
        recorder, self._recorder = self._recorder, None
        self._file = self._interrupted = ""
        if recorder is not None:
            self._sanitizer = recorder.sanitizer
            if recorder.lost:
                log.error("osp_record: the file has been removed or replaced, and what was recorded with it")
                self.failed = True
            recorder.close()


def _title(verdict: Verdict) -> str:
    return printable(f"{verdict.operation} {verdict.bucket}/{verdict.key}")


def _is_stream(file: str) -> bool:
    """Whether it is the file that `-w` names: each would write over the other."""
    stream = ctx.options.save_stream_file if "save_stream_file" in ctx.options else None
    if not stream:
        return False
    return Path(stream.lstrip("+")).expanduser().resolve() == Path(file).expanduser().resolve()
