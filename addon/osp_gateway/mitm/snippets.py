"""A flow's request as a program that sends it again, signed anew, with credentials from its own environment.

Nothing secret is in it: the signature, tokens and masked headers of the flow are left out, and said to be.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import botocore.session
from botocore import xform_name
from mitmproxy import exceptions, http

from osp_gateway.mitm.columns import visible
from osp_gateway.mitm.showing import details_of
from osp_gateway.mitm.view_chunked import read_framing
from osp_gateway.mitm.wire import head_of
from osp_gateway.redaction import MARK
from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.s3.operations import POST_OBJECT
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.presigned import without_authentication

DEFAULT_REGION: Final = "us-east-1"
MAX_BODY: Final = 64 * 1024
"""A longer body goes from a file into the request."""
_LEFT_OUT: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "connection",
        "content-length",
        "date",
        "expect",
        "host",
        "transfer-encoding",
        "user-agent",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-region-set",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-security-token",
        "x-amz-trailer",
    }
)
"""Headers that whoever sends the request makes anew."""
_MASKED: Final = "masked"
_SIGV2: Final = frozenset({"awsaccesskeyid", "expires", "signature"})
_SCOPE: Final = re.compile(r"\n\d{8}/([A-Za-z0-9-]{1,64})/s3/aws4_request\n").search
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_HOST: Final = re.compile(r"[A-Za-z0-9._~:\[\]-]+").fullmatch
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}").fullmatch
"""Integers that are written in one way only, and so are sent as they came."""
_PLAIN: Final = re.compile(r"[\x20-\x7e\n]*").fullmatch


@dataclass(frozen=True, slots=True)
class Snippet:
    """What is to be sent. `body` is None where it was not kept; `remarks` are on what could not be taken over.

    Path and query are encoded as AWS signs them, header values are text, and each header is there once.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: tuple[Pair, ...]
    headers: tuple[Header, ...]
    body: bytes | None = field(repr=False)
    remarks: tuple[str, ...]
    region: str
    operation: str
    bucket: str
    key: str

    @classmethod
    def of(cls, flow: http.HTTPFlow) -> Snippet:
        """Of a flow, be it saved.

        Raises:
            CommandError: a browser's form, whose signature is in its body, or what no program could send.
        """
        head, details = head_of(flow), details_of(flow)
        host = head.get("host") or f"{flow.request.host}:{flow.request.port}"
        if not _TOKEN(head.method) or not _HOST(host):
            raise exceptions.CommandError("The request's method or host cannot be sent.")
        operation = str(details.get("operation", "-"))
        if operation == POST_OBJECT:
            raise exceptions.CommandError("A form of a browser's cannot be exported: its signature is in its fields.")
        query, headers, remarks = _taken_over(head)
        signature = details.get("signature")
        scope = _SCOPE(str(signature.get("string_to_sign", ""))) if isinstance(signature, dict) else None
        return cls(
            method=head.method,
            scheme="https" if flow.client_conn.tls_established else "http",
            host=host,
            path=_canonical_path(head),
            query=query,
            headers=headers,
            body=_body(flow, head),
            remarks=remarks,
            region=scope[1] if scope else DEFAULT_REGION,
            operation=operation,
            bucket=str(details.get("bucket", "")),
            key=str(details.get("key", "")),
        )

    @property
    def url(self) -> str:
        """With the query sorted, as it is signed."""
        query = "&".join(f"{name}={value}" for name, value in sorted(self.query))
        return f"{self.scheme}://{self.host}{self.path}{'?' if query else ''}{query}"

    @property
    def payload_hash(self) -> str:
        """What the signature says of the body."""
        return UNSIGNED_PAYLOAD if self.body is None else hashlib.sha256(self.body).hexdigest()

    @property
    def sends_body(self) -> bool:
        """Whether there is a body, or a method that is sent with one."""
        return self.body != b"" or self.method in ("PUT", "POST")


