"""Names for requests: `GetObject`, `UploadPart`, `DeleteObjects` ..., from botocore's own model of S3.

The model says of each operation which method it has, whether it is about the root, a bucket or an object, and
which query parameters tell it apart (`?acl`, `uploadId`). A request is the operation with the most of them
present. Parameters that would make it a *different* operation for a store are refused: a request must not be
one thing to the authorizer and another to the store.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.loaders import Loader

from osp_gateway.s3.address import Resource, Scope
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error

COPY_SOURCE: Final = "x-amz-copy-source"
POST_OBJECT: Final = "PostObject"
PREFLIGHT: Final = "PreflightRequest"

NOT_FORWARDED: Final[Mapping[str, str]] = {
    "CreateSession": "it would hand the backend's own credentials to the client",
    "ListDirectoryBuckets": "directory buckets are not supported",
    "RenameObject": "directory buckets are not supported",
    "WriteGetObjectResponse": "it belongs to S3 Object Lambda",
}
"""Operations that no authorizer can allow, each with its reason."""

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_READS_BY_POST: Final = frozenset({"SelectObjectContent"})
_AMBIGUOUS: Final = {"ListDirectoryBuckets"}
_SAFE_UNKNOWN: Final = frozenset({"allow-unordered", "encoding-type", "fetch-owner"})
"""Parameters of listings that stores take beyond the model; `x-...` is for clients' own use."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of S3's model and what tells it apart.

    `literals` are the query parameters written in its URI, `required` those that its input demands; `accepted`
    are all the query parameters that it takes. Names are percent-encoded as in a canonical query.
    """

    name: str
    method: str
    scope: Scope
    literals: frozenset[Pair]
    required: frozenset[str]
    accepted: frozenset[str]
    copies: bool

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, neither objects nor settings."""
        if self.name in _READS_BY_POST:
            return True
        return self.method in _SAFE_METHODS and self.name not in NOT_FORWARDED

    @property
    def weight(self) -> int:
        """How many distinguishing marks it has: more win over fewer."""
        return len(self.literals) + len(self.required) + self.copies

    def fits(self, query: Mapping[str, str], copies: bool) -> bool:
        """Whether all its marks are present."""
        return (
            all(name in query and (not value or query[name] == value) for name, value in self.literals)
            and self.required <= query.keys()
            and self.copies <= copies
        )


class OperationTable:
    """Finds the operation that a request is."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        ordered = sorted(operations, key=lambda operation: -operation.weight)
        self._table: dict[tuple[str, Scope], list[Operation]] = {}
        for operation in ordered:
            self._table.setdefault((operation.method, operation.scope), []).append(operation)
        self._marks = frozenset(name for o in ordered for name in (*(mark for mark, _ in o.literals), *o.required))
        self.operations = tuple(ordered)
        self._plain = {(o.method, o.scope): o for o in ordered if o.weight == 0}

    @classmethod
    @functools.cache
    def from_botocore(cls) -> OperationTable:
        """The table of all operations in botocore's S3 model: the same one for all, it is only read."""
        model = Loader().load_service_model("s3", "service-2")
        return cls(_read_model(model))

    def name(
        self, method: str, resource: Resource, query: tuple[Pair, ...], headers: Mapping[str, list[str]]
    ) -> Operation:
        """The operation of a request.

        Args:
            method: the HTTP method as received (S3's are upper case).
            resource: what the request is about.
            query: canonically encoded pairs without authentication parameters.
            headers: values by lower-case name.

        Raises:
            S3Error: InvalidArgument for parameters given twice or belonging to another operation,
                MethodNotAllowed where S3 has no such operation, NotImplemented for parameters that look like
                an operation that is not known here.
        """
        values = dict(query)
        if len(values) != len(query):
            raise S3Error("InvalidArgument", "A query parameter was given more than once.")
        copies = COPY_SOURCE in headers
        operation = self._find(method, resource.scope, values, copies)
        if operation is not None:
            self._refuse_foreign_marks(operation, values, copies)
            return operation
        if method == "OPTIONS" and _is_preflight(headers):
            return _PREFLIGHT
        if method == "POST" and resource.scope is Scope.BUCKET and is_form(headers):
            return _POST_FORM
        raise S3Error(
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
            headers=[("allow", ", ".join(sorted({m for m, scope in self._table if scope is resource.scope})))],
        )

    def _find(self, method: str, scope: Scope, query: Mapping[str, str], copies: bool) -> Operation | None:
        # Most requests carry no mark at all: 0.4 us for them, against 9 us to try every operation.
        if not copies and self._marks.isdisjoint(query):
            return self._plain.get((method, scope))
        candidates = self._table.get((method, scope), ())
        return next((operation for operation in candidates if operation.fits(query, copies)), None)

    def _refuse_foreign_marks(self, operation: Operation, query: Mapping[str, str], copies: bool) -> None:
        if copies and not operation.copies:
            raise S3Error("InvalidArgument", f"{operation.name} does not take the header {COPY_SOURCE}.")
        for name, value in query.items():
            if name in operation.required and not value:
                raise S3Error("InvalidArgument", f"The query parameter {name} must not be empty.")
            if name in operation.accepted:
                continue
            if name in self._marks:
                raise S3Error(
                    "InvalidArgument", f"Conflicting query string parameters: {name} is not part of {operation.name}."
                )
            if name not in _SAFE_UNKNOWN and not name.lower().startswith("x-"):
                raise S3Error("NotImplemented", f"The query parameter {name} is not known to this gateway.")


