"""A gateway's metrics, read with Prometheus's own parser, and its access log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from support.raw import TIMEOUT_SECONDS, Answer, ask

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def metrics_page(admin_port: int, path: str = "/metrics", accept: str = "") -> Answer:
    head = f"GET {path} HTTP/1.1\r\nHost: admin\r\n" + (f"Accept: {accept}\r\n" if accept else "")
    return ask(admin_port, f"{head}\r\n".encode())


class Scrape:
    """All samples of one page."""

    def __init__(self, answer: Answer) -> None:
        assert answer.status == 200
        parse = open_metrics if "openmetrics" in answer.headers["content-type"] else plain_text
        self.text = answer.body.decode()
        self.families = {family.name: family for family in parse(self.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels; 0 where there is none."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def series(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Each series of a metric by its labels."""
        return {tuple(sorted(s.labels.items())): s.value for s in self.samples if s.name == name}

    def labels(self, name: str, label: str) -> set[str]:
        return {s.labels[label] for s in self.samples if s.name == name}


def scrape(admin_port: int, accept: str = "") -> Scrape:
    return Scrape(metrics_page(admin_port, accept=accept))


def scrape_when(admin_port: int, ready: Callable[[Scrape], bool]) -> Scrape:
    """The metrics as soon as they are `ready`, or what they are when we stop waiting."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not ready(found := scrape(admin_port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def after(admin_port: int, requests: int) -> Scrape:
    """The metrics as soon as so many requests have come to their end."""
    return scrape_when(admin_port, lambda found: found.value("osp_requests_total") >= requests)


def log_lines(path: Path, count: int) -> list[dict[str, Any]]:
    """The documents of an access log as soon as there are `count`, or what there are when we stop waiting."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        text = path.read_bytes() if path.exists() else b""
        if text.count(b"\n") >= count or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert text.endswith(b"\n") or not text
    return [json.loads(line) for line in text.split(b"\n")[:-1]]
