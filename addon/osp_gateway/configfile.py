"""Reading the operator's file: Python with callables, or TOML for those who need none."""

from __future__ import annotations

import os
import re
import runpy
import sys
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dotenv import load_dotenv

from osp_gateway.config import ConfigError, ProxyServerConfig

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Captured(BaseException):
    """Carries the configuration out of a file that calls `start_server`. No `except Exception` stops it."""

    def __init__(self, config: ProxyServerConfig) -> None:
        super().__init__("start_server was called while its file is being read")
        self.config = config


class _Capture:
    """Whether `start_server` is to hand its configuration over instead of serving."""

    active = False


def capture(config: ProxyServerConfig) -> None:
    """Called by `start_server`: while a file is being read, its configuration is all that is wanted."""
    if _Capture.active:
        raise _Captured(config)


def load(path: Path) -> ProxyServerConfig:
    """The configuration in a `.py` or `.toml` file; `.env` beside it is read first, when present.

    Raises:
        ConfigError: with one line per mistake.
    """
    if not path.is_file():
        raise ConfigError(["no such file, expected a .py or .toml file"])
    load_dotenv(path.resolve().parent / ".env")
    if path.suffix == ".py":
        return _load_python(path)
    if path.suffix == ".toml":
        return _load_toml(path)
    raise ConfigError([f"unknown kind of file {path.suffix!r}, expected .py or .toml"])


def _load_python(path: Path) -> ProxyServerConfig:
    """`config` of a module; where there is none, what the file as a program gives to `start_server`."""
    with _beside(path):
        config = _run(path, "osp_config").get("config")
        if config is None:
            return _load_program(path)
    if not isinstance(config, ProxyServerConfig):
        raise ConfigError([f"config: expected a ProxyServerConfig, got {type(config).__name__}"])
    return config


def _load_program(path: Path) -> ProxyServerConfig:
    _Capture.active = True
    try:
        _run(path, "__main__")
    except _Captured as captured:
        return captured.config
    finally:
        _Capture.active = False
    raise ConfigError(["expected `config = ProxyServerConfig(...)` or a call of start_server, found neither"])


def _run(path: Path, name: str) -> dict[str, Any]:
    try:
        return runpy.run_path(str(path), run_name=name)
    except ConfigError:
        raise
    except SystemExit as error:
        raise ConfigError([f"the file ended with SystemExit({error.code!r})"]) from error
    except Exception as error:
        raise ConfigError([_describe(error, path)]) from error


def _describe(error: Exception, path: Path) -> str:
    """The error's type and place; its text only where it cannot hold a value that might be a secret."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
    where = f"line {line}: " if line else ""
    shown = isinstance(error, SyntaxError | ImportError | NameError | AttributeError | TypeError | ValueError)
    return f"{where}{type(error).__name__}{f': {error}' if shown else ''}"


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let the file import its neighbours, as it can when it is run as a program."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _load_toml(path: Path) -> ProxyServerConfig:
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"not valid TOML: {error}"]) from error
    problems: list[str] = []
    values: dict[str, Any] = {name: _expand(value, name, problems) for name, value in written.items()}
    known = _toml_fields()
    problems += [f"{name}: unknown field; known are {', '.join(sorted(known))}" for name in values if name not in known]
    if "cos_map" not in values:
        problems.append("cos_map: missing, expected a table of buckets")
    if problems:
        raise ConfigError(problems)
    return ProxyServerConfig(**values)


def _toml_fields() -> set[str]:
    names = set(ProxyServerConfig.__init__.__code__.co_varnames[: ProxyServerConfig.__init__.__code__.co_argcount])
    return names - {"self", "bucket_creds_fetcher", "validator", "hmac_fetcher"}


def _expand(value: Any, place: str, problems: list[str]) -> Any:
    """`${NAME}` in strings, from the environment."""
    if isinstance(value, dict):
        return {name: _expand(inner, f"{place}.{name}", problems) for name, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, f"{place}[{number}]", problems) for number, inner in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            problems.append(f"{place}: the environment variable {match[1]} is not set")
        return found or ""

    return _VARIABLE.sub(variable, value)
