"""Policies as authorizers: those that an operator wrote, and those that narrow a session."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from osp_gateway.access.authorizer import AccessRequest, Authorizer, Decision, abstain
from osp_gateway.access.compose import kept_decisions
from osp_gateway.access.policy.actions import BATCH, BATCH_ACTIONS, needed_actions
from osp_gateway.access.policy.context import Context
from osp_gateway.access.policy.patterns import Pattern
from osp_gateway.access.policy.reading import PolicyError, read_policy
from osp_gateway.access.policy.statements import Policy

log = logging.getLogger(__name__)

MAX_READ: Final = 2048
"""So many session policies are kept as they were read."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A policy and the callers that it is for, by patterns of their names; None: for everybody."""

    policy: Policy
    principals: tuple[Pattern, ...] | None = None

    def concerns(self, context: Context) -> bool:
        """Whether it has a say about the caller."""
        if self.principals is not None:
            name = context.request.identity.name
            return bool(name) and any(pattern.matches(name, context.value) for pattern in self.principals)
        if not self.policy.has_principals:
            return True
        return any(statement.concerns(context) for statement in self.policy.statements)


class PolicyAuthorizer:
    """The operator's policies. About callers for whom there are none it has no opinion."""

    def __init__(self, attached: Sequence[Attached], clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch."""
        self._attached = tuple(attached)
        self._clock = clock

    async def __call__(self, request: AccessRequest) -> Decision:
        """What the policies say that concern the caller. Nothing is kept: times and addresses are conditions, too."""
        context = Context(request, self._clock())
        policies = [attached.policy for attached in self._attached if attached.concerns(context)]
        if not policies:
            return abstain("no policy is for this caller")
        return judge(policies, context)


class SessionPolicies:
    """Narrows what another authorizer allows by the policies of the caller's session: each of them must allow, too."""

    def __init__(self, inner: Authorizer, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch."""
        self._inner = inner
        self._clock = clock

    @property
    def kept(self) -> int:
        """How many decisions the other remembers; its own are never kept."""
        return kept_decisions(self._inner)

    async def __call__(self, request: AccessRequest) -> Decision:
        """The other's decision, which is not asked for where a policy of the session does not allow."""
        for document in request.identity.policies:
            decision = self._judged(document, request)
            if not decision.allowed:
                return decision
        return await self._inner(request)

    def _judged(self, document: str, request: AccessRequest) -> Decision:
        try:
            policy = _session_policy(document)
        except PolicyError as error:
            log.warning("a session's policy cannot be read, the session may do nothing: %s", error.problems[0])
            return Decision(False, "the session's policy cannot be read")
        return judge([policy], Context(request, self._clock()))


@lru_cache(maxsize=MAX_READ)
def _session_policy(document: str) -> Policy:
    return read_policy(document, "the session's policy", principals=False)


def judge(policies: Sequence[Policy], context: Context) -> Decision:
    """What policies say together: one that denies wins; else one must allow, for each action that is needed."""
    request = context.request
    if request.operation == BATCH:
        if any(policy.may_grant(BATCH_ACTIONS, context) for policy in policies):
            return Decision(True, "each key is judged by itself")
        return Decision(False, f"no policy allows {BATCH_ACTIONS[0]}")
    actions = needed_actions(request)
    if not actions:
        return Decision(False, f"policies know no operation {request.operation}")
    granted = ""
    for action in actions:
        for policy in policies:
            denial = policy.denial(action, context)
            if denial is not None:
                return Decision(False, f"{action} is denied by {_told(policy, denial.name)}")
        for policy in policies:
            grant = policy.grant(action, context)
            if grant is not None:
                granted = granted or f"{action} is allowed by {_told(policy, grant.name)}"
                break
        else:
            return Decision(False, f"no policy allows {action} on {request.resource}")
    return Decision(True, granted)


def _told(policy: Policy, statement: str) -> str:
    return f"{statement} of {policy.name}" if policy.name else statement
