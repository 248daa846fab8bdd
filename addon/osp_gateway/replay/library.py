"""Recorded answers, found by what a request is about: how a test suite runs without a store."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Final

from osp_gateway.replay.exchange import Answer, Exchange, Payload
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import Header

MEANINGFUL: Final = frozenset(
    {
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "range",
        "x-amz-copy-source",
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-copy-source-range",
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        "x-amz-max-parts",
        "x-amz-object-attributes",
        "x-amz-part-number-marker",
        "x-amz-server-side-encryption-customer-algorithm",
    }
)
"""Headers without which the same request might have another answer."""
_SAYS_NOTHING: Final = frozenset({"x-id"})
"""Parameters that SDKs add to be told apart in logs."""


def matching(
    operation: str,
    bucket: str,
    key_path: str,
    query: Iterable[Pair],
    headers: Iterable[Header],
    payload: Payload,
) -> Hashable:
    """What two requests have in common that should have the same answer.

    Args:
        operation: S3's name of it.
        bucket: empty for the root.
        key_path: the key, as it is encoded in paths.
        query: canonically encoded pairs; those of a signature, and headers that a presigned URL carries, do not count.
        headers: lower-case names and values.
        payload: the decoded body.
    """
    pairs = sorted(pair for pair in query if pair[0] not in _SAYS_NOTHING and not pair[0].lower().startswith("x-amz-"))
    fields = sorted((name, value) for name, value in headers if name in MEANINGFUL)
    return operation, bucket, key_path, tuple(pairs), tuple(fields), payload.sha256


class Library:
    """The answers of a recording. Those to the same request are given in their order, each once."""

    def __init__(self, exchanges: Iterable[Exchange], *, reuse: bool = False) -> None:
        """`reuse`: the first answer to a request is given again and again."""
        self._answers: dict[Hashable, deque[Answer]] = {}
        self._reuse = reuse
        for exchange in exchanges:
            request = exchange.request
            key = matching(
                exchange.operation,
                request.bucket,
                request.key_path,
                request.query,
                request.headers,
                request.payload,
            )
            self._answers.setdefault(key, deque()).append(exchange.answer)

    def __len__(self) -> int:
        return sum(len(answers) for answers in self._answers.values())

    def answer(self, key: Hashable, *, keep: bool = False) -> Answer | None:
        """The next answer to a request (see `matching`); None where there is none, or none any more.

        With `keep`, the next request gets the same.

        One whose body was not recorded cannot be given, and is not used up: clients that try again are told the same.
        """
        answers = self._answers.get(key)
        if not answers:
            return None
        return answers[0] if keep or self._reuse or answers[0].payload.content is None else answers.popleft()
