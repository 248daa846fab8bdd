"""Bucket patterns listed with client keys: authorization without code."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence

from osp_gateway.access.authorizer import AccessRequest, Decision, abstain


class KeyBuckets:
    """Bucket patterns listed with each client key: for configurations without code."""

    def __init__(
        self,
        patterns: Mapping[str, Sequence[str]],
        *,
        others: bool = False,
        elsewhere: Callable[[str], Sequence[str] | None] = lambda _: None,
    ) -> None:
        """`patterns` maps access keys to globs of bucket names; about keys without any, `others` have the say.

        `elsewhere` gives those of keys that are not in there.
        """
        self._patterns = {key: tuple(globs) for key, globs in patterns.items()}
        self._elsewhere = elsewhere
        self._others = others

    async def __call__(self, request: AccessRequest) -> Decision:
        """Whether one of the key's patterns matches the bucket."""
        patterns: Sequence[str] | None = self._patterns.get(request.token)
        if patterns is None:
            patterns = self._elsewhere(request.token)
        if self._others and patterns is None:
            return abstain("no bucket patterns are listed with the key")
        for pattern in patterns or ():
            if fnmatch.fnmatchcase(request.bucket, pattern):
                return Decision(True, f"allowed: the key may use buckets {pattern!r}")
        return Decision(False, "no bucket pattern of the key matches")
