"""`osp replay`: recorded requests sent again, and what has changed since."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, NoReturn

import click
from botocore.exceptions import BotoCoreError
from botocore.session import Session
from click.core import ParameterSource

from osp_gateway import configfile
from osp_gateway.config import ConfigError, ProxyServerConfig, Settings
from osp_gateway.mitm.flowfile import FlowFileError
from osp_gateway.mitm.offline import load_library
from osp_gateway.mitm.rereading import Recording, read_recording
from osp_gateway.mitm.serve import serve_recording
from osp_gateway.replay import report, tolerance
from osp_gateway.replay.exchange import Exchange
from osp_gateway.replay.resign import Signer
from osp_gateway.replay.run import Outcome, Replay
from osp_gateway.replay.target import Target
from osp_gateway.sigv4.keys import KeyPair

_EXAMPLES: Final = """\
\b
Examples:
  osp replay session.osp --against http://127.0.0.1:6190          keys from the environment, as SDKs find them
  osp replay session.osp --against https://s3.test --as staging   keys of a profile
  osp replay session.osp --against URL --as alice=one --as bob=two
  osp replay session.osp --against URL --compare URL2 --compare-as backend --junit report.xml
  osp replay session.osp --serve --port 9000                      answer from the recording: no store, no network

Exit status: 0 everything is as it was recorded, 1 something differs, 2 wrong usage, or nothing could be compared,
130 interrupted.
"""

DEFAULT_REGION: Final = "us-east-1"


@click.command("replay", short_help="Send recorded requests again, and compare.", epilog=_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--against", metavar="URL", help="The gateway or store that is asked again, in path style.")
@click.option("--serve", is_flag=True, help="Answer from FILE instead of sending it, with no store.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="With --serve: the port; 0: any that is free.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="With --serve: the gateway's configuration. Without one every key may ask, and signatures are not checked.",
)
@click.option("--compare", metavar="URL", help="A second one, which is asked the same.")
@click.option(
    "--as",
    "profiles",
    multiple=True,
    metavar="[IDENTITY=]PROFILE",
    help="Who signs: a profile of the AWS configuration, for all requests or for those of one identity.",
)
@click.option(
    "--compare-as",
    "compare_profiles",
    multiple=True,
    metavar="[IDENTITY=]PROFILE",
    help="With --compare: who signs for the second one; else the same as for the first.",
)
@click.option("--region", help=f"The region to sign for; else the profile's, else {DEFAULT_REGION}.")
@click.option("--partial", is_flag=True, help="Where FILE is cut off, send what is whole.")
@click.option("--concurrent", is_flag=True, help="Let requests overlap that did so when they were recorded.")
@click.option("--tolerances", type=click.Path(path_type=Path), help="A TOML file that says what may differ.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the result as JUnit XML.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result as JSON; - is stdout.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="PEM file with the authorities to be trusted.")
@click.option("--insecure", is_flag=True, help="Do not check certificates.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True)
def replay_command(
    file: Path,
    against: str | None,
    serve: bool,
    port: int,
    config: Path | None,
    compare: str | None,
    profiles: Sequence[str],
    compare_profiles: Sequence[str],
    region: str | None,
    partial: bool,
    concurrent: bool,
    tolerances: Path | None,
    junit: Path | None,
    json_file: Path | None,
    ca_file: Path | None,
    insecure: bool,
    timeout: float,
) -> None:
    """Send the requests recorded in FILE again, freshly signed, and say what has changed.

    Upload ids, version ids, entity tags and continuation tokens of the recording are replaced by those of this run.
    Compared are status, S3's error code, headers that mean something, documents by their structure, objects by their
    digest.
    """
    if serve == (against is not None):
        raise click.UsageError("expected either --against URL or --serve")
    if compare_profiles and not compare:
        raise click.UsageError("--compare-as: expected --compare URL, too")
    context = click.get_current_context()
    _only(context, _OF_SERVING if not serve else _OF_SENDING, "--serve" if not serve else "--against URL")
    if serve:
        _serve(file, port, config)
        return
    assert against is not None
    allowed = _tolerance(tolerances)
    recording = _recording(file, partial)
    exchanges = recording.exchanges

    def target(url: str, profiles: Sequence[str]) -> Target:
        try:
            ca = str(ca_file) if ca_file else None
            return Target(url, _signers(profiles, region, exchanges), timeout=timeout, ca_file=ca, verify=not insecure)
        except (ValueError, OSError) as error:
            _fail([str(error)])

    other = target(compare, compare_profiles or profiles) if compare else None
    replay = Replay(target(against, profiles), allowed, other)
    with _Reports(file.name, junit, json_file) as reports:
        outcomes, interrupted = _run(replay, exchanges, concurrent)
        reports.write(outcomes)
    if recording.damage:
        click.secho(f"{file.name}: {recording.damage}", err=True, fg="red")
    if recording.left_out:
        click.echo(f"{recording.left_out} flows of {file.name} are no S3 requests with an answer", err=True)
    if interrupted:
        click.secho(f"interrupted: {len(exchanges) - len(outcomes)} exchanges not compared", err=True, fg="red")
    sys.exit(_status(outcomes, interrupted))


def _run(replay: Replay, exchanges: Sequence[Exchange], concurrent: bool) -> tuple[list[Outcome], bool]:
    """What came of the exchanges, in their order, and whether somebody has interrupted it."""
    outcomes: list[Outcome] = []
    interrupted = False
    with _progress(exchanges) as advance:

        def told(outcome: Outcome) -> None:
            outcomes.append(outcome)
            advance(outcome)

        try:
            replay.run(exchanges, concurrent=concurrent, told=told)
        except KeyboardInterrupt:
            interrupted = True
    return sorted(outcomes, key=lambda outcome: outcome.number), interrupted


_OF_SERVING: Final = ("port", "config")
_OF_SENDING: Final = (
    "compare",
    "profiles",
    "compare_profiles",
    "region",
    "partial",
    "concurrent",
    "tolerances",
    "junit",
    "json_file",
    "ca_file",
    "insecure",
    "timeout",
)
_INTERRUPTED: Final = 130


def _only(context: click.Context, foreign: Sequence[str], needed: str) -> None:
    """Options that would do nothing are mistakes."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in foreign and given:
            raise click.UsageError(f"{parameter.opts[0]}: expected {needed}, too")


