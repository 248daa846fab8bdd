"""`osp explain`, as people and programs use it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils

from osp_gateway import cli
from support.explain_corpus import FOLDER, KEY, SECRET, corpus
from support.manglers import MANGLERS
from support.signing import Raw

GET = corpus()["boto3-get"]
ENVIRONMENT = {"FAKE_SECRET": SECRET}
CONFIG = f"""
[cos_map.demo]
host = "store.example.test"
access_key = "fake-key"
secret_key = "another-fake-secret"
[[hmac_keystore]]
access_key = "{KEY}"
secret_key = "{SECRET}"
buckets = ["*"]
"""


def osp(*arguments: object, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    words = ["explain", *map(str, arguments)]
    return CliRunner().invoke(cli.main, words, input=stdin, env=ENVIRONMENT if env is None else env)


def mangled(way: str) -> Raw:
    raw = MANGLERS[way].mangle(GET)
    assert raw is not None
    return raw


def transcript(raw: Raw) -> bytes:
    lines = raw.head.decode("latin-1").split("\r\n")[:-1]
    return (
        "".join(f"> {line}\n" for line in lines).replace("> \n", ">\n").encode("latin-1")
        + b"< HTTP/1.1 403 Forbidden\n<\n"
    )


def flow_file(folder: Path, *requests: tuple[Raw, int]) -> Path:
    """Flows of the given requests with the given statuses."""
    path = folder / "flows.mitm"
    with path.open("wb") as file:
        for raw, status in requests:
            request = tutils.treq(
                method=raw.method.encode(),
                path=raw.target.encode("latin-1"),
                authority=b"",
                headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in raw.headers],
                content=raw.body,
                timestamp_start=1795485810.0,
            )
            response = tutils.tresp(status_code=status)
            FlowWriter(file).add(tflow.tflow(req=request, resp=response))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.mark.parametrize("written", [lambda raw: raw.octets, transcript], ids=["raw", "transcript"])
def test_what_is_pasted_is_explained(written) -> None:
    result = osp("--curl", "--secret-env", "FAKE_SECRET", stdin=written(mangled("GET becomes HEAD")))
    assert result.exit_code == 0
    assert "method-changed" in result.stdout
    assert "\x1b[" not in result.stdout


def test_the_status_is_1_where_nothing_explains_it() -> None:
    wrong = {"FAKE_SECRET": "quite-another-fake-secret"}
    result = osp("--curl", "--secret-env", "FAKE_SECRET", stdin=GET.octets, env=wrong)
    assert result.exit_code == 1
    assert "What to look at" in result.stdout


def test_a_request_that_is_right_is_told_so() -> None:
    result = osp("--curl", "--secret-env", "FAKE_SECRET", stdin=GET.octets)
    assert (result.exit_code, "signature fits" in result.stdout) == (0, True)


def test_secrets_come_from_a_configuration(config: Path) -> None:
    result = osp("--curl", "--config", config, stdin=mangled("GET becomes HEAD").octets)
    assert result.exit_code == 0
    assert "method-changed" in result.stdout


def test_a_fetcher_is_asked_with_the_session_token(tmp_path: Path) -> None:
    path = tmp_path / "server.py"
    path.write_text(
        "from osp_gateway import ProxyServerConfig\n"
        f"def fetch(key, token): return {SECRET!r} if (key, token) == ({KEY!r}, 'fake-token') else None\n"
        "may = lambda token, bucket: True\n"
        "STORE = dict(host='store.example.test', access_key='fake-key', secret_key='another-fake-secret')\n"
        "config = ProxyServerConfig(cos_map={'demo': STORE}, hmac_fetcher=fetch, validator=may)\n",
        encoding="utf-8",
    )
    received = mangled("GET becomes HEAD").plus("x-amz-security-token", "fake-token")
    result = osp("--curl", "--config", path, "--json", stdin=received.octets)
    causes = [cause["name"] for cause in json.loads(result.stdout)["causes"]]
    assert causes == ["method-changed", "header-added:x-amz-security-token"]


def test_a_key_that_the_configuration_does_not_have_is_told(tmp_path: Path, config: Path) -> None:
    unknown = GET.with_changed("authorization", lambda value: value.replace(KEY, "AKIDUNKNOWN"))
    result = osp("--curl", "--config", config, stdin=unknown.octets)
    assert "secret-of-other-key" in result.stdout  # the known key's secret, under another name
    assert SECRET not in result.output


def test_the_refused_requests_of_a_flow_file_are_explained(tmp_path: Path, config: Path) -> None:
    file = flow_file(tmp_path, (GET, 200), (mangled("GET becomes HEAD"), 403))
    result = osp(file, "--config", config, "--json")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [cause["name"] for one in documents for cause in one["causes"]][:1] == ["method-changed"]
    assert [one["method"] for one in documents] == ["HEAD"]


def test_all_requests_of_a_flow_file_are_explained_on_demand(tmp_path: Path, config: Path) -> None:
    file = flow_file(tmp_path, (GET, 200), (mangled("GET becomes HEAD"), 403))
    result = osp(file, "--config", config, "--json", "--all")
    assert [json.loads(line)["matches"] for line in result.stdout.splitlines()] == [True, False]


def test_a_flow_file_without_refusals_explains_nothing(tmp_path: Path, config: Path) -> None:
    result = osp(flow_file(tmp_path, (GET, 200)), "--config", config)
    assert result.exit_code == 1
    assert "no refused request" in result.stderr


def test_a_masked_signature_is_told_to_be_masked_and_why_nothing_is_computed(tmp_path: Path, config: Path) -> None:
    masked = mangled("GET becomes HEAD").with_changed(
        "authorization", lambda value: value.partition("Signature=")[0] + "Signature=redacted-0123456789ab"
    )
    result = osp(flow_file(tmp_path, (masked, 403)), "--config", config)
    assert result.exit_code == 1
    assert "The signature in this file is masked" in result.stdout
    assert "osp_redact=false" in result.stdout
    assert "Nothing was found out about it then." in result.stdout


@pytest.mark.parametrize("way", list(MANGLERS))
def test_no_secret_is_printed(way: str, config: Path) -> None:
    raw = MANGLERS[way].mangle(GET)
    if raw is None:
        raw = GET
    for words in ((), ("--json",)):
        result = osp("--curl", "--config", config, *words, stdin=raw.octets)
        assert result.exit_code in (0, 1)
        assert SECRET not in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "FLOWFILE or --curl"),
        (("--curl", "file"), "FLOWFILE or --curl"),
        (("--curl", "--config", "x.toml", "--secret-env", "X"), "exclude"),
        (("--curl", "--secret-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
        (("--curl", "--secret-env", "FAKE_SECRET"), "expected a request line"),
        (("no-such-file", "--secret-env", "FAKE_SECRET"), "No such file"),
        ((__file__, "--secret-env", "FAKE_SECRET"), "not a flow file"),
        (("--curl", "--config", "no-such.toml"), "no such file"),
        (("--curl", "--secret", "fake"), "No such option"),
    ],
)
def test_wrong_usage_is_told_with_status_2(arguments: tuple[str, ...], told: str) -> None:
    result = osp(*arguments, stdin=b"hello")
    assert (result.exit_code, told in result.stderr) == (2, True), result.output


def test_help_has_examples_and_statuses() -> None:
    result = osp("--help")
    assert "osp explain --curl" in result.stdout
    assert "Exit status" in result.stdout


PROGRAM = [sys.executable, "-c", "from osp_gateway.cli import main; main()", "explain", "--curl"]


def test_the_secret_is_asked_for_on_the_terminal_without_echo_while_the_transcript_is_standard_input() -> None:
    """In a session of its own, whose terminal the test holds the other end of."""
    child, terminal = pty.fork()
    if child == 0:
        with (FOLDER / "boto3-get.http").open("rb") as file:
            os.dup2(file.fileno(), 0)
        os.execv(PROGRAM[0], PROGRAM)  # the same as a shell does for `osp explain --curl < file`
    seen = read_until(terminal, b": ")
    assert KEY.encode() in seen
    os.write(terminal, f"{SECRET}\n".encode())
    seen += read_until(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert b"signature fits" in seen
    assert b"\x1b[" in seen  # a terminal gets colours
    assert SECRET.encode() not in seen


def read_until(terminal: int, mark: bytes | None) -> bytes:
    """What the program writes, up to a mark or to its end."""
    seen = b""
    while mark is None or mark not in seen:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        seen += data
    return seen


def test_without_a_terminal_nothing_is_asked() -> None:
    done = subprocess.run(
        PROGRAM, input=GET.octets, capture_output=True, check=False, start_new_session=True, timeout=60
    )
    assert done.returncode == 2
    assert b"no terminal" in done.stderr
