"""`scripts/screenshots.py`, for tests that look at mitmweb in a browser."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from types import ModuleType

import pytest

from support.processes import REPO

_HAVE_ALL = bool(importlib.util.find_spec("selenium") and shutil.which("chromium") and shutil.which("chromedriver"))
BROWSER = _HAVE_ALL or bool(os.environ.get("OSP_REQUIRE_CHROMIUM"))
needs_a_browser = pytest.mark.skipif(not BROWSER, reason="needs chromium, chromium-driver and the extra `screenshots`")


def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("screenshots", REPO / "scripts" / "screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["screenshots"] = module
    spec.loader.exec_module(module)
    return module
