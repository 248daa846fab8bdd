"""Client keys in a file: read again when it changes, kept when it breaks."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from osp_gateway.access.key_file import CHECK_SECONDS, KeyFile, read_key_file
from osp_gateway.access.key_model import KeyProblem, from_environment
from osp_gateway.config import ConfigError, ProxyServerConfig
from support.heads import STORE, Clock

MARKER = "MARKER-fake-secret"


def entry(access_key: str = "key", **more: Any) -> dict[str, Any]:
    return {"access_key": access_key, "secret_key": MARKER, **more}


def write(path: Path, *entries: dict[str, Any], old: bool = True) -> Path:
    """As good tools do: a new file in the place of the old one; `old` lets it look settled."""
    new = path.with_name("new")
    new.touch(0o600)
    new.write_text(json.dumps({"keys": entries}))
    if old:
        os.utime(new, (1_000_000_000, 1_000_000_000 + hash(str(entries)) % 1000))
    new.rename(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_both_ways_of_writing_say_the_same(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"keys{suffix}"
    file.touch(0o600)
    if suffix == ".json":
        file.write_text(json.dumps({"keys": [entry(), entry("temp", session_token="t", buckets=["logs-*"])]}))
    else:
        file.write_text(
            f'[[keys]]\naccess_key="key"\nsecret_key="{MARKER}"\n'
            f'[[keys]]\naccess_key="temp"\nsecret_key="{MARKER}"\nsession_token="t"\nbuckets=["logs-*"]\n'
        )
    keys = read_key_file(file)
    assert keys["key"].pair.secret_key == MARKER
    assert keys["key"].buckets is None
    assert (keys["temp"].pair.session_token, keys["temp"].buckets) == ("t", ("logs-*",))


WRONG = {
    "": "expected JSON",
    "{": "expected JSON",
    "[]": "the file: ",
    "{}": "keys: ",
    '{"keys": {}}': "keys: ",
    '{"keys": [7]}': r"keys\[0\]: ",
    '{"keys": [{"access_key": "a"}]}': r"keys\[0\].secret_key: ",
    '{"keys": [{"access_key": "a", "secret_key": 7}]}': r"keys\[0\].secret_key: ",
    '{"keys": [{"access_key": "a", "secret_key": ""}]}': r"keys\[0\].secret_key: ",
    '{"keys": [{"access_key": "a b", "secret_key": "MARKER-fake-secret"}]}': r"keys\[0\].access_key: ",
    '{"keys": [{"access_key": "a", "secret_key": "MARKER-fake-secret", "bucket": "b"}]}': r"keys\[0\].bucket: ",
    '{"keys": [{"access_key": "a", "secret_key": "MARKER"}, {"access_key": "a", "secret_key": "x"}]}': "listed before",
    '{"keys": [], "more": 1}': "more: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_file_that_is_wrong_is_named_with_the_place_and_without_what_is_in_it(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(KeyProblem, match=WRONG[text]) as caught:
        read_key_file(path)
    assert "MARKER" not in str(caught.value)
    with pytest.raises(ConfigError, match="keys_file: "):
        ProxyServerConfig({"demo": STORE}, keys_file=path)


def test_other_places_are_no_key_files(tmp_path: Path) -> None:
    (tmp_path / "dir.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "keys.csv").touch()
    for name in ("missing.json", "dir.json", "pipe.json", "keys.csv"):
        with pytest.raises(KeyProblem):
            read_key_file(tmp_path / name)


def test_a_file_that_anybody_can_write_to_is_no_key_file(path: Path) -> None:
    write(path, entry()).chmod(0o602)
    with pytest.raises(KeyProblem, match="anybody can write"):
        read_key_file(path)


def test_a_file_that_anybody_can_read_is_warned_about(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, entry()).chmod(0o644)
    with caplog.at_level(logging.WARNING):
        read_key_file(path)
    assert "anybody can read it" in caplog.text
    caplog.clear()
    path.chmod(0o640)
    read_key_file(path)
    assert not caplog.records


async def test_a_change_is_seen_after_a_second(path: Path) -> None:
    clock = Clock()
    file = KeyFile(write(path, entry("old")), clock)
    write(path, entry("new"))
    await file.refresh()
    assert file.get("new") is None
    clock.now += CHECK_SECONDS
    await file.refresh()
    assert file.get("new") is not None
    assert file.get("old") is None


async def test_a_change_within_the_same_moment_is_seen_later(path: Path) -> None:
    """Times of files are coarse: what was written just before it was read is read once more."""
    clock = Clock()
    write(path, entry("old"), old=False)
    file = KeyFile(path, clock)
    rewrite_in_the_same_moment(path)
    clock.now += CHECK_SECONDS
    await file.refresh()
    assert file.get("new") is not None


async def test_a_file_that_breaks_keeps_its_keys_and_says_so_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    file = KeyFile(write(path, entry()), clock)
    for broken in ("{", None, "{"):
        spoil(path, broken)
        caplog.clear()
        for _ in range(3):
            clock.now += CHECK_SECONDS
            await file.refresh()
        assert file.get("key") is not None
        assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
        assert "stay what they were" in caplog.text
    write(path, entry("new"))
    clock.now += CHECK_SECONDS
    await file.refresh()
    assert file.get("key") is None
    assert file.get("new") is not None


async def test_a_file_that_has_not_changed_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from osp_gateway.access import key_file

    clock = Clock()
    file = KeyFile(write(path, entry()), clock)
    await _next(file, clock)
    monkeypatch.setattr(key_file, "read_keys", None)
    await _next(file, clock)
    assert file.get("key") is not None


async def _next(file: KeyFile, clock: Clock) -> None:
    clock.now += CHECK_SECONDS
    await file.refresh()


def rewrite_in_the_same_moment(path: Path) -> None:
    stamp = path.stat()
    path.write_text(path.read_text().replace('"old"', '"new"'))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def spoil(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.touch(0o600)
        path.write_text(text)


def test_keys_in_the_environment() -> None:
    found = from_environment(
        "OSP_KEY_",
        {"OSP_KEY_A": "a:x:y=", "OSP_KEY_B": f"b:{MARKER}", "OSP_KEY_C": "", "OTHER": "c:d", "OSP_KEY": "e:f"},
    )
    assert {key: listed.pair.secret_key for key, listed in found.items()} == {"a": "x:y=", "b": MARKER}


@pytest.mark.parametrize("value", [MARKER, f":{MARKER}", f"{MARKER}:", f"a: {MARKER}", f"a:{MARKER}\n", f"ä:{MARKER}"])
def test_a_variable_that_is_wrong_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OSP_KEY_WRONG", value)
    with pytest.raises(ConfigError, match="keys_env: the environment variable OSP_KEY_WRONG: expected") as caught:
        ProxyServerConfig({"demo": STORE}, validator=lambda token, bucket: True, keys_env="OSP_KEY_")
    assert MARKER not in str(caught.value)


def test_one_key_in_two_variables_is_a_mistake() -> None:
    with pytest.raises(KeyProblem, match="Y: its access key"):
        from_environment("P", {"PX": "a:b", "PY": "a:c"})
