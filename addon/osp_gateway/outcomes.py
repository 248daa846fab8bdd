"""What comes in and what can come out: a request's arrival, and the gateway's outcomes for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.access.sts.body import SmallBody
from osp_gateway.backends.bodies import BodyPlan, BodyRecipe
from osp_gateway.backends.prefixes import Confinement
from osp_gateway.backends.responses import ResponseNames
from osp_gateway.backends.routes import Destination, Endpoint
from osp_gateway.hooks import BackendRequest
from osp_gateway.s3.address import AddressingStyle, Resource
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.explain import Explanation
from osp_gateway.sigv4.form_codec import PostForm
from osp_gateway.sigv4.payload import BodyCodec

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENT: Final = SAFE | {"PUT", "DELETE"}
CONDITIONS: Final = frozenset({"if-match", "if-none-match"})
NOT_ASKED: Final = "not asked"
ASKED: Final = "asked"
"""About other things than the request itself, such as a copy's source, or without an answer."""
ALLOWED: Final = "allowed"
DENIED: Final = "denied"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request's head and what is known of the connection that it came on.

    `source` is the client's address; `default_endpoint` the listener's reverse target, if it has one; `port` the
    listener's own; `tls_subject` whom the client's certificate stands for (RFC 4514), where one was given. `skew` are
    seconds by which the gateway's clock is to be wrong for this request: a fault that somebody makes on purpose.
    """

    head: RequestHead
    source: str
    tls: bool
    default_endpoint: Endpoint | None = None
    port: int | None = None
    tls_subject: str | None = None
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided, for people: no secrets in it.

    `micros` is the time that the gateway itself took, in microseconds. `explanation` tells at length why a signature
    was refused, where that was found out. `tls_subject` is that of the `Arrival`. `authorizer` tells whether one was
    asked about this request, and what it said: a request that it allowed may be refused for something else.
    """

    request_id: str
    who: str
    operation: str
    bucket: str
    key: str
    allowed: bool
    reason: str
    cached: bool
    upstream: str
    micros: int
    explanation: Explanation | None = field(default=None, repr=False)
    tls_subject: str | None = None
    authorizer: str = NOT_ASKED


@dataclass(frozen=True, slots=True)
class Batch:
    """What is needed to decide about the keys in a DeleteObjects body, once it is there."""

    head: RequestHead
    request: AccessRequest
    style: AddressingStyle
    confinement: Confinement | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """Send this on: `method` and `target` (path and query) to `destination`, the body through the plan's codec.

    Where there is a `batch`, the body comes out of its codec whole, and `Gateway.judge_batch` must be asked about it
    before anything is sent.
    """

    verdict: Verdict
    destination: Destination
    method: str
    target: str
    plan: BodyPlan = field(repr=False)
    operation: str
    names: ResponseNames
    batch: Batch | None = None
    recipe: BodyRecipe | None = field(default=None, repr=False)
    """Where there is none, as for forms, the request cannot be made again."""
    entries: str = field(default="", repr=False)
    """Elements that the answer to a batch is to have besides the store's own."""
    told: BackendRequest | None = field(default=None, repr=False)
    """What the operator's `after_response` is told of the request, where there is one."""

    @property
    def body(self) -> BodyCodec:
        """What stands between the client's body and the store's."""
        return self.plan.codec

    @property
    def headers(self) -> tuple[Header, ...]:
        """The signed headers, made anew at each call; see `BodyPlan.compose` for when."""
        return self.plan.compose()

    @property
    def repeatable(self) -> bool:
        """Whether a request that may or may not have been processed can be sent again: RFC 9110, section 9.2.2.

        A conditional write that was done once would fail the second time.
        """
        if self.recipe is None or self.method not in IDEMPOTENT:
            return False
        return self.method in SAFE or not any(name in CONDITIONS for name, _ in self.recipe.headers)

    def again(self, destination: Destination | None = None) -> Forward:
        """The same request with a codec at its start and a signature of its own, for another place if one is given.

        Only where there is a recipe.
        """
        assert self.recipe is not None
        if destination is None:
            return replace(self, plan=self.recipe.plan())
        recipe = self.recipe.moved(destination)
        return replace(self, destination=destination, recipe=recipe, plan=recipe.plan())


@dataclass(frozen=True, slots=True)
class Reply:
    """The gateway's own answer. `shown` is what people may see of its body, where that is not all of it."""

    verdict: Verdict
    status: int
    headers: tuple[Header, ...]
    body: bytes = field(repr=False)
    shown: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An S3 error for the client."""

    verdict: Verdict
    error: S3Error
    headers: tuple[Header, ...]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PendingForm:
    """A POST form: who it is from and what it is about stands in its first octets.

    They go to `form.feed`; as soon as that finds the fields complete, `Gateway.admit_form` is to be asked.
    """

    verdict: Verdict
    arrival: Arrival
    resource: Resource
    form: PostForm = field(repr=False)


@dataclass(frozen=True, slots=True)
class PendingAction:
    """A call of the token service, whose parameters and signature are known with its body.

    That goes to `body.feed`; once it is complete, or too long, `Gateway.admit_action` is to be asked.
    """

    verdict: Verdict
    arrival: Arrival
    body: SmallBody = field(repr=False)


Outcome = Forward | Reply | Refusal | PendingForm | PendingAction


def refuse(verdict: Verdict, error: S3Error, head: RequestHead, server_name: str) -> Refusal:
    """A refusal with its headers and, except for HEAD, its document."""
    body = b""
    if head.method != "HEAD":
        body = error.document(unquote(head.path), verdict.request_id)
    return Refusal(
        replace(verdict, allowed=False, reason=error.reason),
        error,
        (*own_headers(server_name, verdict.request_id, len(body)), *error.headers),
        body,
    )


def own_headers(server_name: str, request_id: str, length: int) -> tuple[Header, ...]:
    """The headers of an XML document of `length` octets that the gateway itself sends."""
    return (
        ("content-type", "application/xml"),
        ("content-length", str(length)),
        ("date", formatdate(usegmt=True)),
        ("server", server_name),
        ("x-amz-request-id", request_id),
    )
