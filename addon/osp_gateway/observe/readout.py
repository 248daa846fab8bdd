"""The metrics of a gateway, read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

BUILD: Final = "osp_build_info"
STARTED: Final = "process_start_time_seconds"

Labels = Mapping[str, str]


class Unreadable(Exception):
    """What came is not the metrics of a gateway; says what it is."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Readout:
    """What a gateway said at a time, in seconds since the epoch."""

    samples: tuple[Sample, ...]
    at: float

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series of this name that carry these labels."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def by(
        self, name: str, *keys: str, where: Callable[[Labels], bool] = lambda _: True
    ) -> dict[tuple[str, ...], float]:
        """The sums of a metric's series by some of its labels."""
        sums: dict[tuple[str, ...], float] = {}
        for sample in self.samples:
            if sample.name == name and where(sample.labels):
                key = tuple(sample.labels.get(label, "") for label in keys)
                sums[key] = sums.get(key, 0.0) + sample.value
        return sums

    def quantile(self, name: str, part: float, **labels: str) -> float | None:
        """An estimate by a histogram's buckets, as Prometheus makes it; None where it holds nothing."""
        buckets: dict[float, float] = {}
        for sample in self.samples:
            if sample.name == f"{name}_bucket" and labels.items() <= sample.labels.items():
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
        return _quantile(sorted(buckets.items()), part)

    @property
    def versions(self) -> Labels:
        """Of the gateway, of Python and of mitmproxy."""
        return next((s.labels for s in self.samples if s.name == BUILD), {})

    @property
    def uptime(self) -> float | None:
        """Seconds since the process started."""
        started = self.total(STARTED)
        return max(0.0, self.at - started) if started else None

    def document(self) -> dict[str, Any]:
        """For programs: each metric's series."""
        metrics: dict[str, list[dict[str, Any]]] = {}
        for sample in self.samples:
            metrics.setdefault(sample.name, []).append({"labels": dict(sample.labels), "value": sample.value})
        return {"time": self.at, "metrics": metrics}


def read(body: bytes, at: float) -> Readout:
    """Read Prometheus's text format.

    Raises:
        Unreadable: it is something else, or of something else.
    """
    try:
        families = list(text_string_to_metric_families(body.decode()))
    except ValueError as error:
        raise Unreadable("what answers there does not speak of metrics") from error
    samples = tuple(Sample(s.name, s.labels, s.value) for family in families for s in family.samples)
    if not any(sample.name == BUILD for sample in samples):
        raise Unreadable("what answers there has metrics, but is no gateway of this kind")
    return Readout(samples, at)


def _quantile(buckets: list[tuple[float, float]], part: float) -> float | None:
    if not buckets or not buckets[-1][1]:
        return None
    rank = part * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return low