_POST_FORM: Final = Operation(POST_OBJECT, "POST", Scope.BUCKET, frozenset(), frozenset(), frozenset(), copies=False)


_PREFLIGHT: Final = Operation(PREFLIGHT, "OPTIONS", Scope.BUCKET, frozenset(), frozenset(), frozenset(), copies=False)


def _is_preflight(headers: Mapping[str, list[str]]) -> bool:
    """See "CORS-preflight request" in the Fetch standard."""
    return "origin" in headers and "access-control-request-method" in headers


def is_form(headers: Mapping[str, list[str]]) -> bool:
    """Whether the body is a form, by its Content-Type."""
    return any(v.lower().startswith("multipart/form-data") for v in headers.get("content-type", ()))


def _read_model(model: Mapping[str, Any]) -> list[Operation]:
    """Every operation of the model; of two with the same marks, the one that is not deprecated."""
    found: dict[tuple[object, ...], Operation] = {}
    for name, description in model["operations"].items():
        operation = _read_operation(name, description, model["shapes"])
        if operation is None or (description.get("deprecated") or name in _AMBIGUOUS):
            continue
        found[operation.method, operation.scope, operation.literals, operation.required, operation.copies] = operation
    return list(found.values())


def _read_operation(name: str, description: Mapping[str, Any], shapes: Mapping[str, Any]) -> Operation | None:
    path, _, query = description["http"]["requestUri"].partition("?")
    scope = _SCOPES.get(path)
    if scope is None:  # WriteGetObjectResponse: its path is no bucket, and no bucket has such a name
        return None
    shape = shapes[description["input"]["shape"]] if "input" in description else {}
    members = shape.get("members", {})
    needed = set(shape.get("required", ()))
    in_query = {m["locationName"]: key for key, m in members.items() if m.get("location") == "querystring"}
    literals = frozenset((n, v) for n, _, v in (piece.partition("=") for piece in query.split("&")) if n)
    return Operation(
        name=name,
        method=description["http"]["method"],
        scope=scope,
        literals=literals,
        required=frozenset(n for n, key in in_query.items() if key in needed),
        accepted=frozenset(in_query) | {n for n, _ in literals},
        copies=any(members[key].get("locationName") == COPY_SOURCE for key in needed if key in members),
    )


_SCOPES: Final = {"/": Scope.ROOT, "/{Bucket}": Scope.BUCKET, "/{Bucket}/{Key+}": Scope.OBJECT}
