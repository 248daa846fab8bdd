"""`Gateway.admit`: the one path that every request takes, decided on its head alone.

Eight steps, in this order: parse, identify, name, authorize, route, credentials, rewrite, sign. The gateway
knows nothing of the engine that asks it, and whatever goes wrong on the way is a refusal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from osp_gateway.access.authorizer import AccessRequest, Authorizer, Decision
from osp_gateway.access.cedar import CedarAuthorizer
from osp_gateway.access.compose import kept_decisions, unanimous
from osp_gateway.access.constraints import refuse_excess
from osp_gateway.access.grants import Grants, Wanted
from osp_gateway.access.identity import of_key
from osp_gateway.access.key_buckets import KeyBuckets
from osp_gateway.access.keystore import Keystore
from osp_gateway.access.opa import OpaAuthorizer
from osp_gateway.access.policy import PolicyAuthorizer, SessionPolicies
from osp_gateway.access.presign import PresignUses
from osp_gateway.access.revocation import Revocations
from osp_gateway.access.sts.body import SmallBody
from osp_gateway.access.sts.errors import of_s3
from osp_gateway.access.validator import ValidatorAuthorizer
from osp_gateway.asking import Ask, nobody_to_ask
from osp_gateway.backends.batches import written_plan
from osp_gateway.backends.bodies import BodyPlan, BodyRecipe, BodyRequest, Signer, resolve_mode
from osp_gateway.backends.confined import ConfinedNames
from osp_gateway.backends.credentials import BackendCredentials
from osp_gateway.backends.iam import HttpPost, IamTokens
from osp_gateway.backends.outgoing import Source, outgoing, refuse_beyond
from osp_gateway.backends.prefixes import Confinement, confined_source
from osp_gateway.backends.regions import Regions
from osp_gateway.backends.responses import ResponseNames
from osp_gateway.backends.rewrite import (
    backend_path,
    read_copy_source,
    refuse_path_like,
    write_copy_source,
)
from osp_gateway.backends.routes import (
    ApiKey,
    BucketRoute,
    Credentials,
    Destination,
    Routes,
)
from osp_gateway.backends.sealing import TokenSeal, secrets_of
from osp_gateway.backends.signers import BearerSigner, KeySigner, unsigned
from osp_gateway.callables import CallableRunner
from osp_gateway.case import Case
from osp_gateway.config import Settings
from osp_gateway.explaining import Explainer
from osp_gateway.hooks import Hooks, refuse_for_forms
from osp_gateway.identifying import Identified, Identifier
from osp_gateway.keychain import grants_of, make_bearers, make_keystore
from osp_gateway.outcomes import (
    ALLOWED,
    ASKED,
    DENIED,
    Arrival,
    Batch,
    Forward,
    Outcome,
    PendingAction,
    PendingForm,
    Refusal,
    Reply,
    own_headers,
    refuse,
)
from osp_gateway.questions import (
    ROOT,
    about_batch_key,
    about_copy_source,
    about_form,
    about_listing,
    about_request,
)
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import AddressingStyle, Resource, Scope, locate, object_in
from osp_gateway.s3.batch import MAX_BODY_OCTETS, ObjectName, delete_result, denied_entries, read_delete
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error, new_request_id
from osp_gateway.s3.head import Header
from osp_gateway.s3.operations import COPY_SOURCE, NOT_FORWARDED, POST_OBJECT, Operation, OperationTable, is_form
from osp_gateway.s3.xml import bucket_list
from osp_gateway.session_keys import SessionKeys
from osp_gateway.sharing import SharedCache
from osp_gateway.sigv4.chunk_signing import ChunkChain
from osp_gateway.sigv4.claim_parts import SERVICE
from osp_gateway.sigv4.dates import iso_time
from osp_gateway.sigv4.form_codec import PostForm
from osp_gateway.sigv4.keys import KeyPair, SigningKeys, told
from osp_gateway.sigv4.verify import chunk_chain
from osp_gateway.tallies import CacheTally, Tallies
from osp_gateway.token_service import TokenService, is_call

log = logging.getLogger(__name__)

DELETE_OBJECTS: Final = "DeleteObjects"
KEYS_AT_A_TIME: Final = 32
"""So many keys of a batch are asked about at a time: fewer than there are places for the operator's functions."""
_FORM_HEADERS: Final = ("accept", "origin", "user-agent")
"""Headers of a form's request that go on as they are; everything that means something stands in the form."""