def as_curl(snippet: Snippet) -> str:
    """A command for a POSIX shell."""
    snippet = _without_empty(snippet)
    lines = [f"curl --silent --show-error --globoff --path-as-is {_method(snippet.method)}"]
    lines.append('--user "${AWS_ACCESS_KEY_ID}:${AWS_SECRET_ACCESS_KEY}"')
    lines.append(f"--aws-sigv4 {shlex.quote(f'aws:amz:{snippet.region}:s3')}")
    lines.append('${AWS_SESSION_TOKEN:+--header "x-amz-security-token: ${AWS_SESSION_TOKEN}"}')
    headers = [*snippet.headers, ("x-amz-content-sha256", snippet.payload_hash)]  # curl 7 does not send it of itself
    lines += [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in headers]
    before = ""
    if snippet.sends_body:
        if not any(name == "content-type" for name, _ in snippet.headers):
            lines.append("--header 'content-type: binary/octet-stream'")  # as S3 takes it; curl signs its own
        before, option = _curl_body(snippet.body)
        lines.append(option)
    lines.append(shlex.quote(snippet.url))
    return "\n".join([*_remarks(snippet), before + " \\\n  ".join(lines)]) + "\n"


def _without_empty(snippet: Snippet) -> Snippet:
    """Without empty headers: they are written `name;`, and curl 7 signs that with its semicolon."""
    empty = [name for name, value in snippet.headers if not value]
    if not empty:
        return snippet
    remark = f"left out, because empty, which curl cannot sign: {', '.join(empty)}"
    headers = tuple(pair for pair in snippet.headers if pair[1])
    return replace(snippet, headers=headers, remarks=(*snippet.remarks, remark))


def _method(method: str) -> str:
    return "--head" if method == "HEAD" else f"--request {shlex.quote(method)}"


def _curl_body(body: bytes | None) -> tuple[str, str]:
    """What comes before the command, and its option."""
    if body is None:
        return "", "--data-binary @BODY"
    text = body.decode("latin-1")
    if _PLAIN(text) and not text.startswith("@"):
        return "", f"--data-binary {shlex.quote(text)}"
    return f"printf %s {base64.b64encode(body).decode()} | base64 -d | ", "--data-binary @-"


def _remarks(snippet: Snippet) -> Iterator[str]:
    """Comments. What a flow brings along must not end their lines: what came after would be run."""
    yield from (f"# {visible(remark)}" for remark in snippet.remarks)
    if snippet.body is None:
        yield "# the body was not kept: put it into a file named BODY"


def as_boto3(snippet: Snippet) -> str:
    """A program: a call of boto3's client where that makes the same request, else a request that is signed alone."""
    style, arguments = _addressing_style(snippet), _arguments(snippet)
    lines = _signed_alone(snippet) if style is None or arguments is None else _call(snippet, style, arguments)
    return "\n".join([*_remarks(snippet), *lines]) + "\n"


def _addressing_style(snippet: Snippet) -> str | None:
    """Where boto3 has to put the bucket's name to get to the same URL; None where it would not get there."""
    key = encoding.encode(snippet.key.encode("utf-8", "replace"), "/")
    if snippet.path == f"/{snippet.bucket}/{key}" or (not key and snippet.path == f"/{snippet.bucket}"):
        return "path"
    in_host = snippet.host.startswith(f"{snippet.bucket}.")
    return "virtual" if in_host and snippet.path == f"/{key}" else None


def _call(snippet: Snippet, style: str, arguments: Mapping[str, str]) -> Iterator[str]:
    host = snippet.host if style == "path" else snippet.host.removeprefix(f"{snippet.bucket}.")
    yield "import base64"
    yield ""
    yield "import boto3"
    yield "from botocore.config import Config"
    yield ""
    yield "s3 = boto3.client("
    yield '    "s3",'
    yield f"    endpoint_url={f'{snippet.scheme}://{host}'!r},"
    yield f"    region_name={snippet.region!r},"
    yield f"    config=Config(s3={{'addressing_style': {style!r}}}),"
    yield ")"
    yield f"answer = s3.{xform_name(snippet.operation)}("
    yield from (f"    {name}={value}," for name, value in arguments.items())
    yield ")"
    yield 'if hasattr(answer.get("Body"), "read"):'
    yield '    answer["Body"] = answer["Body"].read()'
    yield "print(answer)"


