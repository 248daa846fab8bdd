"""pytest's plugin: options, fixtures, and the part that fails a test whose requests were not recorded."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytest

from osp_gateway.testing.environment import without_proxy
from osp_gateway.testing.gateway import S3Faults, S3Gateway, S3Recording, Session
from osp_gateway.testing.process import TestingError
from osp_gateway.testing.recordings import DEFAULT_MODE, MODES, Plan, default_file

_RECORDING: Final = pytest.StashKey[S3Recording]()
_OUTCOME: Final = pytest.StashKey["_Outcome"]()
_SESSION: Final = pytest.StashKey[Session]()
_LOG_BEGINS: Final = pytest.StashKey[int]()
MAX_LOG: Final = 20_000


@dataclass
class _Outcome:
    """What has become of a test. `unittest` and subtests tell of failures by their reports alone.

    `told` is what was wrong with its requests when it ended.
    """

    ended: bool = False
    failed: bool = False
    last: str = ""
    told: str = ""

    @property
    def passed(self) -> bool:
        """All of it."""
        return self.ended and not self.failed and self.last == "passed"

    def reported(self, report: pytest.TestReport) -> None:
        """About the fixtures, a subtest, or at last about the test itself."""
        self.failed = self.failed or report.failed
        self.last = report.outcome
        if report.failed and self.told and self.told not in report.longreprtext:
            report.sections.append(("S3 recording", self.told))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options."""
    group = parser.getgroup("s3", "S3 gateway, recordings and faults (osp-gateway)")
    group.addoption(
        "--s3-record-mode",
        choices=MODES,
        default=None,
        help="none: everything is answered from recordings; once (default): recordings that are missing are made; "
        "new_episodes: what is missing in them is added; all: they are made anew.",
    )
    parser.addini("s3_record_mode", "The same as --s3-record-mode.", default=DEFAULT_MODE)
    parser.addini("s3_recording_dir", "Folder of the recordings, beside each test module.", default="recordings")
    parser.addini("s3_gateway_config", "Configuration file (.py, .toml) of the gateway; default: a store of its own.")
    parser.addini("s3_gateway_buckets", "Names of the default store's buckets.", type="args", default=["bucket"])


def pytest_configure(config: pytest.Config) -> None:
    """Look at what was configured before anything runs.

    Raises:
        UsageError: something in it is wrong.
    """
    mode = config.getini("s3_record_mode")
    if mode not in MODES:
        raise pytest.UsageError(f"s3_record_mode: expected one of {', '.join(MODES)}, got {mode!r}")
    file = _config_file(config)
    if file is not None and not file.is_file():
        raise pytest.UsageError(f"s3_gateway_config: {file}: no such file")
    if not config.getini("s3_gateway_buckets"):
        raise pytest.UsageError("s3_gateway_buckets: expected at least one name")


def _config_file(config: pytest.Config) -> Path | None:
    file = str(config.getini("s3_gateway_config") or "")
    return config.rootpath / file if file else None


def _mode(config: pytest.Config) -> str:
    return str(config.getoption("--s3-record-mode") or config.getini("s3_record_mode"))


@pytest.fixture(scope="session")
def s3_gateway_config(pytestconfig: pytest.Config) -> Path | None:
    """The gateway's configuration: a file, a mapping as `ProxyServerConfig` takes it, or None. To be overridden."""
    return _config_file(pytestconfig)


@pytest.fixture(scope="session")
def _s3_session(
    s3_gateway_config: str | Path | Mapping[str, Any] | None,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Session]:
    buckets = cast("list[str]", pytestconfig.getini("s3_gateway_buckets"))
    session = Session(tmp_path_factory.mktemp("s3-gateway"), s3_gateway_config, buckets)
    yield session
    session.stop()


