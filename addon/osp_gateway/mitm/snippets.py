"""A flow's request as a program that sends it again, signed anew, with credentials from its own environment.

Nothing secret is in it: the signature, tokens and masked headers of the flow are left out, and said to be.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, unquote

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
_SIGV2: Final = frozenset({"awsaccesskeyid", "expires", "signature"})
_SCOPE: Final = re.compile(r"\n\d{8}/([A-Za-z0-9-]{1,64})/s3/aws4_request\n").search
_IN_PATH: Final = "/%:@!$&'()*+,;=-._~"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_HOST: Final = re.compile(r"[A-Za-z0-9._~:\[\]-]+").fullmatch
_PLAIN: Final = re.compile(r"[\x20-\x7e\n]*").fullmatch


@dataclass(frozen=True, slots=True)
class Snippet:
    """What is to be sent. `body` is None where it was not kept; `remarks` are on what could not be taken over."""

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
        headers, remarks = _taken_over(head)
        scope = _SCOPE(str((details.get("signature") or {}).get("string_to_sign", "")))
        return cls(
            method=head.method,
            scheme="https" if flow.client_conn.tls_established else "http",
            host=host,
            path=quote(head.path.encode("latin-1"), safe=_IN_PATH),
            query=_plain_query(head),
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
    arguments = _arguments(snippet)
    lines = _signed_alone(snippet) if arguments is None else _call(snippet, arguments)
    return "\n".join([*_remarks(snippet), *lines]) + "\n"


def _call(snippet: Snippet, arguments: Mapping[str, str]) -> Iterator[str]:
    path_style = unquote(snippet.path).startswith(f"/{snippet.bucket}")
    host = snippet.host if path_style else snippet.host.removeprefix(f"{snippet.bucket}.")
    yield "import base64"
    yield ""
    yield "import boto3"
    yield "from botocore.config import Config"
    yield ""
    yield "s3 = boto3.client("
    yield '    "s3",'
    yield f"    endpoint_url={f'{snippet.scheme}://{host}'!r},"
    yield f"    region_name={snippet.region!r},"
    yield f"    config=Config(s3={{'addressing_style': {'path' if path_style else 'virtual'!r}}}),"
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
    yield "answer = URLLib3Session().send(request.prepare())"
    yield "print(answer.status_code, answer.content)"


def _octets(body: bytes | None) -> str:
    if body is None:
        return 'open("BODY", "rb").read()'
    return repr(body) if len(body) <= 200 else f"base64.b64decode({base64.b64encode(body).decode()!r})"


@lru_cache(maxsize=1)
def _model() -> Any:
    return botocore.session.get_session().get_service_model("s3")


def _arguments(snippet: Snippet) -> dict[str, str] | None:
    """The operation's arguments, as Python; None where something has no argument, or is a document."""
    model = _model()
    if snippet.operation not in model.operation_names or (snippet.key and not snippet.bucket):
        return None
    shape = model.operation_model(snippet.operation).input_shape
    members = dict(shape.members) if shape is not None else {}
    payload = shape.serialization.get("payload") if shape is not None else None
    found: dict[str, str] = {}
    left = {**dict(snippet.query), **dict(snippet.headers)}
    left.pop("x-id", None)
    for name, member in members.items():
        where, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if where == "uri":
            value = {"Bucket": snippet.bucket, "Key": snippet.key}.get(name)
            if value:
                found[name] = repr(value)
        elif where == "headers":
            prefixed = [one for one in left if one.startswith(wire)]
            if prefixed:
                found[name] = repr({one.removeprefix(wire): left.pop(one) for one in prefixed})
        elif where == "header" and wire.lower() in left:
            found[name] = _argument(member, left.pop(wire.lower()))
        elif where == "querystring" and wire in left:
            found[name] = _argument(member, unquote(left.pop(wire)))
    for fixed in _fixed_query(model.operation_model(snippet.operation)):
        left.pop(fixed, None)
    if snippet.sends_body and payload is not None and members[payload].type_name == "blob":
        found[payload] = _octets(snippet.body)
    elif snippet.body != b"":
        return None
    return None if left or any(name not in found for name in (shape.required_members if shape else ())) else found


def _fixed_query(operation: Any) -> list[str]:
    """Parameters that the operation's own URI has, such as `list-type`."""
    query = operation.http["requestUri"].partition("?")[2]
    return [piece.partition("=")[0] for piece in query.split("&") if piece]


def _argument(member: Any, value: str) -> str:
    if member.type_name in ("integer", "long") and value.isdecimal():
        return value
    if member.type_name == "boolean":
        return "True" if value.lower() == "true" else "False"
    if member.type_name == "list":
        return repr([one.strip() for one in value.split(",")])
    return repr(value)


def _plain_query(head: RequestHead) -> tuple[Pair, ...]:
    try:
        query = without_authentication(encoding.parse_query(head.query))
    except ValueError:
        raise exceptions.CommandError("The request's query cannot be read.") from None
    old = any(name.lower() == "awsaccesskeyid" for name, _ in query)
    kept = [pair for pair in query if not (old and pair[0].lower() in _SIGV2)]
    return tuple(pair for pair in kept if MARK not in pair[1])


def _taken_over(head: RequestHead) -> tuple[tuple[Header, ...], tuple[str, ...]]:
    """The headers to be sent, and remarks on those that cannot be."""
    kept: list[Header] = []
    left_out: dict[str, list[str]] = {}
    for name, value in ((name.lower(), value) for name, value in head.headers if name.lower() not in _LEFT_OUT):
        why = _obstacle(name, value)
        if why:
            left_out.setdefault(why, []).append(name)
        elif _without_coding((name, value))[1]:
            kept.append(_without_coding((name, value)))
    return tuple(kept), tuple(f"left out, because {why}: {', '.join(names)}" for why, names in left_out.items())


def _obstacle(name: str, value: str) -> str:
    """Why a header cannot be taken over: flows from files have whatever their makers wrote."""
    if not _TOKEN(name):
        return "no names of headers"
    if MARK in value:
        return "masked"
    return "" if value.isprintable() else "not printable"


def _without_coding(header: Header) -> Header:
    name, value = header
    if name != "content-encoding":
        return header
    return name, ",".join(one.strip() for one in value.split(",") if one.strip().lower() != "aws-chunked")


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
