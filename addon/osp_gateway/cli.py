"""The `osp` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from osp_gateway import __version__, configfile
from osp_gateway.cli_explain import explain_command
from osp_gateway.cli_replay import replay_command
from osp_gateway.cli_stats import stats_command
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.mitm.serve import RecordingError, start_server
from osp_gateway.replay.tape import KEPT_OCTETS

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="osp")
@click.pass_context
def main(context: click.Context) -> None:
    """An S3 gateway you can see through."""
    if os.environ.get("NO_COLOR"):  # no-color.org
        context.color = False


@main.command(short_help="Serve until interrupted.")
@_FILE
def serve(file: Path) -> None:
    """Serve with the configuration in FILE (.py or .toml) until interrupted.

    FILE must name http_port or https_port. SIGTERM lets requests in flight finish; SIGHUP reads FILE and the
    certificates anew. To look at the traffic, use mitmweb instead:

        mitmweb -s addon/osp.py --mode reverse:http://s3.invalid@6190 --set osp_config=FILE
    """
    try:
        start_server(_load(file), file)
    except ConfigError as error:
        _fail(file, error)


@main.command(short_help="Serve, and record requests and answers.")
@click.option(
    "--output",
    "-o",
    "output",
    required=True,
    type=click.Path(path_type=Path),
    help="The flow file; begun anew with the first exchange.",
)
@click.option(
    "--body",
    "body_kib",
    default=KEPT_OCTETS // 1024,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="KIB",
    help="Objects of up to so many KiB are recorded whole.",
)
@_FILE
def record(file: Path, output: Path, body_kib: int) -> None:
    """Serve with the configuration in FILE, and record requests and answers for `osp replay`.

    The recording is a flow file of mitmproxy's without signatures, tokens, cookies and addresses. Larger objects are
    recorded by their digest and length. Interrupt to end it. The exit status is 1 where not all could be written.
    """
    config = _load(file)
    if output.exists() and output.samefile(file):
        raise click.BadParameter(f"{output}: that is the configuration", param_hint="--output")
    try:
        start_server(config, file, record=output, record_body=body_kib)
    except ConfigError as error:
        _fail(file, error)
    except RecordingError as error:
        raise click.ClickException(str(error)) from None


@main.command(short_help="Look for mistakes in a configuration.")
@_FILE
def check(file: Path) -> None:
    """Validate the configuration in FILE without starting anything.

    Prints one line per mistake and exits with status 1 if there is one.
    """
    settings = _load(file).settings
    names = ", ".join(route.pattern for route in settings.routes) or "none"
    click.echo(f"{file}: ok ({len(settings.routes)} buckets: {names})")


main.add_command(explain_command)
main.add_command(stats_command)
main.add_command(replay_command)


def _load(file: Path) -> ProxyServerConfig:
    try:
        return configfile.load(file)
    except ConfigError as error:
        _fail(file, error)


def _fail(file: Path, error: ConfigError) -> NoReturn:
    for problem in error.problems:
        click.secho(f"{file}: {problem}", err=True, fg="red")
    sys.exit(1)
