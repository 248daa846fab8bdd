"""IAM's patterns."""

from __future__ import annotations

import re
from functools import lru_cache


def like(pattern: str, value: str) -> bool:
    """IAM's StringLike: `*` is any text, `?` any one character, all else is itself, capitals included."""
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    runs = re.sub(r"\*+", "*", pattern)
    return re.compile("".join(_MEANING.get(char) or re.escape(char) for char in runs), re.DOTALL)


_MEANING = {"*": ".*", "?": "."}
