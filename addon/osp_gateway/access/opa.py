"""Open Policy Agent as an authorizer: each request is a question to its HTTP API.

`POST url` with `{"input": {...}}` is answered with `{"result": true}`, `{"result": false}`, or `{"result": {"allow":
true, "reason": "...", "ttl": 30, "credentials": "..."}}`; see "Get a Document (with Input)" in OPA's REST API. Whatever
else comes, or nothing, denies.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError

from osp_gateway.access.authorizer import AccessRequest, Decision, cache_key
from osp_gateway.access.policy.actions import needed_actions
from osp_gateway.asking import Ask, Question, ServiceUrl, address_problem
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CircuitBreaker
from osp_gateway.fields import AtLeastZero, Model, Seconds, Secret

log = logging.getLogger(__name__)

CACHE_SIZE: Final = 50_000
DENIED_TTL: Final = 10.0
"""A denial is kept no longer than this many seconds, whatever the answer says."""
MAX_ANSWER_OCTETS: Final = 64 * 1024
MAX_REASON_CHARS: Final = 200


def _address(url: str) -> ServiceUrl:
    problem = address_problem(url)
    if problem is not None:
        raise ValueError(problem)
    return ServiceUrl(url)


class OpaModel(Model):
    """`opa`: where it is asked, the bearer token that it wants, if any; seconds to wait, and to keep a decision."""

    url: Annotated[str, AfterValidator(_address)]
    token: Secret | None = None
    timeout: Seconds = 2.0
    max_ttl: AtLeastZero = 300.0


@dataclass(frozen=True, slots=True)
class Opa:
    """Where OPA is, and how long it may take and be believed, in seconds."""

    url: ServiceUrl
    token: str | None = field(default=None, repr=False)
    timeout: float = 2.0
    max_ttl: float = 300.0


class _Verdict(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True, strict=True)
    allow: StrictBool
    reason: str = ""
    ttl: AtLeastZero = 0.0
    credentials: str = ""


class _Answer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True, strict=True)
    result: Annotated[StrictBool | _Verdict, Field(union_mode="left_to_right")]


class OpaAuthorizer:
    """Asks OPA; one question is in flight for any number of requests that are the same."""

    def __init__(self, opa: Opa, ask: Ask, breaker: CircuitBreaker | None = None) -> None:
        """`ask` is the HTTP client."""
        self._opa = opa
        self._ask = ask
        self._breaker = breaker or CircuitBreaker()
        self._cache: SingleFlightCache[tuple[object, ...], Decision] = SingleFlightCache(CACHE_SIZE)

    async def __call__(self, request: AccessRequest) -> Decision:
        """OPA's decision, kept for as long as it said, under everything that it was shown."""
        key = cache_key(request)
        share = request.ttl > 0
        if share and (known := self._cache.peek(key)) is not None:
            return Decision(known.allowed, known.reason, True, known.ttl, known.credentials)
        return await self._cache.get(key, lambda: self._asked(request), share=share)

    async def _asked(self, request: AccessRequest) -> Entry[Decision]:
        if not self._breaker.closed():
            return Entry(Decision(False, "OPA failed too often in a row and is not asked for a while"), 0)
        try:
            async with asyncio.timeout(self._opa.timeout):
                verdict = await self._verdict(request)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            self._breaker.failed()
            why = "it took too long" if isinstance(error, TimeoutError) else str(error)
            log.warning("OPA gave no decision: %s", why)
            return Entry(Decision(False, f"OPA gave no decision: {why}"), 0)
        self._breaker.worked()
        ttl = min(verdict.ttl, self._opa.max_ttl, request.ttl)
        said = f" ({_shown(verdict.reason)})" if verdict.reason else ""
        if not verdict.allow:
            return Entry(Decision(False, f"denied by OPA{said}"), min(ttl, DENIED_TTL))
        return Entry(Decision(True, f"allowed by OPA{said}", ttl=ttl, credentials=verdict.credentials), ttl)

    async def _verdict(self, request: AccessRequest) -> _Verdict:
        headers = {"Content-Type": "application/json"}
        if self._opa.token is not None:
            headers["Authorization"] = f"Bearer {self._opa.token}"
        body = json.dumps({"input": question(request)}, default=_plain).encode()
        answer = await self._ask(Question(self._opa.url, headers, body, MAX_ANSWER_OCTETS))
        if answer.status != 200:
            raise ValueError(f"the answer has status {answer.status}")
        try:
            result = _Answer.model_validate_json(answer.body).result
        except ValidationError:
            raise ValueError("the answer is none that is expected: no boolean result, and none with allow") from None
        return result if isinstance(result, _Verdict) else _Verdict(allow=result)


def question(request: AccessRequest) -> dict[str, Any]:
    """What OPA sees of a request. `actions` are those of IAM that it needs."""
    identity = request.identity
    return {
        "operation": request.operation,
        "actions": list(needed_actions(request) or ()),
        "bucket": request.bucket,
        "key": request.key,
        "prefix": request.prefix,
        "resource": request.resource,
        "copy_source": request.copy_source,
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "headers": dict(request.headers),
        "source": request.source,
        "tls": request.tls,
        "tls_subject": request.tls_subject,
        "identity": {
            "access_key": identity.access_key,
            "name": identity.name,
            "session_name": identity.session_name,
            "claims": identity.claims,
        },
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError(f"claims hold {type(value).__name__}, expected what JSON has")


def _shown(reason: str) -> str:
    return "".join(c if c.isprintable() else " " for c in reason[:MAX_REASON_CHARS])
