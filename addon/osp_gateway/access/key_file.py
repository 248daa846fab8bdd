"""Client keys in a file that is read again whenever it changes."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from osp_gateway.access.key_model import SUFFIXES, KeyProblem, Listed, ListedKey, read_keys

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 1.0
"""Between two looks at the file at least."""
SETTLED_SECONDS: Final = 2.0
"""A file that was written less than this before it was read is read again: its time might not tell the next change."""
MAX_FILE_OCTETS: Final = 16 * 1024 * 1024

Stamp = tuple[int, ...]


class KeyFile:
    """A file's keys. While it cannot be used, those that it had before stay."""

    def __init__(self, path: Path, timer: Callable[[], float] = time.monotonic) -> None:
        """Read it. Where it cannot be used, there are no keys until it can. `timer` gives seconds."""
        self._path = path
        self._timer = timer
        self._stamp: Stamp | None = None
        self._problem = ""
        self._keys: Listed = MappingProxyType({})
        self._checked_at = timer()
        self._take(*_look(path, None))

    def get(self, access_key: str) -> ListedKey | None:
        """A key as of the last look at the file."""
        return self._keys.get(access_key)

    async def refresh(self) -> None:
        """Look whether the file has changed, unless that was done just now, and read it if so."""
        now = self._timer()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        self._take(*await asyncio.to_thread(_look, self._path, self._stamp))

    def _take(self, stamp: Stamp | None, keys: Listed | KeyProblem | None) -> None:
        self._stamp = stamp
        if isinstance(keys, KeyProblem):
            if str(keys) != self._problem:
                self._problem = str(keys)
                log.error("keys_file %s: %s; its keys stay what they were (%d)", self._path, keys, len(self._keys))
        elif keys is not None:
            if self._problem or keys != self._keys:
                log.info("keys_file %s: %d keys", self._path, len(keys))
            self._problem, self._keys = "", keys


def read_key_file(path: Path) -> Listed:
    """A file's keys; says so where others can read it.

    Raises:
        KeyProblem: it cannot be used.
    """
    _, keys = _look(path, None)
    if isinstance(keys, KeyProblem):
        raise keys
    assert keys is not None
    return keys


def _look(path: Path, known: Stamp | None) -> tuple[Stamp | None, Listed | KeyProblem | None]:
    """The file's stamp, None where it does not stand for what was read; and what is in it, None where it is known."""
    try:
        if path.suffix not in SUFFIXES:
            raise KeyProblem(f"expected a file whose name ends with {' or '.join(SUFFIXES)}")
        # Not blocking: opening a pipe would wait for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if known is not None and _stamp(before) == known:
                return known, None
            _check_kind(path, before)
            octets = file.read(MAX_FILE_OCTETS + 1)
            after = os.fstat(descriptor)
    except KeyProblem as problem:
        return None, problem
    except OSError as error:
        return None, KeyProblem(error.strerror or type(error).__name__)
    settled = _stamp(before) == _stamp(after) and time.time() - after.st_mtime > SETTLED_SECONDS
    stamp = _stamp(after) if settled else None
    if len(octets) > MAX_FILE_OCTETS:
        return stamp, KeyProblem(f"longer than {MAX_FILE_OCTETS} octets")
    try:
        return stamp, read_keys(octets, path.suffix)
    except KeyProblem as problem:
        return stamp, problem


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check_kind(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyProblem("expected a regular file")
    if found.st_mode & stat.S_IWOTH:
        raise KeyProblem("anybody can write to it: expected permissions like 0600")
    if found.st_mode & stat.S_IROTH:
        log.warning("keys_file %s: anybody can read it, expected permissions like 0600", path)
