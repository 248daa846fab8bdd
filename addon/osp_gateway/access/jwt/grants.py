"""What the bearer of a token may do: claims to buckets, prefixes and actions, as the configuration maps them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from osp_gateway.access.authorizer import AccessRequest, Decision, abstain
from osp_gateway.access.jwt.actions import BATCH, Action, actions_of
from osp_gateway.access.jwt.claims import ClaimPath, Scalar, Template, claim_at, holds
from osp_gateway.s3.address import is_path_like

IAM_PREFIX: Final = "s3:"
LISTINGS: Final = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"})


@dataclass(frozen=True, slots=True)
class Grant:
    """Who has `claim` with one of `values` may do `actions` in `buckets`, below `prefixes`.

    `claim` is None for everybody; `prefixes` is empty for whole buckets.
    """

    claim: ClaimPath | None
    values: frozenset[tuple[type, Scalar]]
    buckets: tuple[Template, ...]
    prefixes: tuple[Template, ...]
    actions: tuple[re.Pattern[str], ...]

    def is_for(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token's claims are such."""
        return self.claim is None or holds(claim_at(claims, self.claim), self.values)

    def allows(self, claims: Mapping[str, Any], request: AccessRequest, action: Action) -> bool:
        """Whether it is for this action, in this place."""
        return (
            any(
                pattern.fullmatch(action.operation) or pattern.fullmatch(IAM_PREFIX + action.iam)
                for pattern in self.actions
            )
            and any(_is_bucket(bucket, claims, request.bucket) for bucket in self.buckets)
            and (not self.prefixes or self._is_below(claims, request))
        )

    def _is_below(self, claims: Mapping[str, Any], request: AccessRequest) -> bool:
        if request.operation == BATCH:
            return True  # its keys are asked about, each by itself
        place = request.prefix if request.operation in LISTINGS else request.key
        if is_path_like(place):
            return False
        filled = (prefix.fill(claims) for prefix in self.prefixes)
        return any(prefix and place.startswith(prefix) for prefix in filled)


class JwtAuthorizer:
    """Grants by issuer. It has no opinion about callers without a token, and tokens whose issuer has no grants."""

    def __init__(self, grants: Mapping[str, Sequence[Grant]]) -> None:
        """`grants` are by the issuer's name."""
        self._grants = {issuer: tuple(listed) for issuer, listed in grants.items() if listed}

    async def __call__(self, request: AccessRequest) -> Decision:
        """Whether the token's grants allow all that the request does."""
        claims = request.identity.claims
        if not claims:
            return abstain("no token")
        issuer = claims.get("iss")
        grants = self._grants.get(issuer, ()) if isinstance(issuer, str) else ()
        if not grants:
            return abstain("no grants are listed with the token's issuer")
        granted = [grant for grant in grants if grant.is_for(claims)]
        for action in actions_of(request):
            if not any(grant.allows(claims, request, action) for grant in granted):
                return Decision(False, f"none of the token's {len(granted)} grants is for {action.operation} there")
        return Decision(True, "allowed by the token's claims")


def action_pattern(written: str) -> re.Pattern[str]:
    """`GetObject` or `s3:Get*`: names of operations, or IAM's with `s3:`; `*` and `?` as in policies.

    A pattern without `s3:` is for operations only, one with it for IAM's names only; `*` alone is for all.
    """
    return re.compile(glob(written))


def glob(written: str) -> str:
    """A pattern with `*` and `?` as a regular expression."""
    return "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in written)


def _is_bucket(pattern: Template, claims: Mapping[str, Any], bucket: str) -> bool:
    parts = pattern.parts(claims)
    if parts is None:
        return False
    # What stands between the literals is the bearer's: taken as it is, whatever characters are in it.
    expression = "".join(re.escape(part) if number % 2 else glob(part) for number, part in enumerate(parts))
    return re.fullmatch(expression, bucket) is not None
