"""Asking other services: what a question and an answer are. Whoever asks is given the client that does it."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class ServiceUrl(str):
    """A service's URL. A token may stand in its query, which is not shown where the URL is."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """As logs and people may see it."""
        place, question, _ = str(self).partition("?")
        return f"{place}?..." if question else place

    def __repr__(self) -> str:
        return repr(self.shown)


@dataclass(frozen=True, slots=True)
class Question:
    """A request to another service. `body` is None for GET, else what is posted; at most `max_octets` come back."""

    url: ServiceUrl
    headers: Mapping[str, str] = field(default=_NO_HEADERS, repr=False)
    body: bytes | None = field(default=None, repr=False)
    max_octets: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body."""

    status: int
    body: bytes = field(repr=False)


Ask = Callable[[Question], Awaitable[Answer]]
"""Follows no redirects, tries once, takes a bounded time. Raises OSError where no whole answer came."""


async def nobody_to_ask(question: Question) -> Answer:
    """An `Ask` for a gateway that was given none."""
    raise OSError(f"this gateway was given no HTTP client to ask {question.url.shown}")


def address_problem(url: str, *, allow_http: bool = False) -> str | None:
    """What is wrong with a service's URL; None: nothing. Plain HTTP is for this machine, unless `allow_http`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "expected a URL"
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        return "expected a URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "expected a URL without user name and password"
    if parts.fragment:
        return "expected a URL without a fragment"
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        return "expected https://, http:// is for this machine's own addresses"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, without asking for its address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_details(library: str) -> None:
    """Let a library that asks services log no details: at the level DEBUG they write down URLs, bodies and answers."""
    logger = logging.getLogger(library)
    logger.setLevel(max(logger.level, logging.INFO))
