"""What a gateway counts, as Prometheus and OpenMetrics want to read it.

Each gateway process has a registry of its own, which lives as long as the process does. Labels are bounded, see
`labels`; and so is the number of series of each metric, however the bounds of its labels multiply.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.registry import Collector

from osp_gateway.backends.routes import Routes
from osp_gateway.observe.admin import Page
from osp_gateway.observe.exchange import Exchange
from osp_gateway.observe.labels import NONE, OTHER, BucketLabels, FewOperations, reason_class, status_label
from osp_gateway.tallies import Tallies

MAX_SERIES: Final = 10_000
"""Of requests by operation, bucket, status and verdict; further ones have no bucket of their own."""
OPEN_METRICS: Final = "application/openmetrics-text"
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ADMIT_BUCKETS: Final = (0.00005, 0.0001, 0.00025, 0.0005, *_SHORT)
BUCKETS: Final = (*_SHORT, 30.0, 60.0, 300.0, 900.0)
"""Upper bounds in seconds."""


@dataclass(slots=True)
class Gauges:
    """Numbers that others keep, asked for when somebody looks."""

    in_flight: Callable[[], int] = lambda: 0
    connections_open: Callable[[], int] = lambda: 0
    connections: Callable[[], int] = lambda: 0
    connections_refused: Callable[[], int] = lambda: 0
    lines_written: Callable[[], int] = lambda: 0
    lines_dropped: Callable[[], int] = lambda: 0
    reloads: Mapping[str, int] = field(default_factory=dict)


class Metrics:
    """The metrics of one gateway process; a `Sink` of what has come to its end."""

    def __init__(self, tallies: Tallies, gauges: Gauges, version: str, engine: str) -> None:
        """`version` is the gateway's own, `engine` that of mitmproxy."""
        self.registry = CollectorRegistry()
        self._buckets = BucketLabels(Routes(()))
        self._operations = FewOperations()
        self._requests = _Children(
            Counter(
                "osp_requests",
                "Requests that have come to their end.",
                ["operation", "bucket", "status", "verdict"],
                registry=self.registry,
            )
        )
        self._refusals = _Children(
            Counter("osp_refusals", "Requests that the gateway refused.", ["code", "reason"], registry=self.registry)
        )
        self._received = _Children(
            Counter("osp_received_bytes", "Octets of bodies from clients.", ["bucket"], registry=self.registry)
        )
        self._sent = _Children(
            Counter("osp_sent_bytes", "Octets of bodies to clients.", ["bucket"], registry=self.registry)
        )
        self._broken_off = Counter(
            "osp_requests_broken_off", "Requests that ended before their answer did.", registry=self.registry
        )
        self._admit = Histogram(
            "osp_admit_seconds", "Time for a decision on a head.", buckets=ADMIT_BUCKETS, registry=self.registry
        )
        self._first_byte = _Children(
            Histogram(
                "osp_upstream_first_byte_seconds",
                "Time from a request's departure to the backend until the head of the answer.",
                ["operation"],
                buckets=BUCKETS,
                registry=self.registry,
            )
        )
        self._total = _Children(
            Histogram(
                "osp_request_seconds",
                "Time from a request's head to the end of its answer.",
                ["operation"],
                buckets=BUCKETS,
                registry=self.registry,
            )
        )
        self._about_the_process(gauges, version, engine)
        self.registry.register(_Kept(tallies, gauges))

    def _about_the_process(self, gauges: Gauges, version: str, engine: str) -> None:
        in_flight = Gauge("osp_requests_in_flight", "Requests under way.", registry=self.registry)
        in_flight.set_function(gauges.in_flight)
        connections = Gauge("osp_connections_open", "Connections of clients.", registry=self.registry)
        connections.set_function(gauges.connections_open)
        build = Gauge("osp_build_info", "Versions.", ["version", "python", "mitmproxy"], registry=self.registry)
        build.labels(version, platform.python_version(), engine).set(1)
        ProcessCollector(registry=self.registry)

    def use(self, routes: Routes) -> None:
        """From now on these buckets have labels of their own."""
        self._buckets = BucketLabels(routes)

    def finished(self, exchange: Exchange) -> None:
        """See `Sink`."""
        verdict, answer, timings = exchange.verdict, exchange.answer, exchange.timings
        operation = self._operations.of(verdict.operation) if verdict else NONE
        bucket = self._buckets.of(verdict.bucket) if verdict else NONE
        word = "refused" if exchange.refused else "allowed" if verdict and verdict.allowed else NONE
        status = status_label(answer.status if answer else None)
        shown = OTHER if self._requests.many and not self._requests.has(operation, bucket, status, word) else bucket
        self._requests.of(operation, shown, status, word).inc()
        if exchange.refused and answer:
            self._refusals.of(answer.error_code or NONE, reason_class(answer.error_code, operation)).inc()
        if exchange.received:
            self._received.of(bucket).inc(exchange.received)
        if exchange.sent:
            self._sent.of(bucket).inc(exchange.sent)
        if not exchange.complete:
            self._broken_off.inc()
        if verdict and verdict.micros:
            self._admit.observe(verdict.micros / 1e6)
        if timings.first_byte is not None:
            self._first_byte.of(operation).observe(timings.first_byte)
        self._total.of(operation).observe(timings.total)

    def page(self, accept: str) -> Page:
        """All of it, in the form that the header `Accept` prefers."""
        accepted = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
        if OPEN_METRICS in accepted:
            return Page(200, open_metrics(_Quiet(self.registry)), f"{OPEN_METRICS}; version=1.0.0; charset=utf-8")
        return Page(200, generate_latest(_Quiet(self.registry)), "text/plain; version=0.0.4; charset=utf-8")


