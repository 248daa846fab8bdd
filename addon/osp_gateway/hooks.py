"""The operator's own functions on the way to the backend and back: `before_send` and `after_response`.

They run after authorization and before signing. What a request is about was decided by then, so they cannot change it:
not bucket, key, method or operation, nor what is signed anew, nor how bodies are framed and checked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.backends.rewrite import HOP_BY_HOP, REPLACED
from osp_gateway.callables import CallableRunner, CallTimeout, failure, name_of
from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header
from osp_gateway.sigv4.checksums import CONTENT_MD5, PREFIX, SDK_ALGORITHM, TRAILER
from osp_gateway.sigv4.chunked_codecs import DECODED_LENGTH

log = logging.getLogger(__name__)

OUT_OF_REACH: Final = (
    HOP_BY_HOP
    | REPLACED
    | {"content-encoding", "content-length", CONTENT_MD5, DECODED_LENGTH, SDK_ALGORITHM, TRAILER}
    | {"x-amz-rename-source", "x-amz-mfa"}
)
"""Headers of requests that hooks neither see nor set: what is signed or decided, and how the body is framed."""
FREE_PARAMETERS: Final = re.compile(r"response-[a-z-]+|x-(?!amz-)[A-Za-z0-9._-]+").fullmatch
"""Parameters that hooks may set: all others say what is asked for, which was authorized as it is."""
ANSWER_OUT_OF_REACH: Final = HOP_BY_HOP | {"content-encoding", "content-length", "content-range", "location"}
_NAME: Final = re.compile(r"[a-z0-9!#$&'*.^_`|~-]+").fullmatch
_VALUE: Final = re.compile(r"(?:[\x21-\x7e\xa0-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?)?").fullmatch


@dataclass(slots=True)
class BackendRequest:
    """A request about to be signed and sent.

    `access` is what was authorized, in the client's terms; `host`, `path` and `method` say where it goes. `headers` (by
    lower-case names) and `query` (decoded) may be changed; what is out of reach is not among the headers.
    """

    access: AccessRequest
    method: str
    host: str
    path: str
    query: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)


@dataclass(slots=True)
class BackendResponse:
    """The head of the backend's answer, as the client will see it: `headers` (lower-case names) may be changed."""

    status: int
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """Headers and query after `before_send`; `request` is what `after_response` will be told, None where it is not."""

    headers: list[Header]
    query: tuple[Pair, ...]
    request: BackendRequest | None


class HookFailure(Exception):
    """A hook did something that it must not. The text holds no values."""


