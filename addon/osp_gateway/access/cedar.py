"""Cedar policies as an authorizer (extra `cedar`).

A caller is `User::"name"` (`Anonymous::"anonymous"` for unsigned requests), an action `Action::"s3:GetObject"`, what a
request is about `Object::"bucket/key"`, whose parent is `Bucket::"bucket"`, or that bucket. An operation that needs
several actions is allowed only if all are. See "Authorization" in Cedar's policy language reference.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from osp_gateway.access.authorizer import AccessRequest, Decision
from osp_gateway.access.policy.actions import ABOUT_THE_BUCKET, BATCH, needed_actions
from osp_gateway.fields import Model

log = logging.getLogger(__name__)

MAX_FILE_OCTETS: Final = 16 * 1024 * 1024
MAX_PROBLEMS: Final = 10
_INTEGERS: Final = range(-(2**63), 2**63)


class CedarModel(Model):
    """`cedar`: files with policies, and where need be a schema and entities (JSON)."""

    policies: Path
    schema_path: Path | None = None
    entities: Path | None = None


@dataclass(frozen=True, slots=True)
class Cedar:
    """Policies and schema, parsed by `cedarpy`; entities as its JSON has them."""

    policies: Any = field(repr=False)
    schema: Any = field(default=None, repr=False)
    entities: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def read_cedar(model: CedarModel) -> tuple[Cedar | None, list[str]]:
    """What the files hold, and a line for each mistake."""
    if find_spec("cedarpy") is None:
        return None, ["cedar: the library is missing: expected the extra `cedar` to be installed"]
    cedarpy = import_module("cedarpy")
    try:
        text = _text(model.policies, "policies")
        policies = _parsed("policies", cedarpy.PolicySet.from_str, text)
        schema = None
        if model.schema_path is not None:
            schema_text = _text(model.schema_path, "schema_path")
            schema = _parsed("schema_path", cedarpy.Schema.from_str, schema_text)
            found = cedarpy.validate_policies(text, schema)
            if not found.validation_passed:
                return None, [f"cedar.policies: {_line(error)}" for error in found.errors[:MAX_PROBLEMS]]
        entities: Any = []
        if model.entities is not None:
            written = _text(model.entities, "entities")
            _parsed("entities", cedarpy.Entities.from_json_str, written)
            entities = json.loads(written)
    except ValueError as error:
        return None, [str(error)]
    return Cedar(policies, schema, tuple(entities)), []


def _text(path: Path, name: str) -> str:
    try:
        if path.stat().st_size > MAX_FILE_OCTETS:
            raise ValueError(f"cedar.{name}: the file is longer than {MAX_FILE_OCTETS} octets")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cedar.{name}: the file cannot be read ({type(error).__name__})") from None


def _parsed(name: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except Exception as error:  # noqa: BLE001 - the library does not say which errors it has
        raise ValueError(f"cedar.{name}: {_line(error)}") from None


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]


class CedarAuthorizer:
    """Decides by Cedar policies. A policy that cannot be evaluated denies: it may be one that forbids."""

    def __init__(self, cedar: Cedar) -> None:
        self._cedar = cedar
        self._known = frozenset(_uid(entity.get("uid")) for entity in cedar.entities)
        self._library = import_module("cedarpy")

    async def __call__(self, request: AccessRequest) -> Decision:
        """The decision, made here and now."""
        if request.operation == BATCH:
            return Decision(True, "each key is judged by itself")
        actions = needed_actions(request)
        if not actions:
            return Decision(False, f"policies know no operation {request.operation}")
        principal, resource = _principal(request), _resource(request)
        entities = [*self._cedar.entities, *self._entities_of(request, principal, resource)]
        context = _context(request, closed=self._cedar.schema is not None)
        questions = [
            {"principal": principal, "action": _named("Action", action), "resource": resource, "context": context}
            for action in actions
        ]
        try:
            results = self._library.is_authorized_batch(questions, self._cedar.policies, entities, self._cedar.schema)
        except Exception as error:  # noqa: BLE001 - the library does not say which errors it has
            log.warning("Cedar gave no decision: %s", _line(error))
            return Decision(False, "Cedar gave no decision")
        if len(results) != len(actions):
            return Decision(False, "Cedar gave no decision")
        for action, result in zip(actions, results, strict=True):
            errors = result.diagnostics.errors
            if errors:
                log.warning("Cedar policies could not be evaluated: %s", _line(errors[0]))
                return Decision(False, f"{action}: a Cedar policy could not be evaluated")
            if result.allowed is not True:
                return Decision(False, f"{action} is denied by Cedar{_reasons(result)}")
        return Decision(True, f"{actions[0]} is allowed by Cedar{_reasons(results[0])}")

    def _entities_of(self, request: AccessRequest, principal: Any, resource: Any) -> list[dict[str, Any]]:
        """The caller and what the request is about, where the operator's entities do not have them."""
        bucket = _named("Bucket", request.bucket)
        identity = request.identity
        made = [
            _entity(principal, {"name": identity.name, "session_name": identity.session_name}, []),
            _entity(bucket, {"name": request.bucket}, []),
        ]
        if resource != bucket:
            made.append(_entity(resource, {"bucket": request.bucket, "key": request.key}, [bucket]))
        return [entity for entity in made if _uid(entity["uid"]) not in self._known]


def _named(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _entity(uid: Any, attributes: dict[str, Any], parents: list[Any]) -> dict[str, Any]:
    return {"uid": uid, "attrs": attributes, "parents": parents}


def _uid(uid: Any) -> tuple[str, str]:
    inner = uid.get("__entity", uid) if isinstance(uid, Mapping) else {}
    return str(inner.get("type")), str(inner.get("id"))


def _principal(request: AccessRequest) -> dict[str, str]:
    identity = request.identity
    if not (identity.name or identity.access_key):
        return _named("Anonymous", "anonymous")
    return _named("User", identity.name or identity.access_key)


def _resource(request: AccessRequest) -> dict[str, str]:
    if request.key and request.operation not in ABOUT_THE_BUCKET:
        return _named("Object", f"{request.bucket}/{request.key}")
    return _named("Bucket", request.bucket)


def _context(request: AccessRequest, *, closed: bool) -> dict[str, Any]:
    """What policies may ask about besides; claims are there as far as Cedar has such values.

    `closed`: without what has names of a caller's choice, which no schema could declare.
    """
    context: dict[str, Any] = {
        "operation": request.operation,
        "bucket": request.bucket,
        "key": request.key,
        "prefix": request.prefix,
        "copy_source": request.copy_source,
        "source": request.source,
        "tls": request.tls,
        "session_name": request.identity.session_name,
        "tls_subject": request.tls_subject or "",
    }
    if not closed:
        context["query"] = _value(request.query)
        context["headers"] = _value(request.headers)
        context["claims"] = _value(request.identity.claims)
    return context


def _value(value: Any) -> Any:
    """A value of JSON as one of Cedar; None for what it has none for: fractions and null.

    Names that begin as those of Cedar's own escapes do (`__entity`) are left out.
    """
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value in _INTEGERS else None
    if isinstance(value, Mapping):
        pairs = ((name, _value(item)) for name, item in value.items() if not name.startswith("__"))
        return {name: inner for name, inner in pairs if inner is not None}
    if isinstance(value, Sequence):
        return [inner for item in value if (inner := _value(item)) is not None]
    return None


def _reasons(result: Any) -> str:
    told = result.diagnostics.id_annotations_by_reason
    names = sorted(str(told.get(reason) or reason) for reason in result.diagnostics.reasons)
    return f" ({', '.join(names[:3])})" if names else ""
