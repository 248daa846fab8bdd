"""Record modes as vcrpy has them, and names of files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.testing.recordings import MODES, Plan, default_file, keep, named_file, safe_name


@pytest.mark.parametrize(
    ("mode", "there", "replays", "records"),
    [
        ("none", True, True, False),
        ("none", False, True, False),
        ("once", True, True, False),
        ("once", False, False, True),
        ("new_episodes", True, True, True),
        ("new_episodes", False, False, True),
        ("all", True, False, True),
        ("all", False, False, True),
    ],
)
def test_what_a_mode_does(tmp_path, mode, there, replays, records):
    assert mode in MODES
    file = tmp_path / "a.osp"
    if there:
        file.write_bytes(b"x")
    assert Plan.of(mode, file) == Plan(file, replays, records)


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_upload", "test_upload"),
        ("test_upload[2-a.b]", "test_upload-2-a.b"),
        ("TestClass::test_upload", "TestClass-test_upload"),
        ("test_upload[../../etc/passwd]", "test_upload-..-..-etc-passwd"),
        ("...", "test"),
    ],
)
def test_a_tests_name_is_that_of_its_file(test, name):
    found = safe_name(test)
    assert found == name if found == test else found.startswith(f"{name}-")


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_tests_have_different_files_within_the_folder(one, other):
    folder = Path("/folder")
    files = [default_file(folder, test) for test in (one, other)]
    assert (files[0] == files[1]) is (one == other)
    for file in files:
        assert file.parent == folder
        assert len(file.name) < 200
        assert file.name.isascii()


@pytest.mark.parametrize(
    ("name", "file"), [("a", "a.osp"), ("a.osp", "a.osp"), ("a.b", "a.b.osp"), ("deep/down", "deep/down.osp")]
)
def test_a_recording_can_be_named(tmp_path, name, file):
    assert named_file(tmp_path, name) == tmp_path / file


@pytest.mark.parametrize("name", ["", "../a", "/etc/passwd", "a/../../b", "a\0b"])
def test_but_not_outside_of_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected"):
        named_file(tmp_path / "folder", name)


def test_nor_through_a_link(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="expected a name within"):
        named_file(folder, "out/a")


def test_what_was_recorded_is_kept_or_added(tmp_path):
    draft, file = tmp_path / "draft", tmp_path / "deep" / "down" / "a.osp"
    draft.write_bytes(b"one")
    keep(draft, file, add=True)
    assert file.read_bytes() == b"one"
    draft.write_bytes(b"two")
    keep(draft, file, add=True)
    assert file.read_bytes() == b"onetwo"
    keep(draft, file, add=False)
    assert file.read_bytes() == b"two"
    assert [one.name for one in file.parent.iterdir()] == ["a.osp"]
    assert stat.S_IMODE(file.stat().st_mode) & 0o044 == 0o044 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_where_it_cannot_be_written_what_is_there_stays(tmp_path):
    file = tmp_path / "a.osp"
    file.write_bytes(b"before")
    with pytest.raises(FileNotFoundError):
        keep(tmp_path / "nothing", file, add=False)
    assert file.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.osp"]
