"""Requests for every operation of S3, made by botocore's own serializer from made-up parameters."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.serialize import create_serializer

SERVICE = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
_SERIALIZER = create_serializer(SERVICE.metadata["protocol"], include_validation=True)
_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_SCALARS: dict[str, Any] = {
    "integer": 1,
    "long": 1,
    "boolean": True,
    "timestamp": _TIME,
    "blob": b"fake",
    "float": 1.0,
    "double": 1.0,
}


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire, path style."""

    method: str
    path: str
    query: str
    headers: dict[str, list[str]]


def serialized(name: str, *, optional_parameters: bool = False) -> Sent:
    """The operation's request with its required members, and on demand with all its query parameters."""
    model = SERVICE.operation_model(name)
    request = _SERIALIZER.serialize_to_request(_parameters(model, optional_parameters), model)
    prepare_request_dict(request, endpoint_url="http://gateway.example.test")
    prepared: AWSPreparedRequest = create_request_object(request).prepare()
    url = urlsplit(prepared.url)
    headers: dict[str, list[str]] = {}
    for key, value in prepared.headers.items():
        headers.setdefault(key.lower(), []).append(value if isinstance(value, str) else value.decode())
    return Sent(prepared.method, url.path, url.query, headers)


def _parameters(model: OperationModel, optional: bool) -> dict[str, Any]:
    shape = model.input_shape
    if shape is None:
        return {}
    wanted = set(shape.required_members)
    if optional:
        wanted |= {
            key for key, member in shape.members.items() if member.serialization.get("location") == "querystring"
        }
    parameters = {key: _value(member) for key, member in shape.members.items() if key in wanted}
    if "CopySource" in parameters:
        parameters["CopySource"] = "bucket/source"
    return parameters


def _value(shape: Shape) -> Any:
    if shape.type_name == "structure":
        wanted = shape.required_members or (list(shape.members)[:1] if shape.is_tagged_union else [])
        return {key: _value(shape.members[key]) for key in wanted}
    if shape.type_name == "list":
        return [_value(shape.member)]
    if shape.type_name == "map":
        return {"fake": _value(shape.value)}
    if getattr(shape, "enum", None):
        return shape.enum[0]
    if shape.type_name == "string":
        return "fake".ljust(shape.metadata.get("min", 0), "e")
    return _SCALARS[shape.type_name]
