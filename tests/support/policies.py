"""Policies and requests for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osp_gateway.access.authorizer import AccessRequest, Decision
from osp_gateway.access.identity import Identity, frozen, of_key
from osp_gateway.access.policy import Attached, PolicyAuthorizer, read_policy
from osp_gateway.access.policy.authorizer import judge
from osp_gateway.access.policy.context import Context

NOW = 1_767_268_800.0  # 2026-01-01T12:00:00Z
ALICE = of_key("alice")


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    """A statement about everything, but for what is said."""
    if "NotAction" not in elements:
        elements.setdefault("Action", "s3:*")
    if "NotResource" not in elements:
        elements.setdefault("Resource", "*")
    return {"Effect": effect, **elements}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def about(
    operation: str = "GetObject",
    key: str = "",
    *,
    bucket: str = "demo",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    identity: Identity = ALICE,
    source: str = "192.0.2.7",
    tls: bool = False,
) -> AccessRequest:
    return AccessRequest(
        token=identity.access_key,
        bucket=bucket,
        method="-",
        path="-",
        query=query or {},
        headers=headers or {},
        operation=operation,
        key=key,
        source=source,
        identity=identity,
        tls=tls,
    )


def judged(policy: dict[str, Any], request: AccessRequest, now: float = NOW) -> Decision:
    return judge([read_policy(policy)], Context(request, now))


def allows(policy: dict[str, Any], request: AccessRequest, now: float = NOW) -> bool:
    return judged(policy, request, now).allowed


def bearer(**claims: Any) -> Identity:
    """Somebody who came with a token."""
    return Identity("token-fake-key", claims.get("sub", "bearer"), claims=frozen(claims))


def authorizer(*documents: dict[str, Any]) -> PolicyAuthorizer:
    return PolicyAuthorizer([Attached(read_policy(written)) for written in documents], lambda: NOW)
