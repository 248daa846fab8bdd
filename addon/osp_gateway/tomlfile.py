"""TOML files that people write, and what is told of those that are none."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


class TomlError(Exception):
    """A file that cannot be read, or is no TOML; the text is one line, without the file's name."""


def read(path: Path) -> dict[str, Any]:
    """What a file says.

    Raises:
        TomlError: there is no such file, or it cannot be understood.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TomlError(error.strerror or type(error).__name__) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TomlError(f"not TOML: {error}") from None
    except RecursionError:
        raise TomlError("lists or tables are nested too deeply") from None
    except ValueError:  # Python's own limit, whose text is about a setting of the interpreter
        raise TomlError("a number has too many digits") from None
