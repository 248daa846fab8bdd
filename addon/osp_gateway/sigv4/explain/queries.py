"""Hypotheses about the query."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.sigv4.canonical import canonical_query
from osp_gateway.sigv4.explain.attempt import QUERY, Variant
from osp_gateway.sigv4.explain.case import Case, some_replaced
from osp_gateway.sigv4.explain.knowledge import Cause, shown
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS

MAX_LEFT_OUT: Final = 48
"""So many parameters are left out one by one."""
_TRACKING: Final = re.compile(
    r"(utm_.*|mtm_.*|pk_.*|fbclid|gclid|dclid|msclkid|yclid|igshid|twclid|mc_cid|mc_eid|_ga|_gl|_hs.*|ref|cb|_|_dc|nocache|"
    r"cachebust(er)?|ts|timestamp|v|rnd|random)\Z",
    re.IGNORECASE,
).match
_LOST: Final = (
    ("list-type", "2"),
    ("encoding-type", "url"),
    ("delimiter", "%2F"),
    ("delimiter", ""),
    ("prefix", ""),
    ("fetch-owner", "true"),
    ("fetch-owner", "false"),
    ("fetch-owner", ""),
    ("max-keys", "1000"),
    ("max-keys", "1"),
    ("max-keys", "5000"),
    ("marker", ""),
    ("start-after", ""),
    ("continuation-token", ""),
    ("x-id", "GetObject"),
    ("x-id", "PutObject"),
    ("x-id", "ListBuckets"),
    ("x-id", "DeleteObject"),
    ("x-id", "UploadPart"),
    ("x-id", "CopyObject"),
    ("x-id", "UploadPartCopy"),
    ("x-id", "AbortMultipartUpload"),
    ("uploads", ""),
    ("delete", ""),
    ("location", ""),
    ("acl", ""),
    ("tagging", ""),
    ("versions", ""),
    ("versioning", ""),
    ("policy", ""),
    ("lifecycle", ""),
    ("cors", ""),
    ("encryption", ""),
    ("object-lock", ""),
    ("retention", ""),
    ("attributes", ""),
    ("website", ""),
    ("session", ""),
)
"""Parameters of S3 that proxies lose: those with an empty value, and those that SDKs add on their own."""
_AS_IT_CAME: Final = "Let the proxy in front pass the query on as it came."


def query_variants(case: Case) -> Iterator[Variant]:
    """Another query was signed than came."""
    pairs = case.pairs
    yield from _repaired(case)
    yield from _added(case)
    yield from _encoded_otherwise(case)
    yield from _written_otherwise(case)
    yield from _removed(pairs)
    yield from _split(pairs)


def _repaired(case: Case) -> Iterator[Variant]:
    """A presigned URL that was broken when it was copied."""
    repairs = case.sighting.query_repairs
    if "html" in repairs:
        pairs = [(name.removeprefix("amp%3B"), value) for name, value in case.pairs]
        what = 'The URL was copied from HTML: "&" became "&amp;"'
        yield _query("query-html-escaped", what, case, pairs, "Decode the entities before the URL is used.")
    if "encoding" in repairs:
        what = "The URL was percent-encoded once more"
        yield _query("query-double-encoded", what, case, _mapped(case.pairs, _once_less), "Use the URL as it was made.")
    if "case" in repairs:
        names = {name.lower(): name for name in AUTH_PARAMETERS}
        pairs = [(names.get(name.lower(), name), value) for name, value in case.pairs]
        what = "Names of parameters changed between upper and lower case"
        yield _query("query-case", what, case, pairs, _AS_IT_CAME)


def _added(case: Case) -> Iterator[Variant]:
    pairs = case.pairs
    removable = [pair for pair in pairs if pair[0] not in AUTH_PARAMETERS]
    tracking = [pair for pair in removable if _TRACKING(pair[0])]
    single = [*tracking, *(pair for pair in reversed(removable) if pair not in tracking)]
    for number, pair in enumerate(dict.fromkeys(single[:MAX_LEFT_OUT])):
        yield _without(case, [pair], f"query-parameter-added:{encoding.decode(pair[0]).decode('latin-1')}", number < 8)
    if len(tracking) > 1:
        yield _without(case, tracking, "query-parameters-added", True)
    foreign = [pair for pair in removable if not _is_known(pair[0])]
    if len(foreign) > 1:
        yield _without(case, foreign, "query-parameters-added", True)
    if len(removable) > 1:
        yield _without(case, removable, "query-parameters-added", True)
    doubled = list(dict.fromkeys(pairs))
    if len(doubled) < len(pairs):
        what = "Parameters of the query came twice"
        yield _query("query-parameter-doubled", what, case, doubled, _AS_IT_CAME)


def _without(case: Case, left_out: list[Pair], name: str, pairable: bool) -> Variant:
    names = ", ".join(shown(encoding.decode(pair[0]).decode("latin-1")) for pair in left_out[:8])
    many = "Parameters were" if len(left_out) > 1 else "A parameter was"
    sentence = (
        f"{many} added to the query after signing: {names}. Whatever adds it (a proxy, a tracker, a cache buster) must "
        "leave S3 requests alone, or the client must sign it."
    )
    rest = [pair for pair in case.pairs if pair not in left_out]
    return Variant(Cause(name, sentence), {QUERY: canonical_query(rest)}, pairable)


def _is_known(name: str) -> bool:
    return name in AUTH_PARAMETERS or name.lower().startswith("x-amz-") or name in {known for known, _ in _LOST}


def _encoded_otherwise(case: Case) -> Iterator[Variant]:
    pairs = case.pairs
    what = "The query was percent-encoded once more on the way"
    yield _query("query-double-encoded", what, case, _mapped(pairs, _once_less), _AS_IT_CAME)
    what = "A blank in the query was signed as %20, and came as a plus"
    advice = "S3 takes a plus in the query for a plus: write %20 when the request is sent, as when it is signed."
    for signed in _some_replaced(pairs, "%2B", "%20"):
        yield _query("query-blank-became-plus", what, case, signed, advice)
    what = "A plus in the query was taken for a blank on the way"
    for signed in _some_replaced(pairs, "%20", "%2B"):
        yield _query("query-plus-became-blank", what, case, signed, _AS_IT_CAME)
    what = "A plus stands in the query for a blank, and was signed as a plus sign"
    advice = "Write and sign a blank as %20."
    yield _query("query-plus-signed", what, case, _mapped(pairs, lambda t: t.replace("%20", "+")), advice)
    yield _query("query-plus-signed", what, case, _mapped(pairs, lambda t: t.replace("%2B", "+")), advice)
    what = "The query was signed encoded once more: the client encodes it twice, or a proxy decoded it"
    advice = "S3 signs names and values encoded once."
    yield _query("query-encoded-twice", what, case, _mapped(pairs, lambda t: t.replace("%", "%25")), advice)
    twice = [(_again(name), _again(value)) for name, _, value in (p.partition("=") for p in case.raw_query.split("&"))]
    yield _query("query-encoded-twice", what, case, twice, advice)


def _written_otherwise(case: Case) -> Iterator[Variant]:
    """A client whose canonical query is not S3's."""
    pairs = case.pairs
    if not pairs:
        return
    alone = "&".join([name if not value else f"{name}={value}" for name, value in sorted(pairs)])
    what = "A parameter without a value was signed without its '='"
    yield _text("query-empty-value", what, case, alone, "Sign it as `name=`, however it is sent.")
    raw = case.raw_query
    what = "The query was not sorted when it was signed"
    advice = "Sort the encoded parameters by name, then by value, before signing."
    yield _text("query-unsorted", what, case, "&".join([f"{name}={value}" for name, value in pairs]), advice)
    yield _text("query-unsorted", what, case, "&".join(sorted(f"{name}={value}" for name, value in pairs)), advice)
    by_case = sorted(pairs, key=lambda pair: (pair[0].lower(), pair[1]))
    yield _text("query-unsorted", what, case, "&".join([f"{name}={value}" for name, value in by_case]), advice)
    decoded = sorted(pairs, key=lambda pair: (encoding.decode(pair[0]), encoding.decode(pair[1])))
    yield _text("query-unsorted", what, case, "&".join([f"{name}={value}" for name, value in decoded]), advice)
    what = "The query was signed as it was sent, not in its canonical form"
    advice = "Encode each name and value once, all but letters, digits, '-', '.', '_' and '~', and sort them."
    yield _text("query-signed-as-sent", what, case, raw, advice)
    yield _text("query-signed-as-sent", what, case, "&".join(sorted(raw.split("&"))), advice)
    what = "A slash in the query was not encoded when it was signed"
    yield _query("query-slash-not-encoded", what, case, _mapped(pairs, lambda t: t.replace("%2F", "/")), advice)
    what = "The query was signed with lower-case hex digits"
    lower = re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), case.parts[QUERY])
    yield _text("query-lowercase-hex", what, case, lower, "Canonical queries have upper-case hex digits.")
    what = "The query was encoded otherwise when it was signed"
    yield _query("query-encoded-otherwise", what, case, _mapped(pairs, lambda t: t.replace("~", "%7E")), advice)
    yield _query("query-encoded-otherwise", what, case, _mapped(pairs, lambda t: t.replace("%3D", "=")), advice)
    what = "The query was left out when it was signed"
    yield _text("query-not-signed", what, case, "", "The canonical request holds the query, too.")


