"""A gateway's counters as a page of a terminal."""

import re

import click
import pytest

from osp_gateway.backends.routes import BucketRoute, Routes
from osp_gateway.observe.exchange import Answer, Timings
from osp_gateway.observe.metrics import Gauges, Metrics
from osp_gateway.observe.readout import Unreadable, read
from osp_gateway.observe.table import MAX_ROWS, WIDTH, render
from osp_gateway.tallies import Tallies
from support.observed import exchange, verdict


def busy(times=1, buckets=("demo",), **gauges):
    """The page of a gateway that has had many kinds of requests."""
    tallies = Tallies()
    tallies.cache("decisions").hits, tallies.cache("decisions").misses = 90 * times, 10 * times
    tallies.cache("iam_tokens").misses = 3
    tallies.refresh("iam_tokens").succeeded, tallies.refresh("iam_tokens").failed = 2, 1
    metrics = Metrics(tallies, Gauges(**gauges), "1.2.3", "12.9")
    metrics.use(Routes(tuple(BucketRoute(pattern=name) for name in buckets)))
    for _ in range(times):
        for bucket in buckets:
            metrics.finished(exchange(verdict=verdict(bucket=bucket), sent=2048))
        denied = verdict(allowed=False)
        metrics.finished(exchange(verdict=denied, refused=True, answer=Answer(403, error_code="AccessDenied")))
        metrics.finished(exchange(answer=Answer(503), timings=Timings(1.5, 1.0, 1.0)))
    return metrics.page("").body


def page(body, before=None, *, at=100.0, colour=False):
    earlier = read(before, at - 10) if before else None
    return render(read(body, at), earlier, colour=colour)


def row(lines, start):
    (found,) = [line.split() for line in lines if line.startswith(start)]
    return found


def test_the_numbers_are_the_gateways():
    lines = page(busy())
    assert row(lines, "GetObject") == ["GetObject", "demo", "3", "1", "1", "1", "1"]
    assert row(lines, "AccessDenied") == ["AccessDenied", "authorization", "1"]
    assert row(lines, "decisions") == ["decisions", "90", "10", "90.0%", "0", "0"]
    assert row(lines, "iam_tokens") == ["iam_tokens", "0", "3", "0.0%", "2", "1"]
    assert lines[0].startswith("osp 1.2.3  mitmproxy 12.9, Python 3.")
    assert "requests 3, in flight 0" in lines[1]
    assert "sent 2.0 KiB" in lines[2]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("times", [1, 2000])
def test_no_line_is_wider_than_a_terminal(colour, times):
    buckets = ("b" * 63, *(f"bucket-with-a-long-name-{number}" for number in range(40)))
    body = busy(times if times == 1 else 50, buckets, in_flight=lambda: 10**9, connections_open=lambda: 10**9)
    lines = page(body, busy(1, buckets), colour=colour)
    assert max(len(click.unstyle(line)) for line in lines) <= WIDTH


def test_a_long_table_is_cut_and_says_so():
    lines = page(busy(1, tuple(f"bucket-{number}" for number in range(100))))
    assert len([line for line in lines if line.startswith("GetObject")]) == MAX_ROWS
    assert any(re.match(r"\.\.\. and \d+ more", line) for line in lines)


def test_without_colours_there_is_no_escape():
    assert not any("\x1b" in line for line in page(busy()))
    assert any("\x1b" in line for line in page(busy(), colour=True))


def test_rates_are_what_has_come_since():
    lines = page(busy(3), busy(1))
    assert "(0.6/s)" in lines[1]


def test_a_gateway_that_started_anew_has_no_negative_rates():
    assert "(0.0/s)" in page(busy(1), busy(3))[1]


def test_a_gateway_that_has_done_nothing():
    metrics = Metrics(Tallies(), Gauges(), "1", "2")
    assert "No requests so far." in page(metrics.page("").body)


def test_what_goes_wrong_is_said():
    lines = page(busy(lines_dropped=lambda: 7, reloads={"failed": 2}))
    assert "the access log has lost 7 lines" in lines
    assert "the configuration could not be read anew 2 times" in lines


def test_latencies_are_estimated_from_buckets():
    found = read(busy(), 0)
    assert found.quantile("osp_request_seconds", 0.5) == pytest.approx(0.02125)
    assert found.quantile("osp_request_seconds", 0.99) == pytest.approx(2.455)
    assert found.quantile("no_such_metric", 0.5) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"some_metric 1\n", b"osp_build_info{\n", b'a{b="'])
def test_what_is_no_gateway_is_told(body):
    with pytest.raises(Unreadable):
        read(body, 0)
