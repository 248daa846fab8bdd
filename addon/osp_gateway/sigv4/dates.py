"""Dates as signed requests write them, and how far they may be off."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead

MAX_SKEW_SECONDS: Final = 15 * 60
MAX_EXPIRES_SECONDS: Final = 7 * 24 * 3600

_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z").match


def parse_amz_date(text: str) -> int | None:
    """Seconds since the epoch of `YYYYMMDDTHHMMSSZ`, or None where it is not such a date."""
    # What has not even the form is not kept: it may be as long as a head.
    return _seconds(text) if _DATE(text) else None


@lru_cache(maxsize=1024)
def _seconds(text: str) -> int | None:
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return calendar.timegm(moment.utctimetuple())


def iso_time(seconds: float) -> str:
    """`2026-01-31T12:00:00Z` of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def header_date(head: RequestHead) -> str:
    """The request's time as `YYYYMMDDTHHMMSSZ`: x-amz-date, else the Date header.

    Raises:
        S3Error: AccessDenied (403) where there is none that can be read.
    """
    amz_date = head.get("x-amz-date")
    if amz_date is not None:
        return amz_date
    date = head.get("date")
    if date is not None:
        if _DATE(date):
            return date
        try:
            moment = parsedate_to_datetime(date)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            return moment.strftime("%Y%m%dT%H%M%SZ")
        except (ValueError, OverflowError):
            pass  # said below, as for a missing date
    raise no_date()


def no_date() -> S3Error:
    """The error for a request whose date is missing or cannot be read."""
    return S3Error.access_denied(message="AWS authentication requires a valid Date or x-amz-date header")


def refuse_skewed(timestamp: float, now: float, written: str) -> None:
    """Raise `S3Error` RequestTimeTooSkewed (403) where a request's time is more than 15 minutes from ours.

    Args:
        timestamp: the request's time in seconds since the epoch.
        now: ours.
        written: the request's time as it stands there.
    """
    if abs(now - timestamp) > MAX_SKEW_SECONDS:
        raise S3Error(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            details={
                "RequestTime": written,
                "ServerTime": iso_time(now),
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW_SECONDS * 1000),
            },
        )
