"""Clients that are no Python packages: fetched once, by the tool of their language, into a folder of their own."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.client_steps import LARGE_SEED, LARGE_SIZE, LIST_SEEDS, SMALL, SMALL_SEED, Missing, cache_folder, large

FETCHING = 900
"""Seconds that a command which fetches something may take."""


def installed(name: str, *commands: Sequence[object], files: Mapping[str, str] | None = None) -> Path:
    """The folder in which `commands` put a client, with `files` there before; they run once, and in that folder.

    Missing, with the exact error, where one of them is not there or fails.
    """
    made = _made(name, tuple(tuple(map(str, command)) for command in commands), tuple((files or {}).items()))
    if isinstance(made, str):
        raise Missing(made)
    return made


@functools.cache
def _made(name: str, commands: tuple[tuple[str, ...], ...], files: tuple[tuple[str, str], ...]) -> Path | str:
    folder = cache_folder() / name
    with (cache_folder() / f"{name}.lock").open("w") as lock:  # other workers wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = repr((commands, files))
        complete = folder / "complete"
        if complete.exists() and complete.read_text(encoding="utf-8") == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, text in files:
            (folder / file).write_text(text, encoding="utf-8")
        for command in commands:
            if error := failure(command, folder):
                return error
        complete.write_text(wanted, encoding="utf-8")
        return folder


def failure(command: Sequence[str], folder: Path | None = None) -> str:
    """With what error a command that fetches something failed, in `folder`; nothing if it did not."""
    name = Path(command[0]).name
    if shutil.which(command[0]) is None:
        return f"{name}: command not found"
    env = {**os.environ, **({"GOBIN": str(folder)} if folder else {})}
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=FETCHING, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{name} came to no end in {FETCHING} seconds"
    if done.returncode == 0:
        return ""
    said = _plain(done.stderr) or _plain(done.stdout)
    # Which mirror was asked is this machine's affair.
    return re.sub(r"https?://[^\s\"']+", "URL", said)[-600:] or f"{name} ended with status {done.returncode}"


def _plain(said: bytes) -> str:
    """Without colours: mvn's standard error is nothing but the end of one, its errors are in the standard output."""
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode("utf-8", "replace")).strip()


def large_file() -> Path:
    """A file with what the step `multipart` writes, for programs that cannot make it themselves."""
    file = cache_folder() / "large.bin"
    if not file.exists() or file.stat().st_size != LARGE_SIZE:
        draft = file.with_name(f".large.{uuid.uuid4().hex}")
        draft.write_bytes(large())
        draft.replace(file)
    return file


def seeds() -> str:
    """What is in a store before a client starts, as JSON."""
    found = {"small": SMALL.decode(), "smallSeed": SMALL_SEED, "largeSeed": LARGE_SEED, "listSeeds": LIST_SEEDS}
    return json.dumps(found)


def trust(ca: str) -> list[str]:
    """Options that make Java trust an authority: it has a file format of its own, and looks at no variable."""
    store = Path(ca).with_suffix(".p12")
    if not store.exists():
        words = ["-importcert", "-noprompt", "-alias", "ca", "-storetype", "PKCS12", "-storepass", "not-secret"]
        subprocess.run(["keytool", *words, "-file", ca, "-keystore", store], check=True, capture_output=True)
    return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=not-secret"]
