"""Requests that people paste: what `curl -v` wrote, or a request as it goes over the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from osp_gateway.s3.head import Header, RequestHead

MAX_REQUESTS: Final = 100
_REQUEST_LINE: Final = re.compile(r"([A-Za-z]{1,20}) (\S+)(?: HTTP/[0-9.]+)?\s*\Z").match
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)", re.IGNORECASE).match
_CURL_SENT: Final = re.compile(r"^> ?", re.MULTILINE)


class NotARequest(ValueError):
    """There is no request in what was given; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """A request; `body` is None where it is not known whether it is there in full."""

    head: RequestHead
    body: bytes | None = field(repr=False)


def read(octets: bytes) -> tuple[Pasted, ...]:
    """The requests in a transcript of `curl -v`, or the one request that is given as it goes over the wire.

    Raises:
        NotARequest: there is none.
    """
    text = octets.decode("latin-1")
    found = _of_curl(text) if _CURL_SENT.search(text) and not _starts_with_request(text) else (_raw(text),)
    if not found:
        raise NotARequest('no request line after "> " was found: expected what `curl -v` writes')
    return found


def _starts_with_request(text: str) -> bool:
    return _REQUEST_LINE(text.lstrip("\r\n").partition("\n")[0].rstrip("\r")) is not None


def _of_curl(text: str) -> tuple[Pasted, ...]:
    """The heads of the lines that start with `> `; curl does not write bodies in a way that can be read back."""
    found: list[Pasted] = []
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(">"):
            lines.append(line[1:].removeprefix(" ").rstrip("\r"))
        if lines and (not lines[-1] or line.startswith("<")):
            if len(found) < MAX_REQUESTS and any(lines):
                found.append(Pasted(_head([line for line in lines if line]), None))
            lines = []
    if any(lines):
        found.append(Pasted(_head([line for line in lines if line]), None))
    return tuple(found)


def _raw(text: str) -> Pasted:
    text = text.lstrip("\r\n")
    match = re.search(r"\r?\n\r?\n", text)
    head, body = (text[: match.start()], text[match.end() :]) if match else (text, "")
    parsed = _head(head.replace("\r\n", "\n").rstrip("\n").split("\n"))
    return Pasted(parsed, _body(parsed, body.encode("latin-1")))


def _body(head: RequestHead, rest: bytes) -> bytes | None:
    """The body, where it is there in full and not in chunks."""
    length = head.get("content-length")
    if "transfer-encoding" in head.fields:
        return None
    if length is None:
        return b"" if not rest.strip() else None
    if not length.isascii() or not length.isdecimal() or len(length) > 18 or len(rest) < int(length):
        return None
    return rest[: int(length)]


def _head(lines: list[str]) -> RequestHead:
    match = _REQUEST_LINE(lines[0])
    if match is None:
        raise NotARequest("expected a request line such as `GET /bucket/key HTTP/1.1` at the beginning")
    method, target = match.groups()
    headers = [_header(line) for line in lines[1:] if line]
    absolute = _ABSOLUTE(target)
    if absolute is not None:
        target = target[absolute.end() :] or "/"
        if not any(name.lower() == "host" for name, _ in headers):
            headers.insert(0, ("Host", absolute[1]))
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, tuple(headers))


def _header(line: str) -> Header:
    """A header line; HTTP/2's `:authority`, as some tools write it, is the Host header."""
    name, colon, value = line.removeprefix(":").partition(":")
    if not colon:
        raise NotARequest("a header line without a colon: expected `Name: value`")
    name = name.strip(" \t")
    return ("host" if name == "authority" else name), value.strip(" \t\r")