class Hooks:
    """Runs them. Without functions nothing happens."""

    def __init__(
        self,
        before_send: Callable[..., Any] | None,
        after_response: Callable[..., Any] | None,
        runner: CallableRunner,
    ) -> None:
        self._before = before_send
        self._after = after_response
        self._runner = runner

    async def before_send(
        self,
        access: AccessRequest,
        method: str,
        host: str,
        path: str,
        query: tuple[Pair, ...],
        headers: list[Header],
    ) -> Changed:
        """Let the operator's function see the request, and take its changes.

        Raises:
            S3Error: AccessDenied (403) where it answers False; InternalError (500) where it fails, takes too long,
                answers anything else but None or True, or changes what is out of reach.
        """
        if self._before is None and self._after is None:
            return Changed(headers, query, None)
        request = BackendRequest(access, method, host, path, _decoded(query), _visible(headers))
        if self._before is not None:
            before = replace(request, query=dict(request.query), headers=dict(request.headers))
            try:
                await self._ask(self._before, request)
                headers = changed_headers(headers, before.headers, request.headers, OUT_OF_REACH)
                query = _changed_query(query, before.query, request.query)
            except HookFailure as error:
                log.error("%s: %s", name_of(self._before), error)  # noqa: TRY400 - the place says nothing
                raise S3Error.internal(f"{name_of(self._before)}: {error}") from error
        told = replace(request, query=_decoded(query), headers=_visible(headers)) if self._after is not None else None
        return Changed(headers, query, told)

    async def _ask(self, function: Callable[..., Any], request: BackendRequest) -> None:
        answer = await self._call(function, request)
        if answer is False:
            raise S3Error.access_denied(reason=f"{name_of(function)} refused the request")
        if answer is not None and answer is not True:
            raise HookFailure(f"expected None, True or False, got {type(answer).__name__}")

    async def after_response(self, request: BackendRequest, status: int, headers: list[Header]) -> list[Header]:
        """Let the operator's function see the head of an answer, and take its changes.

        Raises:
            S3Error: BadGateway (502) where it fails, takes too long, or changes what is out of reach.
        """
        if self._after is None:
            return headers
        before = _visible(headers, ANSWER_OUT_OF_REACH)
        response = BackendResponse(status, dict(before))
        try:
            await self._call(self._after, request, response)
            return changed_headers(headers, before, response.headers, ANSWER_OUT_OF_REACH)
        except HookFailure as error:
            log.error("%s: %s", name_of(self._after), error)  # noqa: TRY400 - the place says nothing
            raise S3Error(
                "BadGateway",
                "The gateway could not process the backend's answer.",
                reason=f"{name_of(self._after)}: {error}",
            ) from error

    async def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        try:
            return await self._runner.call(function, *arguments)
        except CallTimeout as error:
            raise HookFailure("it took too long") from error
        except Exception as error:
            raise HookFailure(f"it raised {failure(error)}") from error


def changed_headers(
    headers: Iterable[Header], before: Mapping[str, str], after: object, out_of_reach: frozenset[str]
) -> list[Header]:
    """The headers with what has changed between `before` and `after`; all others stay as they are written.

    Raises:
        HookFailure: what was set is out of reach, or no header.
    """
    found = _texts("headers", after)
    kept = [(name, value) for name, value in headers if found.get(key := name.lower()) == before.get(key)]
    for name, value in found.items():
        if before.get(name) == value:
            continue
        if name in out_of_reach or name.startswith(PREFIX):
            raise HookFailure(f"the header {name} is not to be set")
        if not _NAME(name) or not _VALUE(value):
            raise HookFailure("a header whose name is not lower-case, or that has other characters than headers have")
        kept.append((name, value))
    return kept


def _changed_query(query: tuple[Pair, ...], before: Mapping[str, str], after: object) -> tuple[Pair, ...]:
    found = _texts("query", after)
    changed = {name for name in {*before, *found} if before.get(name) != found.get(name)}
    if wrong := sorted(name for name in changed if not FREE_PARAMETERS(name)):
        raise HookFailure(f"the query parameter {wrong[0]!r} is not to be changed")
    kept = [pair for pair in query if unquote(pair[0]) not in changed]
    kept += [
        (encoding.encode(name.encode()), encoding.encode(value.encode()))
        for name, value in found.items()
        if name in changed
    ]
    return tuple(kept)


def _texts(what: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise HookFailure(f"{what}: expected a dict of strings")
    return value


def _decoded(query: tuple[Pair, ...]) -> dict[str, str]:
    return {unquote(name): unquote(value) for name, value in query}


def _visible(headers: Iterable[Header], out_of_reach: frozenset[str] = OUT_OF_REACH) -> dict[str, str]:
    visible: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in out_of_reach and not key.startswith(PREFIX):
            visible[key] = f"{visible[key]},{value}" if key in visible else value
    return visible


def refuse_for_forms(changed: Changed) -> None:
    """A form says everything in its fields, which are signed: its head stays without meaning.

    Raises:
        S3Error: InternalError (500) where a hook would give it one.
    """
    if changed.query or any(name.startswith(("x-amz-", "content-", "if-")) for name, _ in changed.headers):
        raise S3Error.internal("before_send: a form's head takes no parameters, and no headers that mean something")
