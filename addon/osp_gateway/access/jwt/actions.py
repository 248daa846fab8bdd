"""What a request does, in S3's words and in IAM's: a grant may be written in either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.access.policy.actions import NEEDS, needed_actions

IAM_PREFIX: Final = "s3:"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a request does: S3's name of the operation, and IAM's of the action, with its prefix."""

    operation: str
    iam: str


def actions_of(request: AccessRequest) -> tuple[Action, ...]:
    """All that a request does, each of which must be allowed; nothing for an operation that is not known.

    What it does besides, by its headers, is an operation of its own: a PutObject with an ACL is a PutObjectAcl, too.
    """
    itself = {
        name
        for need in NEEDS.get(request.operation, ())
        if need.headers is None
        for name in (need.action, need.versioned)
    }
    return tuple(
        Action(request.operation if iam in itself else iam.removeprefix(IAM_PREFIX), iam)
        for iam in needed_actions(request) or ()
    )
