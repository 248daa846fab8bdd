"""What shows a gateway from outside: its metrics and its access log, for as long as the process lives."""

from __future__ import annotations

import logging
from collections import Counter

from mitmproxy import version

from osp_gateway.backends.routes import Routes
from osp_gateway.config import ConfigError, Settings
from osp_gateway.mitm.connections import ConnectionCounter
from osp_gateway.mitm.watch import Watch
from osp_gateway.observe.access_log import AccessLog
from osp_gateway.observe.admin import Documents
from osp_gateway.observe.log_writer import LineWriter
from osp_gateway.observe.metrics import Gauges, Metrics
from osp_gateway.tallies import Tallies

log = logging.getLogger(__name__)


class Instruments:
    """Metrics and access log of one process, whatever configurations it goes through."""

    def __init__(self, watch: Watch, connections: ConnectionCounter, own_version: str) -> None:
        """`watch` is to tell of what comes to its end; `connections` counts connections."""
        self.tallies = Tallies()
        self.reloads: Counter[str] = Counter(ok=0, failed=0)
        self._watch = watch
        self.masked: frozenset[str] = frozenset()
        """The folded names of further parameters that the access log masks."""
        self._writers: list[LineWriter] = []
        self._writer: LineWriter | None = None
        gauges = Gauges(
            in_flight=lambda: watch.in_flight,
            connections_open=lambda: connections.open,
            connections=lambda: connections.entered,
            connections_refused=lambda: connections.refused,
            lines_written=lambda: sum(writer.written for writer in self._writers),
            lines_dropped=lambda: sum(writer.dropped for writer in self._writers),
            reloads=self.reloads,
        )
        self.metrics = Metrics(self.tallies, gauges, own_version, version.VERSION)
        watch.sinks = (self.metrics,)

    def documents(self) -> Documents:
        """What the admin port shows of it: `/metrics` is where Prometheus looks unless told otherwise."""
        return dict.fromkeys(("/metrics", "/-/metrics"), self.metrics.page)

    def use(self, settings: Settings) -> None:
        """From now on.

        Raises:
            ConfigError: the access log cannot be opened; then nothing has changed.
        """
        target = settings.access_log
        if target != (self._writer.target if self._writer else None):
            self._change_writer(_writer(target) if target else None)
        self.metrics.use(Routes(settings.routes))

    def reopen(self) -> None:
        """Open the access log anew: it may have been moved away."""
        if self._writer is None:
            return
        try:
            self._writer.reopen()
        except OSError as error:
            log.error("access_log: cannot be opened anew: %s", _cause(error))  # noqa: TRY400

    def close(self) -> None:
        """The end: lines that wait are written, if that can be done soon."""
        self._watch.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _change_writer(self, writer: LineWriter | None) -> None:
        if self._writer is not None:
            self._writer.close(0)  # its thread goes on until everything is written
        self._writer = writer
        self._watch.shows_heads = writer is not None
        if writer is None:
            self._watch.sinks = (self.metrics,)
        else:
            self._writers.append(writer)
            self._watch.sinks = (self.metrics, AccessLog(writer.put, lambda: self.masked))


def _writer(target: str) -> LineWriter:
    try:
        return LineWriter(target)
    except OSError as error:
        raise ConfigError([f"access_log: cannot be opened: {_cause(error)}, expected a file or -"]) from None


def _cause(error: OSError) -> str:
    return error.strerror or type(error).__name__
