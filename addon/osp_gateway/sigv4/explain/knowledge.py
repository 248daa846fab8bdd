"""What the explainer is told, and how it names what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

Check = Callable[[str, str, str], bool]
"""Whether the request's signature is one of (canonical request, x-amz-date, scope)."""

MAX_SHOWN: Final = 80
_HIDDEN_HEADERS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-amz-copy-source-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-key-md5",
        "x-amz-security-token",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-server-side-encryption-customer-key-md5",
    }
)
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What may be used to explain a refusal.

    Args:
        secret: the secret of the access key that the request names; empty where that key is not known.
        server_time: seconds since the epoch when the request arrived.
        other_keys: secrets of further access keys, by access key.
        region: the gateway's own region, where it has one.
        domains: lower-case domains below which the first label names a bucket.
        hosts: further names, with or without a port, under which clients reach the gateway.
        listen_ports: ports that the gateway listens on.
        prefixes: path prefixes under which a proxy in front publishes the gateway, for instance `/s3`.
        body_sha256: hex SHA-256 of the body as received, where it is known.
        body_length: its length in octets, where it is known.
        check: how to check a signature, in place of the secret; hypotheses about secrets are left out then.
        max_checks: so many recomputations at most; see `search`.
    """

    secret: str = field(repr=False)
    server_time: float
    other_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    listen_ports: tuple[int, ...] = ()
    prefixes: tuple[str, ...] = ()
    body_sha256: str | None = None
    body_length: int | None = None
    check: Check | None = field(default=None, repr=False)
    max_checks: int | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that happened to a request.

    `name` is a stable id such as `host-port-dropped` or `header-changed:accept-encoding`; `sentence` tells people
    what happened, what was found and signed, and what to do. `proven`: the signature fits once this is undone;
    otherwise it was seen in the request itself, and there may be more behind it. `about_secret`: the sentence tells
    something of a secret, and is not for clients.
    """

    name: str
    sentence: str
    proven: bool = True
    about_secret: bool = False


def shown(value: str) -> str:
    """A value of the request, in quotes, short and printable."""
    return f'"{printable(value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "...")}"'


def shown_header(name: str, value: str) -> str:
    """A header's value, without those that are as good as a credential."""
    return "a value that is not shown" if name in _HIDDEN_HEADERS else shown(value)


def printable(text: str) -> str:
    r"""Without anything that a terminal or a log could take for a command: `\x1b` in place of an escape."""
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def is_hidden(name: str) -> bool:
    """Whether a header's or query parameter's value is as good as a credential."""
    return name.lower() in _HIDDEN_HEADERS
