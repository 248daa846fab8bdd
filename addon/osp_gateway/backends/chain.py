"""Credentials by botocore's own providers: environment, profiles, roles, SSO, web identity, containers, instances.

botocore may read files, ask services and run programs, so it works in a thread. What it finds is kept here: renewed
ahead of its expiry, by one call however many requests wait, and used for as long as it lives: a renewal that fails is
nobody's problem before that. botocore itself would let requests fail ten minutes earlier.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.credentials import AssumeRoleCredentialFetcher, Credentials
from botocore.exceptions import ClientError
from botocore.session import Session

from osp_gateway.asking import without_details
from osp_gateway.backends.routes import ChainSource
from osp_gateway.callables import CallableRunner, CallTimeout
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 30.0
MAX_CALLS: Final = 8
RENEW_AT_MOST_SECONDS: Final = 900.0
"""Credentials are renewed this long before their end, or at three quarters of their life where that is later."""
RENEW_PART: Final = 0.25
LASTING_SECONDS: Final = 300.0
"""Credentials without an expiry are looked up again after this: files change."""
REST_SECONDS: Final = 5.0
"""After a failure nobody asks again for so long."""
_DEFAULT_REGION: Final = "us-east-1"
_DEFAULT_SESSION_NAME: Final = "osp-gateway"


@dataclass(frozen=True, slots=True)
class Obtained:
    """What was found; `expires_at` in seconds since the epoch, None for what does not expire."""

    pair: KeyPair
    expires_at: float | None


@dataclass(slots=True)
class _Known:
    """The state of one source."""

    pair: KeyPair | None = field(default=None, repr=False)
    renew_at: float = 0.0
    expires_at: float = 0.0
    failed_at: float = -math.inf
    problem: str = ""
    flight: asyncio.Task[None] | None = None


Obtain = Callable[[ChainSource], Obtained]


class ChainCredentials:
    """Keeps the credentials of each source."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        obtain: Obtain | None = None,
        runner: CallableRunner | None = None,
    ) -> None:
        """`obtain` blocks; `clock` gives seconds since the epoch."""
        self._clock = clock
        self._obtain = obtain or obtain_by_botocore
        self._runner = runner or CallableRunner(TIMEOUT_SECONDS, MAX_CALLS)
        self._known: dict[ChainSource, _Known] = {}

    async def get(self, source: ChainSource) -> KeyPair:
        """Credentials that have not expired.

        Raises:
            S3Error: ServiceUnavailable (503) where there are none.
        """
        known = self._known.setdefault(source, _Known())
        now = self._clock()
        alive = known.pair is not None and now < known.expires_at
        if (not alive or now >= known.renew_at) and not self._resting(known, now):
            self._renew(source, known)
        if known.pair is not None and alive:
            return known.pair
        if known.flight is not None:
            await asyncio.shield(known.flight)
        if known.pair is None or self._clock() >= known.expires_at:
            raise S3Error.unavailable(
                "The gateway could not obtain credentials for the backend. Please try again.", reason=known.problem
            )
        return known.pair

    def _resting(self, known: _Known, now: float) -> bool:
        # A clock that was put back does not make the rest longer.
        return known.flight is None and 0 <= now - known.failed_at < REST_SECONDS

    def _renew(self, source: ChainSource, known: _Known) -> None:
        if known.flight is None:
            flight = asyncio.ensure_future(self._fly(source, known))
            if not flight.done():
                known.flight = flight

    async def _fly(self, source: ChainSource, known: _Known) -> None:
        try:
            found = await self._runner.call(self._obtain, source)
            self._take(known, found)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a provider is told, and tried again
            self._note(source, known, error)
        finally:
            known.flight = None

    def _take(self, known: _Known, found: Obtained) -> None:
        now = self._clock()
        if found.expires_at is None:
            renew_at, expires_at = now + LASTING_SECONDS, math.inf
        else:
            left = found.expires_at - now
            if left <= 0:
                raise ChainFailure("the credentials that were found have expired")
            renew_at, expires_at = found.expires_at - min(RENEW_AT_MOST_SECONDS, left * RENEW_PART), found.expires_at
        known.pair, known.renew_at, known.expires_at = found.pair, renew_at, expires_at
        known.problem, known.failed_at = "", -math.inf

    def _note(self, source: ChainSource, known: _Known, error: Exception) -> None:
        now = self._clock()
        known.failed_at = now
        known.problem = f"{_shown(source)}: {_what(error)}"
        if known.pair is not None and now < known.expires_at:
            left = "they do not expire" if known.expires_at == math.inf else f"{known.expires_at - now:.0f} s left"
            log.error("credentials of %s could not be renewed, the old ones go on (%s)", known.problem, left)
        else:
            log.error("no credentials for the backend from %s", known.problem)


class ChainFailure(Exception):
    """Nothing was found. The text holds no secret."""


def obtain_by_botocore(source: ChainSource) -> Obtained:
    """Credentials by botocore's providers, found anew. Blocks.

    Raises:
        ChainFailure: there are none.
        Exception: what botocore raises.
    """
    without_details("botocore")
    without_details("urllib3")
    session = Session(profile=source.profile)
    if source.pair is not None:
        found: Any = Credentials(source.pair.access_key, source.pair.secret_key, source.pair.session_token)
    else:
        found = session.get_credentials()
    if found is None:
        raise ChainFailure("none of botocore's providers has credentials")
    return _assumed(session, source, found) if source.role_arn else _frozen(found)


def _frozen(found: Any) -> Obtained:
    frozen = found.get_frozen_credentials()  # deferred ones are fetched here
    # botocore has no public name for it: temporary credentials without an expiry would be kept for ever.
    expiry: datetime | None = getattr(found, "_expiry_time", None)
    return Obtained(_pair(frozen.access_key, frozen.secret_key, frozen.token), expiry.timestamp() if expiry else None)


def _assumed(session: Session, source: ChainSource, found: Any) -> Obtained:
    region = source.region or session.get_config_variable("region") or _DEFAULT_REGION

    def create_client(service: str, **arguments: Any) -> Any:
        return session.create_client(service, region_name=region, **arguments)

    extra = {"RoleSessionName": source.session_name or _DEFAULT_SESSION_NAME}
    if source.external_id is not None:
        extra["ExternalId"] = source.external_id
    fetcher = AssumeRoleCredentialFetcher(create_client, found, source.role_arn, extra_args=extra)
    answer = fetcher.fetch_credentials()
    expires_at = datetime.fromisoformat(answer["expiry_time"])
    expires_at = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
    return Obtained(_pair(answer["access_key"], answer["secret_key"], answer["token"]), expires_at.timestamp())


def _pair(access_key: str | None, secret_key: str | None, token: str | None) -> KeyPair:
    texts = [text for text in (access_key, secret_key, token) if text]
    if not access_key or not secret_key or not all(text.isascii() and text.isprintable() for text in texts):
        raise ChainFailure("a provider gave something that is no key")
    return KeyPair(access_key, secret_key, token or None)


def _shown(source: ChainSource) -> str:
    parts = [
        f"profile {source.profile}" if source.profile else "",
        f"role {source.role_arn}" if source.role_arn else "",
    ]
    return ", ".join(part for part in parts if part) or "botocore's providers"


def _what(error: Exception) -> str:
    """What went wrong, without texts of other programs and services."""
    if isinstance(error, ChainFailure | CallTimeout):
        return str(error)
    if isinstance(error, ClientError):
        return f"the token service answered {error.response.get('Error', {}).get('Code', 'an error')}"
    return type(error).__name__
