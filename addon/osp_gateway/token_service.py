"""The Security Token Service: temporary keys for those who may have them. Nothing of it reaches a store.

Calls are decided by their head and their body, which is small: `PendingAction` holds it until it is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from osp_gateway.access.identity import Identity
from osp_gateway.access.sts.answers import Elements, answer
from osp_gateway.access.sts.errors import StsError, invalid, not_authorized, of_s3
from osp_gateway.access.sts.parameters import Parameters, is_form
from osp_gateway.access.sts.roles import (
    DEFAULT_ROLE_SECONDS,
    DEFAULT_USER_SECONDS,
    MAX_CHAINED_SECONDS,
    Role,
    WebIdentityVerifier,
    session_policy,
)
from osp_gateway.access.sts.tokens import Session, packed_size
from osp_gateway.case import Case
from osp_gateway.identifying import Identifier
from osp_gateway.outcomes import PendingAction, Reply, own_headers
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import Resource, Scope
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.session_keys import SessionKeys
from osp_gateway.sigv4 import claims
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from osp_gateway.sigv4.keys import SigningKeys
from osp_gateway.sigv4.verify import verify

SERVICE: Final = "sts"
MAX_SHOWN_CHARS: Final = 128
_TOKEN_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "ExpiredToken": ("ExpiredTokenException", "Token expired: the web identity token is no longer valid."),
    "ServiceUnavailable": (
        "IDPCommunicationError",
        "The keys of the identity provider could not be had. Please try again.",
    ),
}


def is_call(head: RequestHead, resource: Resource, query: tuple[Pair, ...]) -> bool:
    """Whether a request is one for STS: S3 itself takes no POST at its root, and no `Action` anywhere."""
    if resource.scope is not Scope.ROOT:
        return False
    return head.method == "POST" or (head.method == "GET" and any(name == "Action" for name, _ in query))


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who signed a call. `principal` is the key or role whose rights they have, None for what can be neither.

    `temporary` keys are those that came with a session token; `session` is there where we have made it.
    """

    access_key: str
    identity: Identity
    arn: str
    user_id: str
    principal: str | None
    temporary: bool
    session: Session | None = None

    @property
    def is_chained(self) -> bool:
        """Whether a session that they open hangs on another one, of a role or of nobody knows what."""
        return self.temporary and (self.session is None or bool(self.session.roles))


