from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from osp_gateway import __version__, cli
from osp_gateway.config import ConfigError, ProxyServerConfig

GOOD = """
[cos_map.demo]
host = "store.example.test"
access_key = "fake-key"
secret_key = "MARKER-fake-secret"
[cos_map."logs-*"]
host = "store.example.test"
access_key = "fake-key"
secret_key = "MARKER-fake-secret"
[[hmac_keystore]]
access_key = "c"
secret_key = "MARKER-fake-secret"
buckets = ["*"]
"""
BAD = GOOD.replace("[cos_map.demo]", '[cos_map.demo]\nport = "many"\nhots = "MARKER"') + "\nthreads = 0\n"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ProxyServerConfig]:
    """What `start_server` was called with: nothing is really served."""
    calls: list[ProxyServerConfig] = []
    monkeypatch.setattr(cli, "start_server", lambda config, source: calls.append(config))
    return calls


def osp(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def file(folder: Path, text: str) -> str:
    path = folder / "server.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_check_says_that_a_good_file_is_good(tmp_path: Path, served: list[ProxyServerConfig]) -> None:
    name = file(tmp_path, GOOD)
    result = osp("check", name)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{name}: ok (2 buckets: demo, logs-*)\n", "")
    assert served == []


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_bad_file_gives_a_line_for_each_mistake(
    command: str, tmp_path: Path, served: list[ProxyServerConfig]
) -> None:
    name = file(tmp_path, "threads = 0\n" + BAD.removesuffix("\nthreads = 0\n"))
    result = osp(command, name)
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert sorted(line.removeprefix(f"{name}: ").split(":")[0] for line in lines) == [
        "cos_map['demo'].hots",
        "cos_map['demo'].port",
        "threads",
    ]
    assert result.stdout == ""
    assert served == []


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_file_that_is_not_there_gives_a_line(command: str, tmp_path: Path) -> None:
    name = str(tmp_path / "no-such.py")
    result = osp(command, name)
    assert (result.exit_code, result.stderr) == (1, f"{name}: no such file, expected a .py or .toml file\n")


@pytest.mark.parametrize("text", [GOOD, BAD])
def test_no_secret_is_printed(text: str, tmp_path: Path) -> None:
    assert "MARKER" not in osp("check", file(tmp_path, text)).output


def test_serve_serves_the_file(tmp_path: Path, served: list[ProxyServerConfig]) -> None:
    assert osp("serve", file(tmp_path, GOOD)).exit_code == 0
    assert [config.settings.keystore.keys() for config in served] == [{"c"}]


def test_serve_without_a_port_gives_a_line(tmp_path: Path) -> None:
    name = file(tmp_path, GOOD)
    result = osp("serve", name)
    assert (result.exit_code, result.stderr) == (
        1,
        f"{name}: http_port, https_port: both missing, expected at least one\n",
    )


def test_what_serving_finds_wrong_gives_lines_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: ProxyServerConfig, source: Path) -> None:
        raise ConfigError(["one", "two"])

    monkeypatch.setattr(cli, "start_server", refuses)
    name = file(tmp_path, GOOD)
    result = osp("serve", name)
    assert (result.exit_code, result.stderr) == (1, f"{name}: one\n{name}: two\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize(("command", "told"), [((), "serve"), (("serve",), "http_port"), (("check",), "one line per")])
def test_help_is_given(option: str, command: tuple[str, ...], told: str) -> None:
    result = osp(*command, option)
    assert result.exit_code == 0
    assert told in result.stdout


def test_the_version_is_told() -> None:
    assert osp("--version").stdout == f"osp, version {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_command_without_a_file_is_a_mistake_of_use(command: str) -> None:
    assert osp(command).exit_code == 2
