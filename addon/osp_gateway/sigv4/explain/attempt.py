"""What is signed, in parts that can be replaced one by one; and whether a signature fits them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from osp_gateway.sigv4 import canonical, sigv4a
from osp_gateway.sigv4.explain.knowledge import Cause, Knowledge
from osp_gateway.sigv4.explain.reading import Sighting
from osp_gateway.sigv4.keys import SigningKeys

METHOD: Final = "method"
PATH: Final = "path"
QUERY: Final = "query"
PAYLOAD: Final = "payload"
DATE: Final = "date"
SCOPE: Final = "scope"
KEY: Final = "key"
SECRET: Final = "secret"  # noqa: S105 - the name of a part
OWN_SECRET: Final = ""
MISSING: Final = "(missing)"
"""Stands where a signed header was not received."""

Parts = Mapping[str, str]
"""What a signature is made of, by part: the above, and `header:NAME` for each signed header's canonical value.

`key` is `date/region/service` that the signing key is derived for; `secret` names one of `Secrets`.
"""


def header_part(name: str) -> str:
    """The part that a signed header is."""
    return f"header:{name}"


@dataclass(frozen=True, slots=True)
class Variant:
    """A hypothesis: were these parts others, the signature would fit, because of this cause.

    `pairable`: likely enough to be tried together with another one.
    """

    cause: Cause
    changes: Mapping[str, str] = field(repr=False)
    pairable: bool = True


def canonical_request(parts: Parts, signed_headers: tuple[str, ...]) -> str:
    """The canonical request of these parts."""
    headers = "".join([f"{name}:{parts['header:' + name]}\n" for name in signed_headers])
    return f"{parts[METHOD]}\n{parts[PATH]}\n{parts[QUERY]}\n{headers}\n{';'.join(signed_headers)}\n{parts[PAYLOAD]}"


@dataclass(slots=True)
class Budget:
    """How much may be recomputed: so many times, and so many octets in all."""

    checks: int
    octets: int

    def take(self, octets: int) -> bool:
        """Whether one more recomputation of this size is allowed."""
        self.checks -= 1
        self.octets -= octets
        return self.checks >= 0 and self.octets >= 0


class Secrets:
    """Secrets by the name of the hypothesis that brings them; nothing here is ever shown."""

    __slots__ = ("_first_keys", "_seen", "_values")

    def __init__(self, own: str) -> None:
        """`own` is the secret of the key that the request names; empty: not known."""
        self._values = {OWN_SECRET: own} if own else {}
        self._first_keys = {name: _octets("AWS4" + value) for name, value in self._values.items()}
        self._seen = set(self._first_keys.values())

    def add(self, name: str, secret: str, start: str = "AWS4") -> bool:
        """Whether this secret was not there under another name; `start` is what the first key begins with."""
        first = _octets(start + secret)
        if first in self._seen:
            return False
        self._seen.add(first)
        self._values[name] = secret
        self._first_keys[name] = first
        return True

    def first_key(self, name: str) -> bytes | None:
        """What the derivation of a signing key starts with; None where the secret is not known."""
        return self._first_keys.get(name)

    def value(self, name: str) -> str | None:
        """The secret of this name; None where it is not known."""
        return self._values.get(name)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")


Judge = Callable[[Parts, str], bool]
"""Whether the signature fits these parts and the canonical request made of them."""


def judge_of(sighting: Sighting, knowledge: Knowledge, secrets: Secrets) -> Judge:
    """How this request's signature is checked."""
    if knowledge.check is not None:
        return _CheckJudge(knowledge.check, sighting)
    if sighting.algorithm == sigv4a.ALGORITHM:
        return _EcdsaJudge(sighting, secrets)
    return _HmacJudge(sighting, secrets)


class _HmacJudge:
    """AWS4-HMAC-SHA256."""

    __slots__ = ("_keys", "_secrets", "_signature")

    def __init__(self, sighting: Sighting, secrets: Secrets) -> None:
        self._signature = sighting.signature.lower().encode("latin-1")
        self._secrets = secrets
        self._keys: dict[tuple[str, str], bytes] = {}

    def __call__(self, parts: Parts, request: str) -> bool:
        """See `Judge`."""
        key = self._signing_key(parts[SECRET], parts[KEY])
        if key is None:
            return False
        text = canonical.string_to_sign(parts[DATE], parts[SCOPE], request)
        found = hmac.digest(key, text.encode("latin-1"), hashlib.sha256).hex()
        return hmac.compare_digest(found.encode(), self._signature)

    def _signing_key(self, secret: str, scope: str) -> bytes | None:
        key = self._keys.get((secret, scope))
        if key is None:
            key = self._secrets.first_key(secret)
            if key is None:
                return None
            for part in (*scope.split("/"), canonical.TERMINATOR):
                key = hmac.digest(key, part.encode("latin-1"), hashlib.sha256)
            self._keys[secret, scope] = key
        return key


class _EcdsaJudge:
    """AWS4-ECDSA-P256-SHA256: each hypothesis is checked with the secret's public key."""

    __slots__ = ("_keys", "_secrets", "_sighting")

    def __init__(self, sighting: Sighting, secrets: Secrets) -> None:
        self._sighting = sighting
        self._secrets = secrets
        self._keys = SigningKeys()

    def __call__(self, parts: Parts, request: str) -> bool:
        """See `Judge`."""
        secret = self._secrets.value(parts[SECRET])
        if secret is None or parts[KEY] != _key_scope(self._sighting):
            return False
        text = canonical.string_to_sign(parts[DATE], parts[SCOPE], request, sigv4a.ALGORITHM)
        key = self._keys.key_pair(self._sighting.access_key, secret).public_key()
        return sigv4a.is_signature(key, text, self._sighting.signature.lower())


class _CheckJudge:
    """A strategy that was given: it knows of one secret only."""

    __slots__ = ("_check", "_key")

    def __init__(self, check: Callable[[str, str, str], bool], sighting: Sighting) -> None:
        self._check = check
        self._key = _key_scope(sighting)

    def __call__(self, parts: Parts, request: str) -> bool:
        """See `Judge`."""
        if parts[SECRET] != OWN_SECRET or parts[KEY] != self._key:
            return False
        return self._check(request, parts[DATE], parts[SCOPE])


def _key_scope(sighting: Sighting) -> str:
    return f"{sighting.date}/{sighting.region}/{sighting.service}"
