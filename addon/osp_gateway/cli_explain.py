"""`osp explain`: why a signature does not match, from a flow file, a curl transcript or a raw request."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import click

from osp_gateway import configfile
from osp_gateway.backends.http_client import Urllib3Asker
from osp_gateway.callables import CallableRunner
from osp_gateway.config import ConfigError, Settings
from osp_gateway.keychain import make_keystore
from osp_gateway.mitm.flowfile import FlowFileError, Noted, read_flows
from osp_gateway.redaction import IS_MARK
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.explain import Explanation, Knowledge, explain
from osp_gateway.sigv4.explain.knowledge import printable
from osp_gateway.sigv4.explain.reading import sightings
from osp_gateway.sigv4.explain.transcript import NotARequest
from osp_gateway.sigv4.explain.transcript import read as read_transcript

MAX_INPUT: Final = 16 * 1024 * 1024

SecretOf = Callable[[str, str | None], str]
"""The secret of an access key that came with this session token, or nothing where it is not known."""

_EXAMPLES: Final = """\
\b
Examples:
  osp explain flows.mitm --config my_server.py      each refused request in a flow file
  curl -v --aws-sigv4 ... 2>&1 | osp explain --curl  what curl sent; asks for the secret
  osp explain --curl --secret-env SECRET < request   a raw request, as on the wire
  osp explain flows.mitm --all --json | jq .         for programs

