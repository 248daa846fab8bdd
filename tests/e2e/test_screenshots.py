"""mitmweb in a real browser: everything is to be read in a window of 1280 pixels, and nothing secret is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.leaks import leaks
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_SECRET, REPO
from support.screenshots import needs_a_browser, script

pytestmark = needs_a_browser


@pytest.fixture(scope="module")
def taken(tmp_path_factory) -> Iterator[tuple[Path, dict[str, str]]]:
    screenshots, out = script(), tmp_path_factory.mktemp("pictures")
    with screenshots.shown(tmp_path_factory.mktemp("web")) as web, screenshots.browser() as driver:
        yield out, screenshots.take(web, driver, out)


def test_everything_is_to_be_read(taken):
    """The script itself waits for the words, and refuses what lies beyond the right edge."""
    out, texts = taken
    pictures = sorted(out.glob("*.png"))
    assert [picture.stem for picture in pictures] == sorted(texts)
    for picture in pictures:
        octets = picture.read_bytes()
        assert octets.startswith(b"\x89PNG")
        assert int.from_bytes(octets[16:20]) == 1280
        assert (REPO / "docs" / picture.name).exists()  # the README shows it


def test_nothing_secret_is_to_be_read(taken):
    _, texts = taken
    for text in texts.values():
        assert leaks([secret.encode() for secret in (BACKEND_KEY, BACKEND_SECRET, CLIENT_SECRET)], text.encode()) == []
        assert not re.search(r"(?i)signature[=\s:]+[0-9a-f]{64}", text)