class Gateway:
    """Decides about requests. Safe for any number of concurrent `admit` calls on one event loop."""

    def __init__(
        self,
        settings: Settings,
        post: HttpPost,
        clock: Callable[[], float] = time.time,
        runner: CallableRunner | None = None,
        predecessor: Gateway | None = None,
        shared: SharedCache | None = None,
        tallies: Tallies | None = None,
        ask: Ask = nobody_to_ask,
        grants: Grants | None = None,
    ) -> None:
        """`post` is the HTTP client for IAM, `ask` that for keys; `clock` gives seconds since the epoch.

        `shared` is other gateways' cache.

        `tallies` count what is found in caches and what is fetched.

        `grants` overrule the authorizer, where somebody makes exceptions by hand.

        Of a `predecessor`, whose settings were others, the uses of presigned URLs go on being counted; all that was
        cached is found out anew.
        """
        runner = runner or CallableRunner()
        tallies = tallies or Tallies()
        self._settings = settings
        self._clock = clock
        self._operations = OperationTable.from_botocore()
        self._routes = Routes(settings.routes, settings.default_bucket)
        self._hooks = Hooks(settings.before_send, settings.after_response, runner)
        secrets = secrets_of(settings.cache_secret, settings.routes, settings.backend_credentials.values())
        self._seal: TokenSeal = predecessor._seal if predecessor and not secrets else TokenSeal.of_secrets(secrets)
        self._keystore = make_keystore(settings, runner, ask, shared, tallies.cache("client_secrets"))
        self._signing_keys = SigningKeys()
        bearers = make_bearers(settings.issuers, self._keystore, ask, clock)
        sessions = SessionKeys(settings.sts, Revocations(settings.revoked), clock) if settings.sts else None
        resolvers = [resolver for resolver in (sessions, bearers) if resolver is not None]
        self._identifier = Identifier(settings, self._keystore, self._signing_keys, clock, resolvers, bearers)
        self._tokens: TokenService | None = None
        if sessions is not None:
            name = settings.server_name
            self._tokens = TokenService(sessions, self._identifier, self._signing_keys, clock, name, bearers)
        self._explainer = Explainer(settings, self._keystore, clock)
        self._authorizer = _authorizer(settings, runner, shared, clock, ask, tallies.cache("decisions"), self._keystore)
        self._presign_uses: PresignUses = predecessor._presign_uses if predecessor else PresignUses(None)
        self._presign_uses.limit, self._presign_uses.shared = settings.max_presign_uses, shared
        self._credentials = BackendCredentials(settings.bucket_creds_fetcher, runner, clock, shared, tallies)
        self._iam = IamTokens(post, settings.iam_url, tallies=tallies)
        self._regions = Regions()
        self._started_at = clock()
        self._grants = grants

    @property
    def kept(self) -> dict[str, int]:
        """How much is remembered, by kind."""
        return {
            "decisions of authorizers": kept_decisions(self._authorizer),
            "secrets of clients": self._keystore.kept,
            "backend credentials": self._credentials.kept,
            "IAM tokens": self._iam.kept,
        }

    def listed_key(self, access_key: str) -> KeyPair | None:
        """A client's key pair, where the configuration lists it."""
        return self._settings.keystore.get(access_key)

    async def admit(self, arrival: Arrival) -> Outcome:
        """Decide about a request by its head. Never raises: an error is a refusal."""
        case = Case(arrival, new_request_id(), time.perf_counter_ns())
        try:
            return await self._decide(case)
        except S3Error as error:
            return self.refusal(case, await self._explained(case, error))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in our code is a refusal
            return self.refusal(case, _our_failure(case.request_id, error))

    async def _explained(self, case: Case, error: S3Error) -> S3Error:
        """The error, with what could be found out about it."""
        try:
            explanation = await self._explainer.explanation(error, case.arrival)
        except Exception:
            log.exception("request %s: its refusal could not be explained", case.request_id)
            return error
        if explanation is None:
            return error
        case.explanation = explanation
        return self._explainer.describe(error, explanation)

    def refusal(self, case: Case, error: S3Error) -> Refusal:
        """The refusal of a case."""
        return refuse(case.verdict(False, error.reason), error, case.arrival.head, self._settings.server_name)

    async def _decide(self, case: Case) -> Outcome:
        head = case.arrival.head
        head.refuse_ambiguity()
        resource, query = self._parse(case)
        if head.method == "POST" and resource.scope is Scope.BUCKET and not query and is_form(head.fields):
            case.operation = POST_OBJECT
            form = PostForm.of_head(head)
            return PendingForm(case.verdict(False, "its fields are not known yet"), case.arrival, resource, form)
        if self._tokens is not None and is_call(head, resource, query):
            return PendingAction(case.verdict(False, "its body is not known yet"), case.arrival, SmallBody())
        identified = await self._identifier.identify(case, resource, query)
        operation = self._name(case, resource, identified)
        if operation.name == "ListBuckets" and self._routes.catch_all is None:
            return await self._list_buckets(case, identified)
        bucket = resource.bucket or ROOT
        route = (self._routes.catch_all if not resource.bucket else None) or self._routes.find(bucket)
        request = about_request(
            case.arrival,
            identified.identity,
            resource,
            operation.name,
            identified.query,
            identified.hoisted,
            route.ttl,
        )
        decision = await self._authorize(case, request)
        refuse_excess(decision.constraints, head, identified.payload_hash)
        refuse_beyond(route, operation.name, reads=operation.reads)
        source = await self._copy_source(case, identified, operation, route)
        read = source.destination if source else None
        await self._count_presigned_use(identified)
        destination = self._regions.place(
            self._routes.destination(route, resource.bucket, case.arrival.default_endpoint)
        )
        case.upstream = f"{destination.authority} ({destination.bucket or '/'})"
        credentials = await self._backend_credentials(route, identified, bucket, decision)
        confinement = self._confinement(destination)
        sent = outgoing(
            head,
            resource,
            operation.name,
            identified.query,
            identified.hoisted,
            source,
            destination,
            confinement,
        )
        path, authority = sent.path, destination.authority
        changed = await self._hooks.before_send(request, head.method, authority, path, sent.query, sent.headers)
        signer = await self._signer(head.method, path, changed.query, destination, credentials)
        batch = None
        if operation.name == DELETE_OBJECTS:
            batch = Batch(head, request, destination.style, confinement)
        recipe = BodyRecipe(
            BodyRequest(
                identified.payload_hash,
                head.fields,
                operation.name,
                partial(self._client_chain, identified),
                hold=MAX_BODY_OCTETS if batch else None,
                limits=self._settings.limits,
            ),
            changed.headers,
            resolve_mode(route.payload, destination.endpoint, credentials, asymmetric=destination.asymmetric),
            signer,
        )
        plan = recipe.plan()
        return Forward(
            verdict=case.verdict(True, case.reason),
            destination=destination,
            method=head.method,
            target=path + ("?" + encoding.join_query(changed.query) if changed.query else ""),
            plan=plan,
            operation=operation.name,
            names=self._response_names(case.arrival, resource, destination, identified.query, read),
            batch=batch,
            recipe=recipe,
            told=changed.request,
        )

    async def admit_form(self, pending: PendingForm) -> Forward | Refusal:
        """The second step for a POST form, to be asked once its fields are complete. Never raises."""
        case = Case(pending.arrival, pending.verdict.request_id, time.perf_counter_ns())
        case.operation, case.bucket = POST_OBJECT, pending.resource.bucket
        try:
            return await self._decide_form(case, pending)
        except S3Error as error:
            return self.refusal(case, error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in our code is a refusal
            return self.refusal(case, _our_failure(case.request_id, error))

    async def _decide_form(self, case: Case, pending: PendingForm) -> Forward:
        bucket, form = pending.resource.bucket, pending.form
        now = self._clock() + case.arrival.skew
        claim = form.claim(now)
        identity = of_key(claim.access_key)
        case.who = f"{told(claim.access_key)} (unverified)"
        if not self._settings.skip_signature_validation:
            known = await self._identifier.known(claim.access_key, claim.session_token)
            identity = known.identity
            upload = known.check(lambda secret: form.verify(secret, bucket, now, self._signing_keys))
            case.who = identity.shown
        else:
            upload = form.verify(None, bucket, now, self._signing_keys)
        case.key = upload.key
        refuse_path_like(upload.key, AddressingStyle.PATH)  # whatever the style: the key is no part of the URL
        target = object_in(pending.resource, upload.key)
        route = self._routes.find(bucket)
        request = about_form(case.arrival, identity, target, upload.headers, route.ttl)
        decision = await self._authorize(case, request)
        refuse_excess(decision.constraints, case.arrival.head)
        refuse_beyond(route, POST_OBJECT, reads=False)
        destination = self._regions.place(self._routes.destination(route, bucket, case.arrival.default_endpoint))
        case.upstream = f"{destination.authority} ({destination.bucket})"
        if decision.credentials:
            pair = await self._selected(decision.credentials)
        else:
            pair = await self._credentials.get(route, identity.access_key, route.configured(bucket))
        if not isinstance(pair, KeyPair) or destination.asymmetric or destination.service != SERVICE:
            raise S3Error("NotImplemented", "POST forms need an HMAC key for a bucket of S3: nothing else signs them.")
        head = case.arrival.head
        confinement = self._confinement(destination)
        if confinement is not None:
            upload = replace(upload, key=confinement.key(upload.key), pairs=confinement.fields(upload.pairs))
        kept: list[Header] = [(name, head.get(name) or "") for name in _FORM_HEADERS if name in head.fields]
        path = backend_path(pending.resource, destination)
        changed = await self._hooks.before_send(request, "POST", destination.authority, path, (), kept)
        refuse_for_forms(changed)
        written, codec = form.forward(
            pair, destination.region, destination.bucket, self._clock(), self._signing_keys, upload=upload
        )
        headers = (("host", destination.authority), *changed.headers, *written)
        return Forward(
            verdict=case.verdict(True, case.reason),
            destination=destination,
            method="POST",
            target=path,
            plan=BodyPlan(codec, lambda: headers, measured=True),
            operation=POST_OBJECT,
            names=self._response_names(case.arrival, target, destination),
            told=changed.request,
        )

    async def admit_action(self, pending: PendingAction) -> Reply | Refusal:
        """The second step for a call of the token service, to be asked once its body is complete. Never raises."""
        case = Case(pending.arrival, pending.verdict.request_id, time.perf_counter_ns())
        try:
            assert self._tokens is not None
            return await self._tokens.answer(case, pending)
        except S3Error as error:
            return self.refusal(case, error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in our code is a refusal
            return self.refusal(case, of_s3(_our_failure(case.request_id, error)))

    async def after_response(self, forward: Forward, status: int, headers: list[Header]) -> list[Header]:
        """What the operator makes of the head of the backend's answer; see `Hooks.after_response`."""
        if forward.told is None:
            return headers
        return await self._hooks.after_response(forward.told, status, headers)

    def learn_region(self, destination: Destination, region: str) -> Destination | None:
        """Take what a backend said about the region of a bucket; see `Regions.learn`."""
        return self._regions.learn(destination, region)

    async def client_key(self, access_key: str) -> KeyPair:
        """The key pair of a client, to send its requests again.

        Raises:
            S3Error: InvalidAccessKeyId where it is not known.
        """
        token = self._settings.keystore[access_key].session_token if access_key in self._settings.keystore else None
        return KeyPair(access_key, await self._keystore.secret(access_key, token), token)

    async def judge_batch(self, forward: Forward, body: bytes) -> Forward | Reply | Refusal:
        """Decide about the keys of a batch by its body: those that are denied are left out. Never raises."""
        assert forward.batch is not None
        head = forward.batch.head
        try:
            return await self._decide_batch(forward, forward.batch, body)
        except S3Error as error:
            return refuse(forward.verdict, error, head, self._settings.server_name)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in our code is a refusal
            failure = _our_failure(forward.verdict.request_id, error)
            return refuse(forward.verdict, failure, head, self._settings.server_name)

    async def _decide_batch(self, forward: Forward, batch: Batch, body: bytes) -> Forward | Reply:
        asked = read_delete(body)
        denied = await self._denied_keys(batch, asked.objects)
        if not denied and batch.confinement is None:
            return forward
        allowed = tuple(name for name in asked.objects if name not in denied)
        verdict = forward.verdict
        if denied:
            some = f"{len(denied)} of {len(asked.objects)} keys denied, {next(iter(denied.items()))[1]}"
            verdict = replace(verdict, allowed=bool(allowed), reason=f"{verdict.reason}; {some}")
        entries = denied_entries(name for name in asked.objects if name in denied)
        if not allowed:
            answer = delete_result(entries)
            return Reply(verdict, 200, own_headers(self._settings.server_name, verdict.request_id, len(answer)), answer)
        assert forward.recipe is not None
        if batch.confinement is not None:
            allowed = batch.confinement.names(allowed)
        plan = written_plan(forward.recipe, replace(asked, objects=allowed).document())
        return replace(forward, verdict=verdict, plan=plan, recipe=None, entries=entries)

    async def _denied_keys(self, batch: Batch, objects: tuple[ObjectName, ...]) -> Mapping[ObjectName, str]:
        """Which objects may not be deleted, and why: each is judged as the DeleteObject that it would be alone."""
        denied: dict[ObjectName, str] = {}
        for name in objects:
            refuse_path_like(name.key, batch.style)
        for start in range(0, len(objects), KEYS_AT_A_TIME):
            group = objects[start : start + KEYS_AT_A_TIME]
            decisions = await asyncio.gather(*(self._authorizer(about_batch_key(batch.request, n)) for n in group))
            for name, decision in zip(group, decisions, strict=True):
                if not decision.allowed:
                    denied[name] = f"{name.key!r}: {decision.reason}"
        return denied

    # 1 parse

    def _parse(self, case: Case) -> tuple[Resource, tuple[Pair, ...]]:
        head = case.arrival.head
        host = head.get("host")
        if not host:
            raise S3Error.invalid_request("Missing required header for this request: host")
        resource = locate(head.path, host, self._settings.domains)
        case.bucket, case.key = resource.bucket, resource.key
        try:
            return resource, encoding.parse_query(head.query)
        except ValueError as error:
            raise S3Error("InvalidURI", "Couldn't parse the specified URI: invalid percent-encoding.") from error

    # 3 name it

    def _name(self, case: Case, resource: Resource, identified: Identified) -> Operation:
        head = case.arrival.head
        fields: Mapping[str, list[str]] = head.fields
        if identified.hoisted:
            fields = {**head.fields, **{name: [value] for name, value in identified.hoisted.items()}}
        operation = self._operations.name(head.method, resource, identified.query, fields)
        case.operation = operation.name
        if operation.name in NOT_FORWARDED:
            raise S3Error("NotImplemented", f"{operation.name} is not forwarded: {NOT_FORWARDED[operation.name]}.")
        if operation.name == POST_OBJECT:
            raise S3Error("InvalidArgument", "A POST form takes no query parameters.")
        return operation

    # 4 authorize

    async def _authorize(self, case: Case, request: AccessRequest) -> Decision:
        case.authorizer = ASKED
        decision = await self._authorizer(request)
        if not decision.allowed and self._grants is not None:
            decision = self._overruled(case, request, decision)
        case.cached, case.reason = decision.cached, decision.reason
        if (request.operation, request.bucket, request.key) == (case.operation, case.bucket, case.key):
            case.authorizer = ALLOWED if decision.allowed else DENIED
        if not decision.allowed:
            raise S3Error.access_denied(reason=decision.reason)
        return decision

    def _overruled(self, case: Case, request: AccessRequest, denied: Decision) -> Decision:
        """The denial, or an exception that somebody has made by hand."""
        assert self._grants is not None
        if not self._grants.take(Wanted(case.who, request.operation, request.bucket, request.key)):
            return denied
        return Decision(True, f"ALLOWED ONCE by osp.allow.once, else: {denied.reason}")

    async def _copy_source(
        self, case: Case, identified: Identified, operation: Operation, target: BucketRoute
    ) -> Source | None:
        """The rewritten copy source, authorized as a read of its own."""
        if not operation.copies:
            return None
        written = identified.hoisted.get(COPY_SOURCE) or case.arrival.head.get(COPY_SOURCE)
        if not written:
            raise S3Error("InvalidArgument", f"{COPY_SOURCE} is empty.")
        source = read_copy_source(written)
        route = self._routes.find(source.bucket)
        target_decision = case.cached, case.reason
        await self._authorize(case, about_copy_source(case.arrival, identified.identity, source, route.ttl))
        case.cached, case.reason = case.cached and target_decision[0], target_decision[1]
        default = case.arrival.default_endpoint
        destination = self._routes.destination(route, source.bucket, default)
        if destination.endpoint != self._routes.destination(target, case.bucket, default).endpoint:
            raise S3Error("NotImplemented", "The copy source is on another backend than the target.")
        return Source(write_copy_source(confined_source(source, destination.prefix), destination), destination)

    async def _list_buckets(self, case: Case, identified: Identified) -> Reply:
        """The configured buckets that this caller may list."""
        allowed = []
        for name in self._routes.names:
            request = about_listing(case.arrival, identified.identity, name, self._routes.find(name).ttl)
            case.authorizer = ASKED
            decision = await self._authorizer(request)
            if decision.allowed:
                allowed.append(name)
        await self._count_presigned_use(identified)
        case.upstream = "answered here"
        verdict = case.verdict(True, f"allowed to see {len(allowed)} of {len(self._routes.names)} buckets")
        body = bucket_list(allowed, identified.token, iso_time(self._started_at))
        headers = own_headers(self._settings.server_name, verdict.request_id, len(body))
        return Reply(verdict, 200, headers, body)

    async def _count_presigned_use(self, identified: Identified) -> None:
        if identified.presigned is not None:
            await self._presign_uses.count(*identified.presigned, self._clock())

    # 6 credentials, 8 sign

    async def _backend_credentials(
        self, route: BucketRoute, identified: Identified, bucket: str, decision: Decision
    ) -> Credentials | None:
        """None for an anonymous request, which stays one."""
        if identified.anonymous:
            return None
        if decision.credentials:
            return await self._selected(decision.credentials)
        return await self._credentials.get(route, identified.token, route.configured(bucket))

    def _confinement(self, destination: Destination) -> Confinement | None:
        """There where the client's bucket is a part of the backend's."""
        if not destination.prefix:
            return None
        return Confinement(destination.prefix, destination.client_bucket, self._seal)

    def _response_names(
        self,
        arrival: Arrival,
        resource: Resource,
        destination: Destination,
        query: tuple[Pair, ...] = (),
        read: Destination | None = None,
    ) -> ResponseNames:
        """How names in the answer are mapped; `read` is what a copy reads, of which errors may speak."""
        listed = resource.scope is Scope.BUCKET and resource.style is AddressingStyle.PATH
        names = ResponseNames(
            backend_bucket=destination.bucket,
            client_bucket=resource.bucket,
            scheme="https" if arrival.tls else "http",
            host=arrival.head.get("host") or "",
            path=f"/{resource.bucket}" if listed else resource.canonical_path,
        )
        part = destination if destination.prefix or read is None else read
        confinement = self._confinement(part)
        if confinement is None:
            return names
        encoded = ("encoding-type", "url") in query
        return replace(names, confined=ConfinedNames(confinement, part.bucket, names.path, names.location, encoded))

    async def _selected(self, name: str) -> Credentials:
        """The credentials that an authorizer chose.

        Raises:
            S3Error: ServiceUnavailable (503) where there are none of that name: the bucket's own are not meant.
        """
        chosen = self._settings.backend_credentials.get(name)
        if chosen is None:
            raise S3Error.unavailable(
                "The gateway could not obtain credentials for the backend.",
                reason=f"the authorizer chose credentials {name!r}, which backend_credentials does not have",
            )
        return await self._credentials.resolved(chosen)

    async def _signer(
        self,
        method: str,
        path: str,
        query: tuple[Pair, ...],
        destination: Destination,
        credentials: Credentials | None,
    ) -> Signer:
        if credentials is None:
            return unsigned
        if isinstance(credentials, ApiKey):
            if not destination.endpoint.tls:
                raise S3Error.unavailable(
                    "The gateway could not obtain credentials for the backend.",
                    reason="an IAM token would cross the network in the clear: the backend needs TLS",
                )
            return BearerSigner(await self._iam.token(credentials.value))
        return KeySigner(
            method,
            path,
            query,
            credentials,
            destination.region,
            self._clock,
            self._signing_keys,
            destination.service,
            destination.asymmetric,
        )

    def _client_chain(self, identified: Identified, kind: str) -> ChunkChain:
        """The chain of the client's chunk signatures."""
        if identified.claim is None or identified.secret is None:
            raise S3Error.invalid_request("Signed chunks need a verified signature in the Authorization header.")
        return chunk_chain(identified.claim, kind, identified.secret, self._signing_keys)


def _our_failure(request_id: str, error: Exception) -> S3Error:
    """Something that is nobody's fault but ours: a trace for the operator, a plain InternalError for the client."""
    log.error("request %s: the gateway failed", request_id, exc_info=error)
    return S3Error.internal(f"{type(error).__name__} in the gateway")


def _authorizer(
    settings: Settings,
    runner: CallableRunner,
    shared: SharedCache | None,
    clock: Callable[[], float],
    ask: Ask,
    tally: CacheTally,
    keystore: Keystore,
) -> Authorizer:
    parts: list[Authorizer] = []
    grants = grants_of(settings.issuers)
    others = settings.validator is not None or settings.authorizer is not None or grants is not None
    others = others or bool(settings.policies or settings.opa or settings.cedar)
    if settings.key_buckets or settings.key_sources.file is not None or not others:
        parts.append(KeyBuckets(settings.key_buckets, others=others, elsewhere=keystore.buckets_of))
    if grants is not None:
        parts.append(grants)
    if settings.validator is not None:
        parts.append(
            ValidatorAuthorizer(
                settings.validator, settings.validator_takes_request, runner, shared=shared, tally=tally
            )
        )
    if settings.authorizer is not None:
        parts.append(ValidatorAuthorizer(settings.authorizer, False, runner, alone=True, shared=shared, tally=tally))
    if settings.policies:
        parts.append(PolicyAuthorizer(settings.policies, clock))
    if settings.cedar is not None:
        parts.append(CedarAuthorizer(settings.cedar))
    if settings.opa is not None:
        parts.append(OpaAuthorizer(settings.opa, ask))
    composed = parts[0] if len(parts) == 1 else unanimous(*parts)
    return SessionPolicies(composed, clock)
