"""Why a signature does not match: recompute it under named hypotheses until one fits.

A hypothesis replaces some parts of what is signed: the Host header, the path, the secret. Each is tried alone, the
likeliest first, then in pairs. One that fits is a proof: nobody without the secret can make a signature that does.

The work is bounded: `MAX_CHECKS` recomputations (`MAX_ECDSA_CHECKS` where each is a check with a public key) and
`MAX_OCTETS` hashed, and heads above the sizes named below are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical, sigv4a
from osp_gateway.sigv4.explain import attempt, checklist
from osp_gateway.sigv4.explain.addressing import host_variants, method_variants
from osp_gateway.sigv4.explain.attempt import Budget, Judge, Parts, Variant, judge_of
from osp_gateway.sigv4.explain.case import Case, open_case
from osp_gateway.sigv4.explain.facts import facts
from osp_gateway.sigv4.explain.fields import dropped_headers, header_variants
from osp_gateway.sigv4.explain.knowledge import Cause, Knowledge
from osp_gateway.sigv4.explain.paths import path_variants
from osp_gateway.sigv4.explain.queries import query_variants
from osp_gateway.sigv4.explain.reading import Sighting, sightings
from osp_gateway.sigv4.explain.report import Explanation, Redaction, rows
from osp_gateway.sigv4.explain.scopes import date_variants, expiry_variants, scope_variants
from osp_gateway.sigv4.explain.secrets import secret_variants

MAX_CHECKS: Final = 5000
MAX_ECDSA_CHECKS: Final = 400
MAX_OCTETS: Final = 16 * 1024 * 1024
MAX_PAIRED: Final = 90
"""So many hypotheses are tried in pairs."""
MAX_VARIANTS: Final = 1500
MAX_HEAD_OCTETS: Final = 64 * 1024
MAX_TARGET_OCTETS: Final = 16 * 1024
MAX_FIELDS: Final = 200
MAX_SIGNED_HEADERS: Final = 64
MAX_PARAMETERS: Final = 256


def explain(head: RequestHead, knowledge: Knowledge) -> Explanation:
    """Find out why a request's signature does not match, or why it is refused although it does. Never raises.

    Args:
        head: the head as it was received.
        knowledge: the secret, and what else is known.
    """
    redaction = Redaction(knowledge, head)
    found = [] if _is_too_large(head) else sightings(head)[:2]
    found = [sighting for sighting in found if len(sighting.signed_headers) <= MAX_SIGNED_HEADERS]
    if not found:
        reason = checklist.too_large() if _is_too_large(head) or sightings(head) else checklist.unsigned(head)
        return redaction.explanation(matches=False, causes=(), checklist=reason)
    explained: Explanation | None = None
    for sighting in found:
        case = open_case(head, sighting, knowledge)
        latest = _explain(case, redaction)
        if latest.matches or any(cause.proven for cause in latest.causes):
            return latest
        explained = explained or latest
    assert explained is not None
    return explained


def _is_too_large(head: RequestHead) -> bool:
    return (
        len(head.path) + len(head.query) > MAX_TARGET_OCTETS
        or len(head.headers) > MAX_FIELDS
        or head.query.count("&") >= MAX_PARAMETERS
        or sum(len(name) + len(value) for name, value in head.headers) > MAX_HEAD_OCTETS
    )


def _explain(case: Case, redaction: Redaction) -> Explanation:
    budget = _budget(case)
    judge = judge_of(case.sighting, case.knowledge, case.secrets)
    found = _search(case, judge, budget)
    if found is None:
        causes = (*_dropped(case), *facts(case, None))
        return _report(case, redaction, causes, case.parts, known=False)
    causes, parts = found
    causes = (*causes, *facts(case, parts))
    return _report(case, redaction, causes, parts, known=True)


def _budget(case: Case) -> Budget:
    usual = MAX_ECDSA_CHECKS if case.sighting.algorithm == sigv4a.ALGORITHM else MAX_CHECKS
    return Budget(case.knowledge.max_checks or usual, MAX_OCTETS)


def _dropped(case: Case) -> tuple[Cause, ...]:
    """Signed headers that did not arrive are a cause, also where their values are not to be guessed."""
    causes = dropped_headers(case)[0][0]
    return tuple(Cause(cause.name, cause.sentence, proven=False) for cause in causes)


def _search(case: Case, judge: Judge, budget: Budget) -> tuple[tuple[Cause, ...], Parts] | None:
    """The causes under which the signature fits, with the parts that were signed."""
    for causes, parts in _attempts(case):
        request = attempt.canonical_request(parts, case.sighting.signed_headers)
        if not budget.take(len(request)):
            return None
        if judge(parts, request):
            return causes, parts
    return None


def _attempts(case: Case) -> Iterator[tuple[tuple[Cause, ...], Parts]]:
    """What could have been signed: as it came, then with one change, then with two."""
    bases = dropped_headers(case)
    yield from bases
    variants = _variants(case)
    for causes, parts in bases:
        for variant in variants:
            yield (*causes, variant.cause), {**parts, **variant.changes}
    pairable = [variant for variant in variants if variant.pairable][:MAX_PAIRED]
    for causes, parts in bases:
        for first, second in _pairs(pairable):
            yield (*causes, first.cause, second.cause), {**parts, **first.changes, **second.changes}


def _variants(case: Case) -> list[Variant]:
    """All hypotheses that change anything, the likeliest first, each change once."""
    seen: set[tuple[tuple[str, str], ...]] = set()
    found: list[Variant] = []
    for variant in _all_variants(case):
        changes = tuple(variant.changes.items())
        if changes in seen or all(case.parts.get(part) == value for part, value in changes):
            continue
        if not all(_is_octets(value) for _, value in changes):
            continue
        seen.add(changes)
        found.append(variant)
        if len(found) >= MAX_VARIANTS:
            break
    return found


def _is_octets(text: str) -> bool:
    """Whether each character stands for an octet; letters of latin-1 may have an upper case outside of it."""
    return text.isascii() or max(text) <= "\xff"


def _all_variants(case: Case) -> Iterator[Variant]:
    """From each family in turn, so that the likeliest of all families come first."""
    families: Iterable[Iterator[Variant]] = (
        host_variants(case),
        header_variants(case),
        iter(()) if case.knowledge.check else secret_variants(case),
        path_variants(case),
        query_variants(case),
        method_variants(case),
        scope_variants(case),
        date_variants(case),
        expiry_variants(case),
    )
    waiting = list(families)
    while waiting:
        left = []
        for family in waiting:
            variant = next(family, None)
            if variant is not None:
                yield variant
                left.append(family)
        waiting = left


def _pairs(variants: list[Variant]) -> Iterator[tuple[Variant, Variant]]:
    """Two that change different parts, the likeliest pairs first."""
    for total in range(1, 2 * len(variants) - 2):
        for index in range(max(0, total - len(variants) + 1), (total + 1) // 2):
            first, second = variants[index], variants[total - index]
            if first.changes.keys().isdisjoint(second.changes):
                yield first, second


def _report(case: Case, redaction: Redaction, causes: tuple[Cause, ...], parts: Parts, *, known: bool) -> Explanation:
    signed = case.sighting.signed_headers
    request = attempt.canonical_request(case.parts, signed)
    expected = attempt.canonical_request(parts, signed) if known else None
    return redaction.explanation(
        matches=known and parts == case.parts,
        causes=causes,
        canonical_request=request,
        string_to_sign=_string_to_sign(case.sighting, request),
        expected_canonical_request=expected,
        checklist=() if known else checklist.where_nothing_matches(case),
        rows=rows(case, parts if known else None),
    )


def _string_to_sign(sighting: Sighting, request: str) -> str:
    return canonical.string_to_sign(sighting.amz_date, sighting.credential_scope, request, sighting.algorithm)