def _signed_alone(snippet: Snippet) -> Iterator[str]:
    yield "import base64"
    yield ""
    yield "import boto3"
    yield "from botocore.auth import S3SigV4Auth"
    yield "from botocore.awsrequest import AWSRequest"
    yield "from botocore.httpsession import URLLib3Session"
    yield ""
    yield "request = AWSRequest("
    yield f"    method={snippet.method!r},"
    yield f"    url={snippet.url!r},"
    yield f"    data={_octets(snippet.body)},"
    yield f"    headers={dict(snippet.headers)!r},"
    yield ")"
    yield "credentials = boto3.Session().get_credentials().get_frozen_credentials()"
    yield f'S3SigV4Auth(credentials, "s3", {snippet.region!r}).add_auth(request)'
    yield "prepared = request.prepare()"
    for name in (name for name, value in snippet.headers if not value.isascii()):
        yield f"prepared.headers[{name!r}] = prepared.headers[{name!r}].encode()"  # as text it would go out in latin-1
    yield "answer = URLLib3Session().send(prepared)"
    yield "print(answer.status_code, answer.content)"


def _octets(body: bytes | None) -> str:
    if body is None:
        return 'open("BODY", "rb").read()'
    return repr(body) if len(body) <= 200 else f"base64.b64decode({base64.b64encode(body).decode()!r})"


@lru_cache(maxsize=1)
def _model() -> Any:
    return botocore.session.get_session().get_service_model("s3")


def _arguments(snippet: Snippet) -> dict[str, str] | None:
    """The operation's arguments, as Python; None where boto3 would send something else."""
    model = _model()
    if snippet.operation not in model.operation_names or (snippet.key and not snippet.bucket):
        return None
    operation = model.operation_model(snippet.operation)
    left = _pieces(snippet)
    if left is None:
        return None
    left.pop("x-id", None)
    shape = operation.input_shape
    members = dict(shape.members) if shape is not None else {}
    found = {"Bucket": snippet.bucket, "Key": snippet.key}
    found = {name: repr(value) for name, value in found.items() if name in members and value}
    for name, member in members.items():
        argument = _taken(member, member.serialization.get("name", name), left)
        if argument is not None:
            found[name] = argument
    for fixed in _fixed_query(operation):
        left.pop(fixed, None)
    payload = shape.serialization.get("payload") if shape is not None else None
    if snippet.sends_body and payload is not None and members[payload].type_name == "blob":
        found[payload] = _octets(snippet.body)
    elif snippet.body != b"":
        return None
    return None if left or any(name not in found for name in (shape.required_members if shape else ())) else found


def _pieces(snippet: Snippet) -> dict[str, str] | None:
    """Query and headers by name; None where there is something that boto3 cannot send as it is."""
    query = {name: unquote(value) for name, value in snippet.query}
    if len(query) != len(snippet.query) or not all(value.isascii() for _, value in snippet.headers):
        return None
    if any(encoding.encode(query[name].encode()) != value for name, value in snippet.query):
        return None
    return {**query, **dict(snippet.headers)}


def _taken(member: Any, wire: str, left: dict[str, str]) -> str | None:
    """A member's value, as Python, taken out of what is left; None where it has none, or one that has to stay there."""
    where = member.serialization.get("location")
    if where == "headers":
        prefixed = [one for one in left if one.startswith(wire)]
        return repr({one.removeprefix(wire): left.pop(one) for one in prefixed}) if prefixed else None
    name = wire.lower() if where == "header" else wire
    if where not in ("header", "querystring") or name not in left:
        return None
    argument = _argument(member, left[name])
    if argument is not None:
        del left[name]
    return argument


def _fixed_query(operation: Any) -> list[str]:
    """Parameters that the operation's own URI has, such as `list-type`."""
    query = operation.http["requestUri"].partition("?")[2]
    return [piece.partition("=")[0] for piece in query.split("&") if piece]


