"""Keys that are no longer good, whatever a keystore or a seal says: their requests, presigned URLs and sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osp_gateway.access.patterns import like
from osp_gateway.s3.errors import S3Error


@dataclass(frozen=True, slots=True)
class Revoked:
    """What is revoked: all of the keys and roles that a pattern matches, or only what was opened before a time.

    `issued_before` is in seconds since the epoch; with it, keys stay good, and sessions that are older do not.
    """

    pattern: str
    issued_before: float | None = None


class Revocations:
    """All that is revoked."""

    def __init__(self, entries: Sequence[Revoked] = ()) -> None:
        self._keys = tuple(entry.pattern for entry in entries if entry.issued_before is None)
        self._sessions = tuple(
            (entry.pattern, entry.issued_before) for entry in entries if entry.issued_before is not None
        )

    def refuse_key(self, access_key: str) -> None:
        """Refuse a key that is revoked as if nobody had ever heard of it.

        Raises:
            S3Error: InvalidAccessKeyId (403).
        """
        if any(like(pattern, access_key) for pattern in self._keys):
            raise S3Error(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                reason="the access key is revoked",
                details={"AWSAccessKeyId": access_key},
            )

    def refuse_session(self, names: Iterable[str], issued_at: float) -> None:
        """Refuse a session that has to do with a key or a role that is revoked.

        Args:
            names: the access keys and roles on the way to the session, its own included.
            issued_at: when the first session on that way was opened, in seconds since the epoch.

        Raises:
            S3Error: InvalidToken (400).
        """
        old = tuple(pattern for pattern, before in self._sessions if issued_at < before)
        for name in names:
            if any(like(pattern, name) for pattern in (*self._keys, *old)):
                raise S3Error(
                    "InvalidToken",
                    "The provided token is malformed or otherwise invalid.",
                    reason="the session, or a key or role that it comes from, is revoked",
                )
