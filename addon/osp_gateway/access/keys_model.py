"""`presign` and `revoked_keys`: what an operator writes about presigned URLs and keys that are no longer good."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from osp_gateway.access.revocation import Revoked
from osp_gateway.fields import Count, Model, not_a_bool
from osp_gateway.sigv4.dates import MAX_EXPIRES_SECONDS


def _as_entry(value: object) -> object:
    if value == {}:
        raise ValueError("everything would be revoked, expected key or issued_before")
    return {"key": value} if isinstance(value, str) else value


def _as_time(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("expected a time like 2026-01-31T12:00:00Z")
    return value


def _with_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("expected a time with its zone, like 2026-01-31T12:00:00Z")
    return value.astimezone(UTC)


Time = Annotated[datetime, BeforeValidator(_as_time), AfterValidator(_with_zone)]
Lifetime = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=MAX_EXPIRES_SECONDS)]


class PresignModel(Model):
    """`presign`."""

    max_lifetime: Lifetime | None = None
    max_uses: Count | None = None


class RevokedModel(Model):
    """One entry of `revoked_keys`."""

    key: Annotated[str, Field(min_length=1)] = "*"
    issued_before: Time | None = None


RevokedEntry = Annotated[RevokedModel, BeforeValidator(_as_entry)]
NO_PRESIGN: Final = PresignModel()


def revoked(entries: Iterable[RevokedModel]) -> tuple[Revoked, ...]:
    """What the entries say."""
    return tuple(
        Revoked(entry.key, entry.issued_before.timestamp() if entry.issued_before else None) for entry in entries
    )