def _argument(member: Any, value: str) -> str | None:
    """A value as Python; None where boto3 would refuse it, or write it otherwise."""
    if member.type_name in ("integer", "long"):
        return value if _INTEGER(value) else None
    if member.type_name == "boolean":
        return {"true": "True", "false": "False"}.get(value)
    if member.type_name == "timestamp":
        return repr(value) if _is_date(value) else None
    if member.type_name == "list":
        return repr([one.strip() for one in value.split(",")])
    return repr(value) if value or member.serialization.get("location") == "querystring" else None


def _is_date(value: str) -> bool:
    """Whether a date is written as boto3 writes dates."""
    try:
        return format_datetime(parsedate_to_datetime(value).astimezone(UTC), usegmt=True) == value
    except (ValueError, OverflowError):
        return False


def _canonical_path(head: RequestHead) -> str:
    try:
        path = encoding.canonical_path(head.path)
    except ValueError:
        path = ""
    if not path.startswith("/"):
        raise exceptions.CommandError("The request's path cannot be sent.")
    return path


def _without_signature(head: RequestHead) -> tuple[Pair, ...]:
    try:
        query = without_authentication(encoding.parse_query(head.query))
    except ValueError:
        raise exceptions.CommandError("The request's query cannot be read.") from None
    old = any(name.lower() == "awsaccesskeyid" for name, _ in query)
    return tuple(pair for pair in query if not (old and pair[0].lower() in _SIGV2))


def _taken_over(head: RequestHead) -> tuple[tuple[Pair, ...], tuple[Header, ...], tuple[str, ...]]:
    """The query and the headers to be sent, and remarks on what cannot be."""
    headers: dict[str, str] = {}
    left_out: dict[str, list[str]] = {}
    for name, octets in ((name.lower(), value) for name, value in head.headers if name.lower() not in _LEFT_OUT):
        value = octets.encode("latin-1").decode("utf-8", "replace").strip(" ")
        why = _obstacle(name, value)
        if why:
            left_out.setdefault(why, []).append(name)
            continue
        if name == "content-encoding":
            value = _without_coding(value)
            if not value:
                continue
        headers[name] = f"{headers[name]},{value}" if name in headers else value  # several are one, as they are signed
    query = _without_signature(head)
    masked = [f"?{name}=" for name, value in query if MARK in value]
    if masked:
        left_out.setdefault(_MASKED, []).extend(masked)
    remarks = [f"left out, because {why}: {', '.join(names)}" for why, names in left_out.items()]
    return tuple(pair for pair in query if MARK not in pair[1]), tuple(headers.items()), tuple(remarks)


def _obstacle(name: str, value: str) -> str:
    """Why a header cannot be taken over: flows from files have whatever their makers wrote."""
    if not _TOKEN(name):
        return "no names of headers"
    if MARK in value:
        return _MASKED
    if "\ufffd" in value:
        return "no UTF-8"
    return "" if value.isprintable() else "not printable"


def _without_coding(value: str) -> str:
    """A `Content-Encoding` without the framing, which the program's body does not have."""
    return ",".join(one.strip() for one in value.split(",") if one.strip().lower() != "aws-chunked")


def _body(flow: http.HTTPFlow, head: RequestHead) -> bytes | None:
    """The body as an object has it, without framing; None where not all of it is there."""
    body = flow.request.data.content
    announced = head.get("content-length") or "0"
    if body is None:
        return b"" if announced == "0" and "transfer-encoding" not in head.fields else None
    if (head.get("x-amz-content-sha256") or "").startswith("STREAMING-"):
        return _unframed(body)
    return body if len(body) <= MAX_BODY and announced == str(len(body)) else None


def _unframed(body: bytes) -> bytes | None:
    framing = read_framing(body)
    if framing.problem or not framing.chunks or framing.count != len(framing.chunks) or framing.chunks[-1][1]:
        return None
    starts = [(body.index(b"\r\n", start) + 2, size) for start, size, _ in framing.chunks]
    data = b"".join([body[start : start + size] for start, size in starts])
    return data if len(data) <= MAX_BODY else None