def _status(outcomes: Sequence[Outcome], interrupted: bool) -> int:
    if interrupted:
        return _INTERRUPTED
    if any(not outcome.same for outcome in outcomes):
        return 1
    if all(outcome.skipped for outcome in outcomes):
        _fail(["all exchanges were left out: nothing was compared"])
    return 0


def _tolerance(file: Path | None) -> tolerance.Tolerance:
    try:
        return tolerance.load(file) if file else tolerance.Tolerance()
    except tolerance.ToleranceError as error:
        _fail([f"{file}: {problem}" for problem in error.problems])


def _recording(file: Path, partial: bool) -> Recording:
    try:
        recording = read_recording(file, partial=partial)
    except FlowFileError as error:
        _fail([f"{file}: {error}{'; --partial sends what is whole' if error.whole else ''}"])
    if not recording.exchanges:
        _fail([f"{file}: no S3 requests with answers in it, expected a recording"])
    return recording


def _serve(file: Path, port: int, config: Path | None) -> None:
    try:
        library = load_library([file], reuse=False)
        settings = configfile.load(config).settings if config else _for_everybody(port)
    except FlowFileError as error:
        _fail([str(error)])
    except ConfigError as error:
        _fail([f"{config}: {problem}" for problem in error.problems])
    serve_recording(settings, library)


def _for_everybody(port: int) -> Settings:
    """Nothing is behind it but a recording: whoever asks is answered, on this machine."""
    config = ProxyServerConfig(
        cos_map={"*": {"host": "recording.localhost", "access_key": "unused", "secret_key": "unused"}},
        hmac_keystore=[{"access_key": "unused", "secret_key": "unused", "buckets": ["*"]}],
        http_port=port,
        listen_host="127.0.0.1",
    )
    return replace(config.settings, skip_signature_validation=True, validator=_everybody, key_buckets={})


def _everybody(_token: str, _bucket: str) -> bool:
    return True


class _Reports:
    """The files that tell of a run. They are opened before it: nobody wants to know afterwards that they cannot be."""

    def __init__(self, name: str, junit: Path | None, json_file: Path | None) -> None:
        self._name = name
        self._to_stdout = str(json_file) == "-"
        self._junit = _opened(junit, "--junit")
        self._json = None if self._to_stdout else _opened(json_file, "--json")

    def __enter__(self) -> _Reports:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._junit, self._json):
            if file is not None:
                file.close()

    def write(self, outcomes: Sequence[Outcome]) -> None:
        for line in report.lines(outcomes):
            click.secho(line, err=self._to_stdout, fg=None if line.startswith(" ") else "red")
        same = all(outcome.same for outcome in outcomes)
        click.secho(report.summary(outcomes), err=self._to_stdout, fg="green" if same else "red")
        if self._to_stdout:
            click.echo(report.as_json(outcomes), nl=False)
        self._put("--junit", self._junit, report.as_junit(outcomes, self._name))
        self._put("--json", self._json, report.as_json(outcomes).encode())

    def _put(self, option: str, file: IO[bytes] | None, content: bytes) -> None:
        if file is None:
            return
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            _fail([f"{option} {file.name}: {error.strerror}"])


def _opened(path: Path | None, option: str) -> IO[bytes] | None:
    try:
        return path.open("wb", buffering=0) if path is not None else None
    except OSError as error:
        _fail([f"{option} {path}: {error.strerror}"])


@contextlib.contextmanager
def _progress(exchanges: Sequence[Exchange]) -> Iterator[Callable[[Outcome], None]]:
    """A bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=len(exchanges), file=sys.stderr, label="replaying") as bar:
        yield lambda _: bar.update(1)


def _signers(profiles: Sequence[str], region: str | None, exchanges: Sequence[Exchange]) -> dict[str, Signer]:
    """Who signs, by identity: profiles that were named, else what SDKs would take."""
    named: dict[str, str | None] = {}
    for written in profiles:
        identity, equals, profile = written.rpartition("=")
        if equals and not identity:
            _fail([f"--as {written}: expected IDENTITY=PROFILE or PROFILE"])
        named[identity] = profile
    asking = {exchange.identity for exchange in exchanges if exchange.request.signed}
    if not asking:
        return {}
    without = sorted(asking - named.keys())
    if named and without and "" not in named:
        who = ", ".join(map(report.printable, without))
        _fail([f"--as: nobody signs for {who}: expected IDENTITY=PROFILE for each, or PROFILE for all others"])
    return {identity: _signer(name, region) for identity, name in (named or {"": None}).items()}


def _signer(profile: str | None, region: str | None) -> Signer:
    try:
        session = Session(profile=profile)
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials is not None else None
        default = session.get_config_variable("region")
    except BotoCoreError as error:
        _fail([str(error)])
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        place = f"profile {profile}" if profile else "the environment and the AWS configuration"
        _fail([f"no credentials to sign with in {place}: expected an access key and its secret"])
    pair = KeyPair(frozen.access_key, frozen.secret_key, frozen.token)
    return Signer(pair, region or default or os.environ.get("AWS_REGION") or DEFAULT_REGION)


def _fail(problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        click.secho(f"osp replay: {problem}", err=True, fg="red")
    sys.exit(2)