@pytest.fixture
def s3_gateway(request: pytest.FixtureRequest, _s3_session: Session) -> Iterator[S3Gateway]:
    """A gateway on loopback, with an empty bucket behind it unless `s3_gateway_config` says otherwise."""
    node = cast("pytest.Item", request.node)
    node.stash[_SESSION] = _s3_session
    node.stash[_LOG_BEGINS] = _s3_session.process.size()
    node.stash[_OUTCOME] = _Outcome()
    _s3_session.begin()
    gateway = S3Gateway(_s3_session)
    if "s3_recording" in request.fixturenames:
        _begin_recording(request, gateway)  # what other fixtures ask for, before and after the test, belongs to it
    with pytest.MonkeyPatch.context() as environment:
        for name, value in without_proxy(os.environ).items():
            environment.setenv(name, value)  # clients in this process would ask a proxy for the gateway, too
        yield gateway
    _end_recording(node)


@pytest.fixture
def s3_recording(request: pytest.FixtureRequest, s3_gateway: S3Gateway) -> S3Recording:
    """Answers from a recording, or makes one: that of this test, or `s3_recording("name")`."""
    node = cast("pytest.Item", request.node)
    if _RECORDING not in node.stash:  # asked for while the test runs
        _begin_recording(request, s3_gateway)
    return node.stash[_RECORDING]


def _begin_recording(request: pytest.FixtureRequest, gateway: S3Gateway) -> None:
    node = cast("pytest.Item", request.node)
    mode = _mode(request.config)
    folder = node.path.parent / str(request.config.getini("s3_recording_dir")) / node.path.stem
    test = node.nodeid.partition("::")[2]
    plan = Plan.of(mode, default_file(folder, test))
    node.stash[_RECORDING] = S3Recording(gateway.session, plan, folder, mode)


def _end_recording(node: pytest.Item) -> None:
    """Also where fixtures have asked for what was not recorded, after the test."""
    if (recording := node.stash.get(_RECORDING, None)) is None:
        return
    text = _unmatched(node)
    try:
        recording.end(passed=node.stash[_OUTCOME].passed and not text)
    finally:
        del node.stash[_RECORDING]
    if text and text != node.stash[_OUTCOME].told:
        pytest.fail(text, pytrace=False)


@pytest.fixture
def s3_faults(s3_gateway: S3Gateway) -> Iterator[S3Faults]:
    """Breaks requests on purpose; with the test, all faults end."""
    faults = S3Faults(s3_gateway.session)
    yield faults
    faults.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test whose requests were not recorded, or had no store, has failed, whatever its code made of their errors."""
    outcome = item.stash.get(_OUTCOME, None) or _Outcome()
    try:
        result = yield
    except Exception as error:
        outcome.told = _problem(item)
        if outcome.told:
            error.add_note(outcome.told)
        raise
    outcome.told = _problem(item)
    if outcome.told:
        pytest.fail(outcome.told, pytrace=False)
    outcome.ended = True
    return result


def _problem(item: pytest.Item) -> str:
    session = item.stash.get(_SESSION, None)
    return (session.problem if session is not None else "") or _unmatched(item)


def _unmatched(item: pytest.Item) -> str:
    recording = item.stash.get(_RECORDING, None)
    requests = recording.unmatched() if recording is not None else []
    if recording is None or not requests:
        return ""
    if not recording.file.is_file():
        why = "there is no such recording"
    else:
        why = "it has no answer, or none any more, to these requests"
    lines = "\n".join(f"    {request}" for request in requests)
    return (
        f"{recording.file}: {why}:\n{lines}\n(--s3-record-mode={recording.mode}; "
        "new_episodes adds what is missing, all makes it anew)"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001 - the hook's own
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whether the test has passed, and what the gateway said during one that has failed."""
    report = yield
    outcome = item.stash.get(_OUTCOME, None)
    if outcome is not None and report.when == "setup" and report.failed:
        with suppress(TestingError):  # the gateway has ended, which the report says
            outcome.told = _problem(item)
    if outcome is not None and report.when != "teardown":
        outcome.reported(report)
    session = item.stash.get(_SESSION, None)
    if report.failed and session is not None:
        log = session.process.written(item.stash[_LOG_BEGINS])
        if log.strip():
            report.sections.append(("S3 gateway", log[-MAX_LOG:]))
    return report


__all__ = ["TestingError", "s3_faults", "s3_gateway", "s3_gateway_config", "s3_recording"]
