"""Counting requests, when somebody asked for it."""

from __future__ import annotations


class RequestCounter:
    """How many requests arrived since counting was enabled."""

    def __init__(self) -> None:
        self.enabled = False
        self.total = 0

    def count(self) -> None:
        """One more request."""
        if self.enabled:
            self.total += 1


request_counter = RequestCounter()


def enable_request_counting() -> None:
    """Start to count requests, from zero."""
    request_counter.total = 0
    request_counter.enabled = True


def disable_request_counting() -> None:
    """Stop counting; the count stays."""
    request_counter.enabled = False


def get_request_count() -> int:
    """How many requests arrived while counting was enabled."""
    return request_counter.total