def _removed(pairs: tuple[Pair, ...]) -> Iterator[Variant]:
    present = {name for name, _ in pairs}
    for name, value in _LOST:
        if name not in present:
            written = f"{name}={value}" if value else name
            sentence = (
                f"A parameter was removed from the query on the way: {shown(written)} was signed. Let the proxy in "
                "front pass the query on as it came, parameters without a value included."
            )
            changed = {QUERY: canonical_query((*pairs, (name, value)))}
            yield Variant(Cause(f"query-parameter-removed:{name}", sentence), changed, name in ("x-id", "delimiter"))


def _split(pairs: tuple[Pair, ...]) -> Iterator[Variant]:
    """A %26 that was decoded splits a value in two."""
    for index in range(1, min(len(pairs), MAX_LEFT_OUT)):
        (name, value), (rest, tail) = pairs[index - 1], pairs[index]
        for whole in dict.fromkeys(
            (f"{value}%26{rest}" + (f"%3D{tail}" if tail else ""), f"{value}%26{rest}%3D{tail}")
        ):
            merged = (*pairs[: index - 1], (name, whole), *pairs[index + 1 :])
            sentence = f"A %26 in the query was decoded on the way, which split {shown(name)} in two. {_AS_IT_CAME}"
            yield Variant(Cause("query-decoded", sentence), {QUERY: canonical_query(merged)}, pairable=False)