class TokenService:
    """Answers STS calls."""

    def __init__(
        self,
        session_keys: SessionKeys,
        identifier: Identifier,
        signing_keys: SigningKeys,
        clock: Callable[[], float],
        server_name: str,
        verifier: WebIdentityVerifier | None = None,
    ) -> None:
        """`verifier` judges web identity tokens; without one, none is good. `clock` gives seconds since the epoch."""
        self._settings = session_keys.settings
        self._identifier = identifier
        self._session_keys = session_keys
        self._signing_keys = signing_keys
        self._clock = clock
        self._server_name = server_name
        self._verifier = verifier
        self._signed: Mapping[str, Callable[[Parameters, _Caller], Elements]] = {
            "AssumeRole": self._assume_role,
            "GetSessionToken": self._get_session_token,
            "GetCallerIdentity": self._get_caller_identity,
        }
        self._unsigned: Mapping[str, Callable[[Case, Parameters], Awaitable[Elements]]] = {
            "AssumeRoleWithWebIdentity": self._assume_role_with_web_identity
        }

    async def answer(self, case: Case, pending: PendingAction) -> Reply:
        """The answer to a call.

        Raises:
            StsError: with the code and message that AWS gives.
        """
        body = pending.body.octets
        if body is None:
            raise StsError("RequestEntityTooLarge", f"The body may have up to {pending.body.limit} octets.")
        parameters = _parameters(case.arrival.head, body)
        action = case.operation = parameters.action
        if action in self._unsigned:
            result = await self._unsigned[action](case, parameters)
        else:
            result = self._signed[action](parameters, await self._caller(case, body))
        verdict = case.verdict(True, case.reason or "answered here")
        document = answer(action, result, verdict.request_id)
        shown = answer(action, result, verdict.request_id, hide=True)
        headers = [("content-type", "text/xml"), *own_headers(self._server_name, verdict.request_id, len(document))[1:]]
        return Reply(verdict, 200, (*headers, ("x-amzn-requestid", verdict.request_id)), document, shown)

    # Who asks

    async def _caller(self, case: Case, body: bytes) -> _Caller:
        """Whoever signed a call, head and body."""
        head, payload_hash = case.arrival.head, hashlib.sha256(body).hexdigest()
        try:
            if head.get(CONTENT_SHA256) not in (None, payload_hash):
                raise S3Error.invalid_request("x-amz-content-sha256 is not the hash of the body, which must be signed.")
            query = encoding.parse_query(head.query)
            claim = claims.read_for_service(head, query, self._clock(), SERVICE, payload_hash)
            if claim is None:
                raise StsError("MissingAuthenticationToken", "Request is missing Authentication Token")
            case.who = claim.access_key
            known = await self._identifier.known(claim.access_key, claim.session_token)
            known.check(lambda secret: verify(claim, head, "/", secret, self._signing_keys))
            session = self._session_keys.session(claim.access_key, claim.session_token)
        except S3Error as error:
            raise of_s3(error) from error
        if session is not None and session.roles:
            role = self._settings.roles[session.roles[-1]]
            case.who = f"{claim.access_key} ({role.name}/{session.session_name})"
            arn, user_id = _assumed(role, session.session_name)
            return _Caller(claim.access_key, known.identity, arn, user_id, role.arn, True, session)
        temporary = claim.session_token is not None
        user = session.principal if session is not None else known.identity.name
        if session is None and (known.identity.claims or known.identity.access_key != claim.access_key):
            # The key is a token, or stands for one: whose subject must not be taken for a client key of that name.
            arn = f"arn:aws:sts::{self._settings.account}:federated-user/{user}"
            return _Caller(claim.access_key, known.identity, arn, user, None, True)
        arn = f"arn:aws:iam::{self._settings.account}:user/{user}"
        return _Caller(claim.access_key, known.identity, arn, user, user, temporary, session)

    # What is asked

    def _assume_role(self, parameters: Parameters, caller: _Caller) -> Elements:
        arn = parameters.role_arn
        role = self._settings.roles.get(arn)
        given = parameters.external_id
        trusted = role is not None and caller.principal is not None and role.trusts(caller.principal)
        if role is None or not trusted:
            reason = "there is no such role" if role is None else "the caller is none of the role's principals"
            raise not_authorized(caller.arn, "AssumeRole", arn, reason)
        if not role.accepts_external_id(given):
            raise not_authorized(caller.arn, "AssumeRole", arn, "the external id is not the role's")
        session = self._role_session(parameters, role, caller)
        return self._tagged(parameters, role, caller, session)

    def _tagged(self, parameters: Parameters, role: Role, caller: _Caller, session: Session) -> Elements:
        """The session with its tags: those that go on from the caller's session cannot be replaced."""
        inherited = {}
        if caller.session is not None:
            inherited = {key: caller.session.tags[key] for key in caller.session.transitive}
        asked = parameters.tags
        for key in asked:
            if not role.may_be_tagged(key):
                raise not_authorized(caller.arn, "TagSession", role.arn, f"callers may not set the tag {key!r}")
            if key.lower() in {known.lower() for known in inherited}:
                raise invalid("One of the specified transitive tag keys can't be set because it conflicts.")
        if not parameters.transitive_tag_keys <= asked.keys():
            raise invalid("TransitiveTagKeys must be keys of Tags.")
        session = replace(
            session,
            tags=MappingProxyType({**inherited, **asked}),
            transitive=parameters.transitive_tag_keys | frozenset(inherited),
        )
        return self._role_answer(role, session)

    async def _assume_role_with_web_identity(self, case: Case, parameters: Parameters) -> Elements:
        arn = parameters.role_arn
        identity = await self._web_identity(parameters.required("WebIdentityToken"))
        case.who = f"{identity.name[:MAX_SHOWN_CHARS]} (web identity)"
        role = self._settings.roles.get(arn)
        if role is None or not role.trusts_claims(identity.claims):
            reason = "there is no such role" if role is None else "the token's claims are not those of web_identity"
            raise StsError(
                "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", reason=f"{arn}: {reason}"
            )
        kept = {name: identity.claims[name] for name in role.claims if name in identity.claims}
        session = self._role_session(parameters, role, None)
        policies = (*identity.policies, *session.policies)
        session = replace(session, claims=kept, policies=policies, lineage=(identity.access_key,))
        named: dict[str, str | Elements] = {
            "SubjectFromWebIdentityToken": str(identity.claims.get("sub", identity.name))
        }
        named |= {"Provider": str(identity.claims.get("iss", "")), "Audience": _audience(identity.claims.get("aud"))}
        return {**self._role_answer(role, session), **named}

    async def _web_identity(self, token: str) -> Identity:
        if self._verifier is None:
            raise StsError("InvalidIdentityToken", "No OpenIDConnect provider is configured here.")
        try:
            return await self._verifier(token)
        except S3Error as error:
            code, message = _TOKEN_CODES.get(
                error.code, ("InvalidIdentityToken", "The web identity token could not be validated.")
            )
            raise StsError(code, message, reason=error.reason) from error

    def _get_session_token(self, parameters: Parameters, caller: _Caller) -> Elements:
        if caller.temporary or caller.principal is None:
            raise StsError("AccessDenied", "Cannot call GetSessionToken with session credentials")
        least, most = self._settings.min_seconds, self._settings.max_user_seconds
        now = int(self._clock())
        session = Session(
            principal=caller.principal,
            session_name="",
            issued_at=now,
            expires_at=now + parameters.duration(least, most, DEFAULT_USER_SECONDS),
            lineage=(caller.access_key,),
        )
        return {"Credentials": self._session_keys.seal(session).elements}

    def _get_caller_identity(self, _parameters: Parameters, caller: _Caller) -> Elements:
        return {"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.arn.split(":")[4]}

    # Sessions

    def _role_session(self, parameters: Parameters, role: Role, caller: _Caller | None) -> Session:
        """A session of a role: not longer than that of the caller, and narrowed by all that narrows theirs."""
        most = role.max_seconds
        if caller is not None and caller.is_chained:
            most = min(most, MAX_CHAINED_SECONDS)
        seconds = parameters.duration(min(self._settings.min_seconds, most), most, DEFAULT_ROLE_SECONDS)
        policy = parameters.optional("Policy")
        now = int(self._clock())
        session = Session(
            principal=role.arn,
            session_name=parameters.session_name,
            issued_at=now,
            expires_at=now + seconds,
            roles=(role.arn,),
            lineage=(caller.access_key,) if caller is not None else (),
            policies=() if policy is None else (session_policy(policy),),
        )
        return session if caller is None or caller.session is None else _within(session, caller.session)

    def _role_answer(self, role: Role, session: Session) -> dict[str, str | Elements]:
        arn, identifier = _assumed(role, session.session_name)
        result: dict[str, str | Elements] = {
            "Credentials": self._session_keys.seal(session).elements,
            "AssumedRoleUser": {"AssumedRoleId": identifier, "Arn": arn},
        }
        if session.policies or session.tags:
            result["PackedPolicySize"] = str(packed_size(session))
        return result


def _parameters(head: RequestHead, body: bytes) -> Parameters:
    """A call's parameters, which stand in one place."""
    if head.method != "POST" or (head.query and not body):
        return Parameters.of_query(head.query)
    if head.query:
        raise invalid("Parameters stand both in the URL and in the body: expected one of them.")
    if "content-encoding" in head.fields or not is_form(head.get("content-type")):
        raise invalid("The body must be of the type application/x-www-form-urlencoded, in UTF-8.")
    return Parameters.of_form(body)


def _within(session: Session, parent: Session) -> Session:
    """A session that another one opens: as old as that, not longer, and no wider."""
    return replace(
        session,
        issued_at=parent.issued_at,
        expires_at=min(session.expires_at, parent.expires_at),
        roles=(*parent.roles, *session.roles),
        lineage=(*parent.lineage, *session.lineage),
        policies=(*parent.policies, *session.policies),
        claims=parent.claims,
    )


def _assumed(role: Role, session_name: str) -> tuple[str, str]:
    """ARN and unique identifier of a role's session."""
    return f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{session_name}", f"{role.id}:{session_name}"


def _audience(claim: Any) -> str:
    values = claim if isinstance(claim, list | tuple) else (claim,)
    return next((value for value in values if isinstance(value, str)), "")
