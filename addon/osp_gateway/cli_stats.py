"""`osp stats`: the counters of a running gateway, in the terminal."""

from __future__ import annotations

import ipaddress
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import urllib3

from osp_gateway import configfile
from osp_gateway.config import ConfigError, Settings
from osp_gateway.observe.readout import Readout, Unreadable, read
from osp_gateway.observe.table import render

PAGE: Final = "/-/metrics"
TIMEOUT_SECONDS: Final = 5.0
MAX_OCTETS: Final = 64 * 1024 * 1024
_NAME: Final = re.compile(r"[^\s/?#@:\[\]\\]+").fullmatch
_PORT: Final = re.compile(r"[0-9]{1,5}").fullmatch
_CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"

_EXAMPLES: Final = """\
\b
Examples:
  osp stats my_server.py                 the gateway that runs with this configuration
  osp stats --admin 127.0.0.1:9180       the gateway whose admin port that is
  osp stats my_server.py --watch 2       again every two seconds, with rates
  osp stats my_server.py --json | jq .   for programs

Exit status: 0 shown, 1 nothing answers there or FILE is no good, 2 wrong usage.
"""


@click.command(name="stats", epilog=_EXAMPLES)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--admin", metavar="HOST:PORT", help="The gateway's admin address.")
@click.option("--watch", metavar="SECONDS", type=click.FloatRange(min=0.1), help="Draw it anew every so often.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document, with --watch one a line.")
def stats_command(file: Path | None, admin: str | None, watch: float | None, as_json: bool) -> None:
    """Show the counters of a running gateway.

    Its admin port is asked: the one in the configuration FILE (admin_host, admin_port), or the one that --admin names.
    """
    if (file is None) == (admin is None):
        raise click.UsageError("expected either FILE or --admin HOST:PORT.")
    host, port = _address(admin) if admin is not None else _address_in(file)
    try:
        _show_all(host, port, watch, as_json=as_json)
    except Unreadable as error:
        _fail(f"{_written(host, port)}: {error}")
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)


# Where it is


def _address(written: str) -> tuple[str, int]:
    host, colon, port = written.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not _is_host(host) or not _PORT(port) or not 0 < int(port) < 65536:
        raise click.UsageError(f"--admin: {written!r}, expected HOST:PORT.")
    return host, int(port)


def _is_host(host: str) -> bool:
    """Whether it is a name or an address, rather than the half of one."""
    if ":" not in host:
        return bool(_NAME(host))
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _address_in(file: Path | None) -> tuple[str, int]:
    assert file is not None
    try:
        settings: Settings = configfile.load(file).settings
    except ConfigError as error:
        _fail("\n".join(f"{file}: {problem}" for problem in error.problems))
    if settings.admin_port is None:
        _fail(f"{file}: admin_port: missing, there is no port that could be asked")
    if settings.admin_port == 0:
        _fail(f"{file}: admin_port: 0 lets the kernel choose; name the port with --admin, it stands in the log")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.admin_host, settings.admin_host)  # noqa: S104
    return host, settings.admin_port


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# Asking


def _show_all(host: str, port: int, watch: float | None, *, as_json: bool) -> None:
    """What the gateway says: once, or again and again.

    Raises:
        Unreadable: nothing good answers; while watching, only where that was so from the start.
    """
    before = _ask(host, port)
    _show(before, None, as_json=as_json, redraw=watch is not None)
    while watch is not None:
        time.sleep(watch)
        try:
            readout = _ask(host, port)
        except Unreadable as error:  # it may be starting anew
            click.secho(f"{_written(host, port)}: {error}", err=True)
            continue
        _show(readout, before, as_json=as_json, redraw=True)
        before = readout


def _ask(host: str, port: int) -> Readout:
    url = f"http://{_written(host, port)}{PAGE}"
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS) as pool:
            answer = pool.request("GET", url, redirect=False, preload_content=False)
            body = answer.read(MAX_OCTETS, decode_content=True)
    except urllib3.exceptions.HTTPError as error:
        raise Unreadable(f"nothing answers there: {_cause(error)}") from None
    if answer.status != 200:
        raise Unreadable(f"something answers with status {answer.status}, expected an admin port of this gateway")
    return read(body, time.time())


def _cause(error: BaseException) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return str(error).rpartition("] ")[2] or "no connection"
    if isinstance(error, urllib3.exceptions.LocationParseError):
        return "that is no address"
    return "no answer in time" if isinstance(error, urllib3.exceptions.TimeoutError) else type(error).__name__


# Showing


def _show(readout: Readout, before: Readout | None, *, as_json: bool, redraw: bool) -> None:
    if as_json:
        click.echo(json.dumps(readout.document()))
        return
    terminal = sys.stdout.isatty()
    lines: Sequence[str] = render(readout, before, colour=terminal)
    click.echo((_CLEAR if redraw and terminal else "") + "\n".join(lines), color=terminal)


def _fail(words: str) -> NoReturn:
    colour: Any = {"fg": "red"} if sys.stderr.isatty() else {}
    click.secho(words, err=True, **colour)
    sys.exit(1)
