"""What has been found out about one request while it is being decided."""

from __future__ import annotations

import time
from dataclasses import dataclass

from osp_gateway.outcomes import NOT_ASKED, Arrival, Verdict
from osp_gateway.sigv4.explain import Explanation


@dataclass(slots=True)
class Case:
    """What has been found out about one request so far: the verdict of a refusal tells it, too."""

    arrival: Arrival
    request_id: str
    started: int
    who: str = "-"
    operation: str = "-"
    bucket: str = ""
    key: str = ""
    reason: str = ""
    cached: bool = False
    upstream: str = "-"
    explanation: Explanation | None = None
    authorizer: str = NOT_ASKED

    def verdict(self, allowed: bool, reason: str) -> Verdict:
        """The case closed."""
        return Verdict(
            request_id=self.request_id,
            who=self.who,
            operation=self.operation,
            bucket=self.bucket,
            key=self.key,
            allowed=allowed,
            reason=reason,
            cached=self.cached,
            upstream=self.upstream,
            micros=(time.perf_counter_ns() - self.started) // 1000,
            explanation=self.explanation,
            tls_subject=self.arrival.tls_subject,
            authorizer=self.authorizer,
        )
