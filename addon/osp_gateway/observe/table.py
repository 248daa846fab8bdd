"""A gateway's metrics as a page of a terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from osp_gateway.observe.readout import Labels, Readout

WIDTH: Final = 80
MAX_ROWS: Final = 15
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

Style = Callable[..., str]


def render(readout: Readout, before: Readout | None, *, colour: bool) -> list[str]:
    """The page's lines. With what was read `before`, rates stand beside the numbers."""
    style: Style = click.style if colour else _plain
    return [
        *_head(readout, before, style),
        *_requests(readout, before, style),
        *_refusals(readout, style),
        *_latencies(readout, style),
        *_caches(readout, style),
    ]


def _plain(text: str, **_: object) -> str:
    return text


def _head(readout: Readout, before: Readout | None, style: Style) -> list[str]:
    versions = readout.versions
    title = f"osp {versions.get('version', '?')}"
    about = f"mitmproxy {versions.get('mitmproxy', '?')}, Python {versions.get('python', '?')}"
    uptime = f", up {_duration(readout.uptime)}" if readout.uptime is not None else ""
    memory = readout.total("process_resident_memory_bytes")
    lines = [
        style(title, bold=True) + f"  {about}{uptime}" + (f", {_octets(memory)} resident" if memory else ""),
        f"requests {_number(readout.total('osp_requests_total'))}{_rate(readout, before, 'osp_requests_total')}"
        f", in flight {_number(readout.total('osp_requests_in_flight'))}"
        f", broken off {_number(readout.total('osp_requests_broken_off_total'))}"
        f", connections {_number(readout.total('osp_connections_open'))}",
        f"received {_octets(readout.total('osp_received_bytes_total'))}"
        f"{_rate(readout, before, 'osp_received_bytes_total', _octets)}"
        f", sent {_octets(readout.total('osp_sent_bytes_total'))}"
        f"{_rate(readout, before, 'osp_sent_bytes_total', _octets)}",
    ]
    dropped = readout.total("osp_access_log_lines_total", result="dropped")
    if dropped:
        lines.append(style(f"the access log has lost {_number(dropped)} lines", fg="red"))
    failed = readout.total("osp_config_reloads_total", result="failed")
    if failed:
        lines.append(style(f"the configuration could not be read anew {_number(failed)} times", fg="red"))
    return lines


def _requests(readout: Readout, before: Readout | None, style: Style) -> list[str]:
    def with_status(test: Callable[[str], bool]) -> Callable[[Labels], bool]:
        return lambda labels: test(labels.get("status", ""))

    keys = ("operation", "bucket")
    name = "osp_requests_total"
    every = readout.by(name, *keys)
    columns = [
        readout.by(name, *keys, where=with_status(lambda status: status[:1] in "23")),
        readout.by(name, *keys, where=with_status(lambda status: status[:1] == "4")),
        readout.by(name, *keys, where=with_status(lambda status: status[:1] == "5")),
        readout.by(name, *keys, where=lambda labels: labels.get("verdict") == "refused"),
    ]
    earlier = before.by(name, *keys) if before else {}
    if not every:
        return ["", "No requests so far."]
    rows = sorted(every, key=lambda key: (-every[key], key))
    lines = [
        "",
        _heading(f"{'OPERATION':<25}{'BUCKET':<17}{'ALL':>8}{'2xx3xx':>8}{'4xx':>7}{'5xx':>7}{'REFUSED':>8}", style),
    ]
    for key in rows[:MAX_ROWS]:
        numbers = [column.get(key, 0.0) for column in columns]
        cells = [f"{_number(numbers[0]):>8}", f"{_number(numbers[1]):>7}", f"{_number(numbers[2]):>7}"]
        if numbers[1]:
            cells[1] = style(cells[1], fg="yellow")
        if numbers[2]:
            cells[2] = style(cells[2], fg="red")
        moving = before is not None and every[key] > earlier.get(key, 0.0)
        name_cell = f"{_fitting(key[0], 24):<25}"
        lines.append(
            (style(name_cell, bold=True) if moving else name_cell)
            + f"{_fitting(key[1], 16):<17}{_number(every[key]):>8}"
            + "".join(cells)
            + f"{_number(numbers[3]):>8}"
        )
    return lines + _more(len(rows))


