"""When a refusal is explained: only where there is something to find out, and never so often that it costs others.

An explanation takes some ten milliseconds of computing. Whoever knows an access key could ask for one with each wrong
signature, so that there is a bound on their number; what goes beyond it is refused all the same, unexplained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from osp_gateway.access.keystore import Keystore
from osp_gateway.config import Settings
from osp_gateway.outcomes import Arrival
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.explain import Explanation, Knowledge, explain
from osp_gateway.sigv4.explain.reading import sightings
from osp_gateway.sigv4.keys import told
from osp_gateway.token_bucket import TokenBucket

EXPLAINED: Final = frozenset({"SignatureDoesNotMatch", "RequestTimeTooSkewed"})
PER_SECOND: Final = 2.0
BURST: Final = 20.0
MAX_CHECKS: Final = 2000


class Explainer:
    """Explains refused signatures."""

    def __init__(self, settings: Settings, keystore: Keystore, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._settings = settings
        self._keystore = keystore
        self._clock = clock
        self._allowance = TokenBucket(PER_SECOND, BURST, clock())

    async def explanation(self, error: S3Error, arrival: Arrival) -> Explanation | None:
        """Why a request was refused, or None where nothing is to be found out about that."""
        if error.code not in EXPLAINED:
            return None
        head = arrival.head
        seen = sightings(head)
        # An explanation quotes the request: no token must stand in it.
        if not seen or told(key := seen[0].access_key) != key or not self._allowance.take(self._clock()):
            return None
        knowledge = Knowledge(
            secret=self._keystore.known(seen[0].access_key, head.get("x-amz-security-token")),
            server_time=self._clock() + arrival.skew,
            other_keys={key: pair.secret_key for key, pair in self._settings.keystore.items()},
            domains=self._settings.domains,
            listen_ports=() if arrival.port is None else (arrival.port,),
            max_checks=MAX_CHECKS,
        )
        return await asyncio.to_thread(explain, head, knowledge)

    def describe(self, error: S3Error, explanation: Explanation) -> S3Error:
        """The error with its explanation: for the operator, and for the client where that is wanted."""
        details = dict(error.details)
        if self._settings.explain_errors:
            details["StringToSign"] = explanation.string_to_sign
            details["CanonicalRequest"] = explanation.canonical_request
            details["Hint"] = explanation.hint
        return S3Error(error.code, error.message, reason=f"{error.code}: {explanation.line}", details=details)