The secret is never an option: the keys in --config are used, or the variable that --secret-env names is read, or you
are asked. Exit status: 0 all of them were explained, 1 at least one was not, 2 wrong usage.
"""


@dataclass(frozen=True, slots=True)
class _Request:
    head: RequestHead
    body: bytes | None = field(repr=False)
    arrived: float
    port: int | None = None
    noted: Noted | None = None

    @property
    def masked(self) -> bool:
        """Whether the signature is one that mitmproxy has not kept (`osp_redact`): nothing can be computed of it."""
        return any(IS_MARK(sighting.signature) for sighting in sightings(self.head))


@click.command(name="explain", short_help="Why a signature does not match.", epilog=_EXAMPLES)
@click.argument("flowfile", required=False, type=click.Path(path_type=Path))
@click.option("--curl", is_flag=True, help="Read a `curl -v` transcript or a raw HTTP request from standard input.")
@click.option("--config", type=click.Path(path_type=Path), help="A configuration (.py or .toml) whose keys to use.")
@click.option("--secret-env", metavar="NAME", help="The environment variable that holds the secret.")
@click.option("--all", "every", is_flag=True, help="Explain all requests of FLOWFILE, not the refused ones alone.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document for each request, one a line.")
def explain_command(
    flowfile: Path | None, curl: bool, config: Path | None, secret_env: str | None, every: bool, as_json: bool
) -> None:
    """Tell why the signature of a request does not match.

    FLOWFILE is what mitmproxy saved; each refused request in it is explained. The signature is computed anew under
    many hypotheses (a port dropped from Host, a path decoded, a header changed, a secret with a line end ...), and the
    one that fits is named.
    """
    if (flowfile is None) == (not curl):
        raise click.UsageError("expected either FLOWFILE or --curl.")
    if config is not None and secret_env is not None:
        raise click.UsageError("--config and --secret-env exclude each other.")
    settings = _settings(config)
    secret_of = _secret_source(settings, secret_env)
    requests = _from_stdin() if flowfile is None else _from_flows(flowfile, every)
    explained = [
        _show_noted(request, as_json)
        if request.masked
        else _show(request, _explain(request, settings, secret_of), as_json)
        for request in requests
    ]
    if not explained and not as_json:
        click.echo("There is no refused request with a signature in it.", err=True)
    sys.exit(0 if explained and all(explained) else 1)


# Where requests come from


def _from_stdin() -> Iterator[_Request]:
    octets = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(octets) > MAX_INPUT:
        raise click.UsageError("standard input: more than 16 MiB.")
    try:
        pasted = read_transcript(octets)
    except NotARequest as error:
        raise click.UsageError(f"standard input: {error}.") from None
    for one in pasted:
        yield _Request(one.head, one.body, _sent(one.head))


def _sent(head: RequestHead) -> float:
    """The moment at which a pasted request was signed: nobody knows when it arrived."""
    for sighting in sightings(head):
        seconds = parse_amz_date(sighting.amz_date)
        if seconds is not None:
            return float(seconds)
    return time.time()


def _from_flows(path: Path, every: bool) -> Iterator[_Request]:
    try:
        for flow in read_flows(path):
            if every or (flow.refused and sightings(flow.head)):
                yield _Request(flow.head, flow.body, flow.arrived, flow.port, flow.noted)
    except FlowFileError as error:
        raise click.UsageError(f"{path}: {error}.") from None


# Where secrets come from


def _settings(config: Path | None) -> Settings | None:
    if config is None:
        return None
    try:
        return configfile.load(config).settings
    except ConfigError as error:
        raise click.UsageError("\n".join(f"{config}: {problem}" for problem in error.problems)) from None


def _secret_source(settings: Settings | None, variable: str | None) -> SecretOf:
    if settings is not None:
        return _remembered(lambda access_key, token: _from_keystore(settings, access_key, token))
    if variable is not None:
        secret = os.environ.get(variable)
        if not secret:
            raise click.UsageError(f"the environment variable {variable} is not set.")
        return lambda _key, _token: secret
    return _remembered(_asked)


def _remembered(ask: SecretOf) -> SecretOf:
    """One question for each access key and token."""
    known: dict[tuple[str, str | None], str] = {}

    def secret_of(access_key: str, token: str | None) -> str:
        if (access_key, token) not in known:
            known[access_key, token] = ask(access_key, token)
        return known[access_key, token]

    return secret_of


def _from_keystore(settings: Settings, access_key: str, token: str | None) -> str:
    keystore = make_keystore(settings, CallableRunner(), Urllib3Asker())
    try:
        return keystore.known(access_key) or asyncio.run(keystore.secret(access_key, token))
    except S3Error:
        return ""


def _asked(access_key: str, _token: str | None) -> str:
    """From the terminal, without echo, also when standard input is something else."""
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError:
        raise click.UsageError("no terminal to ask for the secret on: use --config or --secret-env.") from None
    return getpass.getpass(f"Secret of {printable(access_key[:128])}: ")


# Explaining


def _explain(request: _Request, settings: Settings | None, secret_of: SecretOf) -> Explanation:
    found = sightings(request.head)
    secret = secret_of(found[0].access_key, _token_of(request.head)) if found else ""
    return explain(request.head, _knowledge(request, settings, secret))


def _token_of(head: RequestHead) -> str | None:
    """The session token, from the header or from a presigned URL."""
    written = parse_qs(head.query).get("X-Amz-Security-Token", [None])[0]
    return written or head.get("x-amz-security-token")


def _knowledge(request: _Request, settings: Settings | None, secret: str) -> Knowledge:
    listed = settings.keystore if settings is not None else {}
    ports = [listener.port for listener in settings.listeners] if settings is not None else []
    ports += [request.port] if request.port is not None else []
    return Knowledge(
        secret,
        request.arrived,
        other_keys={key: pair.secret_key for key, pair in listed.items()},
        domains=settings.domains if settings is not None else (),
        listen_ports=tuple(port for port in ports if port),
        body_sha256=None if request.body is None else hashlib.sha256(request.body).hexdigest(),
        body_length=None if request.body is None else len(request.body),
    )


# Showing


def _show(request: _Request, explanation: Explanation, as_json: bool) -> bool:
    if as_json:
        click.echo(json.dumps({**_about(request), **explanation.as_dict()}))
    else:
        _echo_title(request)
        with contextlib.suppress(BrokenPipeError):
            click.echo(explanation.text(sys.stdout.isatty(), shutil.get_terminal_size((120, 24)).columns))
    return explanation.explained


def _show_noted(request: _Request, as_json: bool) -> bool:
    """What was found out when the request came: its signature was not kept."""
    noted = request.noted or Noted("", (), False, "")
    explained = noted.matches or bool(noted.causes)
    if as_json:
        found = {"matches": noted.matches, "explained": explained, "causes": [{"name": name} for name in noted.causes]}
        click.echo(json.dumps({**_about(request), "masked": True, "reason": noted.reason, **found, "text": noted.text}))
        return explained
    _echo_title(request)
    click.echo(_MASKED)
    told = noted.text or (f"decided then: {noted.reason}\n" if noted.reason else "")
    click.echo(_plain(told) or "Nothing was found out about it then.\n")
    return explained


_MASKED: Final = (
    "The signature in this file is masked, so that nothing can be computed anew. This is what the gateway found out\n"
    "when the request came. To explain requests from their flow file, record it with --set osp_redact=false.\n"
)


def _plain(text: str) -> str:
    """Line by line without anything that a terminal could take for a command: a file may say anything."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _about(request: _Request) -> dict[str, Any]:
    return {"method": printable(request.head.method), "path": printable(request.head.path)}


def _echo_title(request: _Request) -> None:
    title = f"{printable(request.head.method)} {printable(request.head.path)}"
    click.echo(click.style(title, bold=True) if sys.stdout.isatty() else title)