def _refusals(readout: Readout, style: Style) -> list[str]:
    found = readout.by("osp_refusals_total", "code", "reason")
    if not found:
        return []
    rows = sorted(found, key=lambda key: (-found[key], key))
    lines = ["", _heading(f"{'REFUSED WITH':<40}{'REASON':<32}{'ALL':>8}", style)]
    lines += [
        f"{_fitting(code, 39):<40}{_fitting(reason, 31):<32}{_number(found[code, reason]):>8}"
        for code, reason in rows[:MAX_ROWS]
    ]
    return lines + _more(len(rows))


def _latencies(readout: Readout, style: Style) -> list[str]:
    kinds = (
        ("decision", "osp_admit_seconds"),
        ("backend's first byte", "osp_upstream_first_byte_seconds"),
        ("whole request", "osp_request_seconds"),
    )
    rows = []
    for words, name in kinds:
        count = readout.total(f"{name}_count")
        if count:
            times = [readout.total(f"{name}_sum") / count, *(readout.quantile(name, part) for part in (0.5, 0.9, 0.99))]
            rows.append(f"{words:<40}" + "".join(f"{_time(seconds):>10}" for seconds in times))
    heading = f"{'LATENCY':<40}{'MEAN':>10}{'P50':>10}{'P90':>10}{'P99':>10}"
    return ["", _heading(heading, style), *rows] if rows else []


def _caches(readout: Readout, style: Style) -> list[str]:
    lookups = readout.by("osp_cache_lookups_total", "cache", "result")
    fetched = readout.by("osp_credential_refreshes_total", "kind", "result")
    rows = []
    for cache in sorted({cache for cache, _ in lookups}):
        hits, misses = lookups.get((cache, "hit"), 0.0), lookups.get((cache, "miss"), 0.0)
        if not hits + misses:
            continue
        good, bad = fetched.get((cache, "ok"), 0.0), fetched.get((cache, "failed"), 0.0)
        failed = f"{_number(bad):>8}"
        rows.append(
            f"{_fitting(cache, 31):<32}{_number(hits):>10}{_number(misses):>10}{hits / (hits + misses):>10.1%}"
            + f"{_number(good):>10}"
            + (style(failed, fg="red") if bad else failed)
        )
    heading = f"{'CACHE':<32}{'HITS':>10}{'MISSES':>10}{'HIT RATE':>10}{'FETCHED':>10}{'FAILED':>8}"
    return ["", _heading(heading, style), *rows] if rows else []


def _heading(text: str, style: Style) -> str:
    return style(text, bold=True, underline=True)


def _more(rows: int) -> list[str]:
    return [f"... and {rows - MAX_ROWS} more"] if rows > MAX_ROWS else []


def _fitting(text: str, width: int) -> str:
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return shown if len(shown) <= width else shown[: width - 1] + "\u2026"


def _rate(readout: Readout, before: Readout | None, name: str, shown: Callable[[float], str] | None = None) -> str:
    if before is None or readout.at <= before.at:
        return ""
    rate = max(0.0, readout.total(name) - before.total(name)) / (readout.at - before.at)
    return f" ({shown(rate) if shown else f'{rate:.1f}'}/s)"


def _number(value: float) -> str:
    """A count in at most seven characters."""
    for limit, divisor, unit in ((1e6, 1, ""), (1e7, 1e3, "k"), (1e10, 1e6, "M"), (1e13, 1e9, "G")):
        if value < limit:
            return f"{value / divisor:.0f}{unit}"
    return f"{value:.0e}"


def _octets(value: float) -> str:
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def _duration(seconds: float | None) -> str:
    left = int(seconds or 0)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if left >= size:
            return f"{left // size} {unit} {left % size // part} {smaller}"
    return f"{left} s"
