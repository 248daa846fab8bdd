"""A request to be explained, taken apart once for all hypotheses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical, sigv4a
from osp_gateway.sigv4.explain import attempt
from osp_gateway.sigv4.explain.attempt import MISSING, Secrets, header_part
from osp_gateway.sigv4.explain.knowledge import Knowledge
from osp_gateway.sigv4.explain.reading import Sighting

MAX_PLACES: Final = 16
MAX_CHOSEN: Final = 4
"""Of so many places, every choice is tried; of more, each alone and all of them."""


@dataclass(frozen=True, slots=True)
class Case:
    """One signature of one request.

    `parts` are what the gateway signs of what it received; `pairs` the query that is signed, canonically encoded and
    in the order received; `missing` the signed headers that did not arrive.
    """

    head: RequestHead
    sighting: Sighting
    knowledge: Knowledge = field(repr=False)
    secrets: Secrets = field(repr=False)
    pairs: tuple[Pair, ...]
    parts: attempt.Parts = field(repr=False)
    missing: tuple[str, ...]

    @property
    def raw_query(self) -> str:
        """The query as received, without the signature."""
        return without_signature(self.head.query)

    def header(self, name: str) -> str | None:
        """A signed header's canonical value as received; None where it is not signed or did not arrive."""
        value = self.parts.get(header_part(name))
        return None if value == MISSING else value


def open_case(head: RequestHead, sighting: Sighting, knowledge: Knowledge) -> Case:
    """What one signature should have been made of."""
    pairs = query_pairs(head.query)
    if sighting.presigned:
        pairs = tuple([pair for pair in pairs if not _is_signature_name(pair[0])])
    parts = {
        attempt.METHOD: head.method,
        attempt.PATH: lenient_path(head.path),
        attempt.QUERY: canonical.canonical_query(pairs),
        attempt.PAYLOAD: sighting.payload_hash or MISSING,
        attempt.DATE: sighting.amz_date,
        attempt.SCOPE: sighting.credential_scope,
        attempt.KEY: f"{sighting.date}/{sighting.region}/{sighting.service}",
        attempt.SECRET: attempt.OWN_SECRET,
    }
    missing = []
    for name in sighting.signed_headers:
        values = head.fields.get(name)
        if values is None:
            missing.append(name)
        parts[header_part(name)] = MISSING if values is None else canonical.header_value(values)
    return Case(head, sighting, knowledge, Secrets(knowledge.secret), pairs, parts, tuple(missing))


def scope_of(case: Case, date: str, region: str, service: str) -> str:
    """A credential scope in the form of the case's algorithm."""
    pieces = [date, service] if case.sighting.algorithm == sigv4a.ALGORITHM else [date, region, service]
    return "/".join([*pieces, canonical.TERMINATOR])


def lenient_path(path: str) -> str:
    """The canonical path, or the path itself where its percent-encoding is broken."""
    try:
        return encoding.canonical_path(path)
    except ValueError:
        return path


def query_pairs(query: str) -> tuple[Pair, ...]:
    """The canonically encoded pairs of a query, or what comes nearest where its percent-encoding is broken."""
    try:
        return encoding.parse_query(query)
    except ValueError:
        pieces = [piece.partition("=") for piece in query.split("&") if piece]
        return tuple([(_lenient(name), _lenient(value)) for name, _, value in pieces])


def without_signature(query: str) -> str:
    """A raw query without the parameter that carries the signature."""
    return "&".join([piece for piece in query.split("&") if not _is_signature_name(piece.partition("=")[0])])


def some_replaced(text: str, old: str, new: str) -> Iterator[str]:
    """The text with all of these replaced, then with some: every choice where they are few, each one otherwise."""
    places = [match.start() for match in re.finditer(re.escape(old), text)][:MAX_PLACES]
    if not places:
        return
    yield text.replace(old, new)
    choices = range(1, 2 ** len(places) - 1) if len(places) <= MAX_CHOSEN else (1 << n for n in range(len(places)))
    for choice in choices:
        kept, position = [], 0
        for number, place in enumerate(places):
            if choice >> number & 1:
                kept += [text[position:place], new]
                position = place + len(old)
        yield "".join([*kept, text[position:]])


def _is_signature_name(name: str) -> bool:
    return name.lower() in ("x-amz-signature", "amp%3bx-amz-signature", "amp;x-amz-signature")


def _lenient(text: str) -> str:
    try:
        return encoding.canonical_component(text)
    except ValueError:
        return encoding.encode(text.encode("latin-1"))
