"""Tolerance files: what they say, and what is said of their mistakes."""

from __future__ import annotations

import pytest

from osp_gateway.replay.tolerance import ToleranceError, load


def written(tmp_path, text: str):
    file = tmp_path / "tolerances.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_a_file_is_read(tmp_path):
    found = written(
        tmp_path,
        """
        [[ignore]]
        headers = ["x-amz-meta-mtime"]
        [[ignore]]
        operations = ["List*"]
        unordered = ["Contents"]
        [[ignore]]
        operations = ["GetBucketLocation"]
        skip = true
        """,
    )
    assert not found.means("GetObject", "x-amz-meta-mtime")
    assert found.means("GetObject", "x-amz-meta-other")
    assert found.unordered("ListObjectsV2", "Contents")
    assert not found.unordered("GetBucketAcl", "Contents")
    assert found.skips("GetBucketLocation")
    assert not found.skips("GetObject")


def test_an_empty_file_tolerates_nothing_more(tmp_path):
    assert written(tmp_path, "").means("GetObject", "etag")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[ignore]]\nheader = ['etag']", r"^ignore\[0\]\.header: "),
        ("[[ignore]]\nheaders = 'etag'", r"^ignore\[0\]\.headers: "),
        ("[[ignore]]\nheaders = [1]", r"^ignore\[0\]\.headers\[0\]: "),
        ("[[ignore]]\nskip = 'perhaps'", r"^ignore\[0\]\.skip: "),
        ("[[ignores]]\nskip = true", r"^ignores: "),
        ("[ignore]\nskip = true", r"^ignore: "),
        ("ignore = [", "^not TOML: "),
        ("ignore = " + "[" * 5000, "^lists or tables are nested too deeply$"),
        ("ignore = " + "9" * 5000, "^a number has too many digits$"),
        ("ignore" + ".a" * 5000 + " = 1", "^ignore: "),
    ],
    ids=lambda value: value[:20],
)
def test_a_mistake_is_named_with_its_place(tmp_path, text, problem):
    with pytest.raises(ToleranceError, match=problem):
        written(tmp_path, text)


def test_all_mistakes_are_named(tmp_path):
    with pytest.raises(ToleranceError) as error:
        written(tmp_path, "[[ignore]]\nheader = []\n[[ignore]]\nskip = 'x'")
    assert len(error.value.problems) == 2


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ToleranceError, match="No such file"):
        load(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_text_is_named(tmp_path):
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ToleranceError, match="not TOML"):
        load(file)


def test_headers_may_be_spelled_as_people_do(tmp_path):
    found = written(tmp_path, '[[ignore]]\nheaders = ["Content-Type", "X-Amz-Meta-*"]')
    assert not found.means("GetObject", "content-type")
    assert not found.means("GetObject", "x-amz-meta-colour")