def _mapped(pairs: Iterable[Pair], change: Callable[[str], str]) -> list[Pair]:
    return [(change(name), change(value)) for name, value in pairs]


def _some_replaced(pairs: Iterable[Pair], old: str, new: str) -> Iterator[list[Pair]]:
    written = "&".join([f"{name}={value}" for name, value in pairs])
    for text in some_replaced(written, old, new):
        yield [(name, value) for name, _, value in (piece.partition("=") for piece in text.split("&"))]


def _once_less(text: str) -> str:
    if "%25" not in text:
        return text
    try:
        return encoding.canonical_component(text.replace("%25", "%"))
    except ValueError:
        return text


def _again(text: str) -> str:
    return encoding.encode(text.encode("latin-1"))


def _query(name: str, what: str, case: Case, signed: Iterable[Pair], advice: str) -> Variant:
    return _text(name, what, case, canonical_query(signed), advice)


def _text(name: str, what: str, case: Case, signed: str, advice: str) -> Variant:
    found, wanted = _difference(case.parts[QUERY], signed)
    sentence = f"{what}: found {shown(found)}, signed {shown(wanted)}. {advice}"
    return Variant(Cause(name, sentence), {QUERY: signed}, name not in _UNLIKELY)


def _difference(found: str, signed: str) -> tuple[str, str]:
    """The parameters that differ, or the whole queries where only their order does; never a session token."""
    ours, theirs = found.split("&"), signed.split("&")
    here, there = set(ours), set(theirs)
    only = [piece for piece in ours if piece not in there], [piece for piece in theirs if piece not in here]
    left, right = ("&".join(map(_without_token, pieces)) for pieces in (only if any(only) else (ours, theirs)))
    return left, right


def _without_token(piece: str) -> str:
    return "X-Amz-Security-Token=..." if "security-token" in piece.lower() else piece


_UNLIKELY: Final = frozenset(
    {
        "query-unsorted",
        "query-signed-as-sent",
        "query-slash-not-encoded",
        "query-lowercase-hex",
        "query-encoded-otherwise",
        "query-not-signed",
        "query-plus-signed",
    }
)
