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

_from_env_file: Final[dict[str, str]] = {}
"""What the last `.env` file added to the environment."""
_INTEGERS: Final = 1 << 63
"""TOML's integers have 64 bits. Far larger ones could not even be told in a message."""
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LIKE_A_SECRET: Final = re.compile(r"(?=.*[0-9]).{16,}|.{32,}").fullmatch
"""Names that may be a key which stands there without quotes."""


class _Captured(BaseException):
    """Ends a file that has called `start_server`. No `except Exception` stops it."""


class _Capture:
    """Where `start_server` is to leave its configuration instead of serving; None: it is to serve."""

    found: list[ProxyServerConfig] | None = None


def capture(config: ProxyServerConfig) -> None:
    """Called by `start_server`: while a file is being read, its configuration is all that is wanted."""
    if _Capture.found is not None:
        _Capture.found.append(config)
        raise _Captured


def load(path: Path) -> ProxyServerConfig:
    """The configuration in a `.py` or `.toml` file; `.env` beside it is read first, when present.

    The file may be read again: variables that came from `.env` have their new values then, or are gone. Modules that a
    `.py` file imports are not read again.

    Raises:
        ConfigError: with one line per mistake.
    """
    if not path.is_file():
        raise ConfigError(["no such file, expected a .py or .toml file"])
    _read_env_file(path.resolve().parent / ".env")
    if path.suffix == ".py":
        return _load_python(path)
    if path.suffix == ".toml":
        return _load_toml(path)
    raise ConfigError([f"unknown kind of file {path.suffix!r}, expected .py or .toml"])


def _read_env_file(path: Path) -> None:
    """Set the environment variables that the environment itself does not set."""
    for name, value in _from_env_file.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    before = dict(os.environ)
    load_dotenv(path)
    _from_env_file.clear()
    _from_env_file.update((name, value) for name, value in os.environ.items() if name not in before)


def _load_python(path: Path) -> ProxyServerConfig:
    """`config` of a module; where there is none, what the file as a program gives to `start_server`."""
    with _beside(path), _captured() as captured:
        config = _run(path, "osp_config").get("config")
        if config is None and not captured:
            _run(path, "__main__")
    if captured:
        return captured[0]
    if config is None:
        raise ConfigError(["expected `config = ProxyServerConfig(...)` or a call of start_server, found neither"])
    if not isinstance(config, ProxyServerConfig):
        raise ConfigError([f"config: expected a ProxyServerConfig, got {type(config).__name__}"])
    return config


@contextmanager
def _captured() -> Iterator[list[ProxyServerConfig]]:
    """What the file gives to `start_server` while it is being read."""
    found: list[ProxyServerConfig] = []
    _Capture.found = found
    try:
        yield found
    finally:
        _Capture.found = None


def _run(path: Path, name: str) -> dict[str, Any]:
    try:
        return runpy.run_path(str(path), run_name=name)
    except _Captured:
        return {}
    except ConfigError:
        raise
    except SystemExit as error:
        raise ConfigError([f"the file ended with SystemExit({error.code!r})"]) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the operator's code may raise anything
        raise ConfigError([_describe(error, path)]) from None


def _describe(error: BaseException, path: Path) -> str:
    """The error's type and place; its text only where it cannot hold a value that might be a secret.

    Python's own words on syntax, imports and names tell of code, but for a name that is a secret without its quotes.
    Any other text counts only where the operator's file itself raised it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    raised_here = bool(own) and own[-1] is frames[-1] and (own[-1].line or "").startswith("raise")
    where = f"line {own[-1].lineno}: " if own else ""
    if isinstance(error, NameError) and _LIKE_A_SECRET(error.name or ""):
        return f"{where}NameError: a name that is not defined; it looks like a secret without its quotes"
    shown = raised_here or isinstance(error, ImportError | NameError | AttributeError)
    return f"{where}{type(error).__name__}{f': {error}' if shown else ''}"


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let the file import its neighbours and see its own command line, as when it is run as a program."""
    folder = str(path.resolve().parent)
    arguments = sys.argv
    sys.path.insert(0, folder)
    sys.argv = [str(path)]
    try:
        yield
    finally:
        sys.argv = arguments
        if folder in sys.path:
            sys.path.remove(folder)


def _load_toml(path: Path) -> ProxyServerConfig:
    try:
        return _from_toml(path)
    except RecursionError:
        raise ConfigError(["not valid TOML: it is nested too deeply"]) from None


def _from_toml(path: Path) -> ProxyServerConfig:
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # besides TOML's and UTF-8's own, for an integer of thousands of digits
        raise ConfigError([f"not valid TOML: {error}"]) from None
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
    return names - {"self", "bucket_creds_fetcher", "validator", "hmac_fetcher", "before_send", "after_response"}


def _expand(value: Any, place: str, problems: list[str]) -> Any:
    """`${NAME}` in strings, from the environment. In grants to tokens it is a claim, and stays."""
    if place.startswith("jwt") and place.endswith(".grants"):
        return value
    if isinstance(value, dict):
        return {name: _expand(inner, f"{place}.{name}", problems) for name, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, f"{place}[{number}]", problems) for number, inner in enumerate(value)]
    if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
        problems.append(f"{place}: the integer is too large for TOML")
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            problems.append(f"{place}: the environment variable {match[1]} is not set")
        return found or ""

    return _VARIABLE.sub(variable, value)