class _Children:
    """A metric's series by their labels: finding one in the library costs more than all the rest."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._known: dict[tuple[str, ...], Any] = {}

    def of(self, *labels: str) -> Any:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._metric.labels(*labels)
        return child

    def has(self, *labels: str) -> bool:
        return labels in self._known

    @property
    def many(self) -> bool:
        return len(self._known) >= MAX_SERIES


class _Quiet(Collector):
    """A registry without the times at which counters were created: they double the number of series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _Kept(Collector):
    """Numbers that others keep."""

    def __init__(self, tallies: Tallies, gauges: Gauges) -> None:
        self._tallies = tallies
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        gauges = self._gauges
        yield from self._caches()
        refreshes = {
            (kind, result): number
            for kind, tally in list(self._tallies.refreshes.items())
            for result, number in (("ok", tally.succeeded), ("failed", tally.failed))
        }
        yield _counter("osp_credential_refreshes", "Credentials fetched anew.", ["kind", "result"], refreshes)
        yield _counter("osp_connections", "Connections that clients opened.", [], {(): gauges.connections()})
        refused = {(): gauges.connections_refused()}
        yield _counter("osp_connections_refused", "Connections closed: too many from one address.", [], refused)
        lines = {("written",): gauges.lines_written(), ("dropped",): gauges.lines_dropped()}
        yield _counter("osp_access_log_lines", "Lines of the access log.", ["result"], lines)
        reloads = {(result,): number for result, number in list(gauges.reloads.items())}
        yield _counter("osp_config_reloads", "Times that the configuration was read anew.", ["result"], reloads)

    def _caches(self) -> Iterator[Metric]:
        caches = list(self._tallies.caches.items())
        lookups = {
            (cache, result): number
            for cache, tally in caches
            for result, number in (("hit", tally.hits), ("miss", tally.misses))
        }
        yield _counter("osp_cache_lookups", "What was looked for in a cache.", ["cache", "result"], lookups)
        failures = {(cache,): tally.failures for cache, tally in caches}
        yield _counter("osp_cache_failures", "Calls to a cache that failed.", ["cache"], failures)


def _counter(name: str, words: str, labels: list[str], values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
