"""What to look at where no hypothesis fits, most likely first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.explain.attempt import METHOD, PATH
from osp_gateway.sigv4.explain.case import Case
from osp_gateway.sigv4.explain.knowledge import shown, shown_header

_CHANGED_BY_PROXIES: Final = (
    "accept-encoding",
    "user-agent",
    "content-type",
    "connection",
    "expect",
    "te",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "cache-control",
    "accept",
    "date",
    "via",
    "x-forwarded-for",
    "amz-sdk-request",
)
_TRACES: Final[tuple[str, ...]] = (
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "cf-ray",
)


def too_large() -> tuple[str, ...]:
    """For a head beyond the bounds of `search`."""
    return ("The request's head is too large to be explained: too many or too long headers or parameters.",)


def unsigned(head: RequestHead) -> tuple[str, ...]:
    """For a request without a signature of version 4."""
    names = {piece.partition("=")[0].lower() for piece in head.query.split("&")}
    authorization = head.get("authorization") or ""
    if authorization.startswith("AWS ") or "awsaccesskeyid" in names:
        return ("The request is signed with Signature V2. Configure the client for Signature V4.",)
    if authorization:
        scheme = shown(authorization.partition(" ")[0][:20]) if " " in authorization else "of no scheme"
        return (f"The Authorization header is {scheme}, not of Signature V4: something else sets it.",)
    return (
        "The request carries no signature: the client has no credentials, or the Authorization header (or a presigned "
        "URL's query) was dropped on the way.",
    )


def where_nothing_matches(case: Case) -> tuple[str, ...]:
    """For a signature that no hypothesis explains."""
    proxied = [name for name in _TRACES if name in case.head.fields]
    way = list(_way(case, proxied))
    secret = list(_secret(case))
    client = list(_client(case))
    return tuple([*way, *secret, *client] if proxied else [*secret, *way, *client])


def _secret(case: Case) -> Iterator[str]:
    key = shown(case.sighting.access_key)
    if len(case.sighting.signature) != 64 and case.sighting.region:
        yield f"The signature has {len(case.sighting.signature)} digits where 64 are expected: it was cut or altered."
    if not case.knowledge.secret and case.knowledge.check is None:
        yield f"The access key {key} is not known here: look for a wrong profile, a mistyped or an expired key."
        return
    yield (
        f"The secret of {key}: mostly it is just another one than the gateway has. Enter it anew on both sides; look "
        "for AWS_SECRET_ACCESS_KEY in the environment, which wins over profiles."
    )


def _way(case: Case, proxied: list[str]) -> Iterator[str]:
    signed = [name for name in _CHANGED_BY_PROXIES if case.header(name) is not None]
    if proxied:
        yield f"The request came through a proxy ({', '.join(proxied)}): what does it do to Host, path and headers?"
    if signed:
        values = ", ".join(f"{name} {shown_header(name, case.header(name) or '')}" for name in signed[:6])
        yield f"Signed headers that proxies change: {values}. Compare them with what the client sent."
    host = case.header("host")
    if host is not None:
        yield f"Host: {shown(host)} came. Is it, port included, what the client was given as its endpoint?"
    path = case.parts[PATH]
    if "%" in path or "//" in path or "+" in case.head.path or "/." in path:
        yield f"The path {shown(case.head.path)} has characters that proxies and clients encode in different ways."
    if case.head.query and not case.sighting.presigned:
        yield "The query: were parameters added, lost or changed on the way? S3 signs all of them."


def _client(case: Case) -> Iterator[str]:
    if case.sighting.presigned:
        yield (
            "The presigned URL: was it copied whole, is it used with the method it was made for "
            f"({case.parts[METHOD]} came), and with the headers that are named in X-Amz-SignedHeaders?"
        )
    if case.header("x-amz-security-token") is not None:
        yield "The session token: it must come whole, with every + and / in it."
    yield (
        "The client's own canonical request: compare it line by line with the one above (aws --debug; boto3: "
        "set_stream_logger('botocore.auth'); rclone -vv --dump headers)."
    )
