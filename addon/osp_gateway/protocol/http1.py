"""Heads of HTTP/1.1 requests (RFC 9112), read strictly.

    octets -> HeadReader -> Head | refused | more octets wanted

Of two ways to read something neither is taken: bare LF or CR, folded lines, blanks before a colon, two lengths, a
length beside chunks, transfer codings other than one `chunked`. All of that is legal to refuse, and no S3 client
sends it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from osp_gateway.limits import Limits
from osp_gateway.protocol.syntax import (
    bad_request,
    check_authority,
    check_method,
    check_name,
    check_target,
    content_length,
    head_too_large,
)
from osp_gateway.s3.errors import S3Error

Field = tuple[bytes, bytes]

MAX_EMPTY_LINES: Final = 2
"""Before a request line: old clients end a body with a line break too many (RFC 9112, section 2.2)."""

_END: Final = b"\r\n\r\n"
_STRAY: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_SCHEME: Final = re.compile(rb"https?://", re.IGNORECASE)
_CHUNKED: Final = b"chunked"


@dataclass(frozen=True, slots=True)
class Head:
    """One request's head.

    `target` is in origin-form, octet for octet; `version` is `HTTP/1.0` or `HTTP/1.1`; `fields` are as they came,
    without the blanks around values. `length` is the body's in octets, None where it is chunked. `persistent` says
    whether the client wants to go on using the connection.
    """

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[Field, ...]
    length: int | None
    persistent: bool


class HeadReader:
    """Collects octets until a head is complete. One reader reads one head."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._checked = 0
        self._empty_lines = 0

    @property
    def started(self) -> bool:
        """Whether anything of a head has arrived."""
        return bool(self._buffer or self._empty_lines)

    @property
    def is_head_request(self) -> bool:
        """Whether the method is HEAD, as far as it is known: then an answer has no body."""
        return self._buffer.startswith(b"HEAD ")

    def feed(self, data: bytes) -> Head | None:
        """The head, once it is complete; what follows it can then be taken from `rest`.

        Raises:
            S3Error: the head is malformed, ambiguous, or over a limit; the connection is of no further use.
        """
        self._buffer += data
        self._skip_empty_lines()
        end = self._buffer.find(_END, max(0, self._checked - len(_END) + 1))
        size = end + len(_END) if end >= 0 else len(self._buffer)
        if size > self._limits.head_octets:
            raise head_too_large()
        self._refuse_stray_octets(size)
        if end < 0:
            return None
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        head = _parse(lines, self._limits)
        del self._buffer[:size]
        return head

    def rest(self) -> bytes:
        """What arrived behind the head."""
        return bytes(self._buffer)

    def _skip_empty_lines(self) -> None:
        while self._buffer.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > MAX_EMPTY_LINES:
                raise bad_request("Empty lines came where a request was expected.")
            del self._buffer[:2]

    def _refuse_stray_octets(self, size: int) -> None:
        """At once, not when the head is complete: a line that ends in LF alone might never let it be."""
        known = size - 1 if self._buffer[size - 1 : size] == b"\r" else size
        if _STRAY.search(self._buffer, max(0, self._checked - 1), known):
            raise bad_request("A line of the request's head holds a control character, or ends in LF or CR alone.")
        self._checked = known


def _parse(lines: list[bytes], limits: Limits) -> Head:
    """Raise `S3Error` for whatever is wrong with a complete head; `lines` are its lines without their ends."""
    method, target, version = _request_line(lines[0])
    if len(lines) - 1 > limits.head_fields:
        raise head_too_large()
    fields = tuple([_field(line) for line in lines[1:]])
    values = _values(fields)
    path, authority = _split_target(method, target)
    check_target(path, limits)
    _check_host(values[b"host"], authority)
    return Head(
        method=method,
        target=path,
        version=version,
        fields=fields,
        length=_body_length(version, values[b"content-length"], values[b"transfer-encoding"]),
        persistent=_is_persistent(version, values[b"connection"]),
    )


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and version: RFC 9112, section 3."""
    parts = line.split(b" ")
    if len(parts) != 3:
        raise bad_request("The request line is not a method, a target and a version with one blank between them.")
    method, target, version = parts
    if not _VERSION.fullmatch(version):
        raise bad_request("The request line does not end in an HTTP version.")
    if method == b"PRI":
        raise bad_request("HTTP/2 is spoken over TLS only.")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise S3Error("HttpVersionNotSupported", "The HTTP version specified is not supported.")
    check_method(method)
    return method, target, version


def _field(line: bytes) -> Field:
    """Name and value: RFC 9112, section 5."""
    name, colon, value = line.partition(b":")
    if not colon:
        raise bad_request("A line of the request's head is no header field.")
    check_name(name)
    return name, value.strip(b" \t")


def _values(fields: tuple[Field, ...]) -> dict[bytes, list[bytes]]:
    """The values of those fields that the connection itself depends on."""
    found: dict[bytes, list[bytes]] = {
        b"host": [],
        b"content-length": [],
        b"transfer-encoding": [],
        b"connection": [],
    }
    for name, value in fields:
        values = found.get(name.lower())
        if values is not None:
            values.append(value)
    return found


def _split_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """The target's path in origin-form, and its authority where it is in absolute-form (RFC 9112, section 3.2)."""
    if target == b"*" and method == b"OPTIONS":
        raise S3Error("InvalidURI", "The request is about no resource: S3 has no OPTIONS for the whole server.")
    scheme = _SCHEME.match(target)
    if scheme is None:
        return target, None
    authority = re.split(rb"[/?]", target[scheme.end() :], maxsplit=1)[0]
    path = target[scheme.end() + len(authority) :]
    return (path if path.startswith(b"/") else b"/" + path), authority


def _check_host(hosts: list[bytes], authority: bytes | None) -> None:
    """RFC 9112, section 3.2; HTTP/1.0 is held to the same, as the signature covers the Host."""
    if len(hosts) != 1:
        raise bad_request("The request has no Host header field, or more than one.")
    check_authority(hosts[0])
    if authority is not None and authority != hosts[0]:
        raise bad_request("The request's URI and its Host header field name different hosts.")


def _body_length(version: bytes, lengths: list[bytes], codings: list[bytes]) -> int | None:
    """The body's length in octets, None for a chunked one: RFC 9112, sections 6.1 to 6.3."""
    length = content_length(lengths)
    if not codings:
        return length or 0
    if length is not None:
        raise bad_request("The request has both Content-Length and Transfer-Encoding.")
    if version == b"HTTP/1.0":
        raise bad_request("HTTP/1.0 has no Transfer-Encoding.")
    if len(codings) > 1:
        raise bad_request("Transfer-Encoding was given more than once.")
    names = [name.strip(b" \t").lower() for name in codings[0].split(b",")]
    if names == [_CHUNKED]:
        return None
    if names[-1] != _CHUNKED or names.count(_CHUNKED) > 1 or b"" in names:
        raise bad_request("The last transfer coding, and only the last, must be chunked.")
    raise S3Error("NotImplemented", "The only transfer coding is chunked.")


def _is_persistent(version: bytes, values: list[bytes]) -> bool:
    """RFC 9112, section 9.3."""
    options = {option.strip(b" \t").lower() for value in values for option in value.split(b",")}
    if b"close" in options:
        return False
    return version == b"HTTP/1.1" or b"keep-alive" in options
