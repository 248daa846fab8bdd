"""Record modes, which are vcrpy's, and the files that recordings are in."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODES: Final = ("none", "once", "new_episodes", "all")
DEFAULT_MODE: Final = "once"
SUFFIX: Final = ".osp"
MAX_NAME: Final = 100
_STRANGE: Final = re.compile(r"[^A-Za-z0-9._=,\-]+")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with a recording during a test.

    `replays`: requests are answered from it; `records`: what has no answer there goes to the store and is recorded.
    """

    file: Path
    replays: bool
    records: bool

    @classmethod
    def of(cls, mode: str, file: Path) -> Plan:
        """By mode.

        Args:
            mode: `none`: everything is answered from the recording; `once`: the same where there is one, else
                everything is recorded; `new_episodes`: what has no answer is recorded as well; `all`: everything is
                recorded anew.
            file: the recording, which need not be there.
        """
        there = file.is_file()
        replays = {"none": True, "once": there, "new_episodes": there, "all": False}[mode]
        records = {"none": False, "once": not there, "new_episodes": True, "all": True}[mode]
        return cls(file, replays, records)


def default_file(folder: Path, test: str) -> Path:
    """The recording of a test, in a folder for its module.

    Args:
        folder: that of the module's recordings.
        test: the test's name, with its class and parameters.
    """
    return folder / (safe_name(test) + SUFFIX)


def named_file(folder: Path, name: str) -> Path:
    """A recording that a test has named.

    Raises:
        ValueError: it would lie outside of the folder.
    """
    if not name or "\0" in name:
        raise ValueError(f"expected the name of a recording, got {name!r}")
    path = folder / name
    if path.suffix != SUFFIX:
        path = path.with_name(path.name + SUFFIX)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r}: expected a name within {folder}")
    return path


def safe_name(test: str) -> str:
    """A test's name as that of a file; where characters had to be replaced, a digest tells it from the others."""
    plain = _STRANGE.sub("-", test).strip("-.") or "test"
    if plain == test and len(plain) <= MAX_NAME:
        return plain
    return f"{plain[:MAX_NAME]}-{hashlib.sha256(test.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def keep(recorded: Path, file: Path, *, add: bool) -> None:
    """Put what was recorded where it belongs, all of it at once.

    Args:
        recorded: what came of this test.
        file: where it belongs.
        add: after what is there already.

    Raises:
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.read_bytes() if add and file.is_file() else b""
    number, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(number, "wb") as out:
            out.write(before + recorded.read_bytes())
        umask = os.umask(0)
        os.umask(umask)
        Path(draft).chmod(0o666 & ~umask)
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
