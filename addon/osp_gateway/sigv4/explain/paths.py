"""Hypotheses about the path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.sigv4 import canonical
from osp_gateway.sigv4.explain.attempt import PATH, QUERY, Variant
from osp_gateway.sigv4.explain.case import Case, lenient_path, query_pairs, some_replaced, without_signature
from osp_gateway.sigv4.explain.knowledge import Cause, shown

MAX_POSITIONS: Final = 24
"""Places in a path at which something may have been taken out."""
_ORIGINAL_TARGET: Final = ("x-original-uri", "x-original-url", "x-rewrite-url", "x-envoy-original-path")
_ORIGINAL_TARGETS: Final = (*_ORIGINAL_TARGET, "x-forwarded-uri", "x-forwarded-path", "x-replaced-path")
_PREFIX_HEADERS: Final = ("x-forwarded-prefix", "x-script-name", "x-ingress-path")
_PREFIXES: Final = ("s3", "storage", "minio", "api", "objects", "gateway", "proxy", "cos", "aws", "files", "data")
_ESCAPE: Final = re.compile(r"%[0-9A-F]{2}")
_SUB_DELIMITERS: Final = "!$&'()*+,;=:@"
_AS_IT_CAME: Final = (
    "Let the proxy in front pass the path on as it came (nginx: proxy_pass without a path behind the host)."
)


def path_variants(case: Case) -> Iterator[Variant]:
    """Another path was signed than came."""
    path = case.parts[PATH]
    yield from _from_headers(case, path)
    yield from _encoded_otherwise(case, path)
    yield from _prefixes(case, path)
    yield from _slashes_and_dots(path)
    yield from _decoded(case, path)
    yield from _signed_otherwise(case, path)


def _from_headers(case: Case, path: str) -> Iterator[Variant]:
    """A proxy tells what it received."""
    for header in _ORIGINAL_TARGETS:
        value = case.head.get(header) or ""
        target, _, query = value.partition("?")
        if not target.startswith("/"):
            continue
        signed = lenient_path(target)
        name = "path-prefix-stripped" if signed.endswith(path) and signed != path else "path-rewritten"
        what = f"The path was rewritten on the way; {header} still has the one that was signed"
        yield _path(name, what, path, signed, _AS_IT_CAME)
        if query:
            changed = {PATH: signed, QUERY: canonical.canonical_query(query_pairs(without_signature(query)))}
            sentence = f"The path and the query were rewritten on the way; {header} still has those that were signed."
            yield Variant(Cause("target-rewritten", f"{sentence} {_AS_IT_CAME}"), changed)
    for header in _PREFIX_HEADERS:
        value = (case.head.get(header) or "").rstrip("/")
        if value.startswith("/"):
            what = f"A prefix of the path was stripped on the way; {header} still has it"
            yield _path("path-prefix-stripped", what, path, lenient_path(value) + path, _AS_IT_CAME)


def _encoded_otherwise(case: Case, path: str) -> Iterator[Variant]:
    raw = case.head.path
    if "%25" in path:
        what = "The path was percent-encoded once more on the way"
        yield _path("path-double-encoded", what, path, lenient_path(path.replace("%25", "%")), _AS_IT_CAME)
    twice = encoding.encode(raw.encode("latin-1"), "/")
    try:
        encoding.decode(raw)
    except ValueError:
        yield _path("path-decoded", "The path was percent-decoded on the way", path, twice, _AS_IT_CAME)
    advice = (
        "S3 signs the path encoded once: the client must not encode it again when it signs (in AWS SDKs: the S3 "
        "signer, not the generic one). Or a proxy in front decoded a path that was encoded twice."
    )
    for signed in (encoding.encode(path.encode("latin-1"), "/"), twice):
        yield _path("path-encoded-twice", "The client signed the path encoded once more", path, signed, advice)
    what = "A plus in the path was taken for a blank on the way"
    for signed in some_replaced(path, "%20", "%2B"):
        yield _path("path-plus-became-blank", what, path, signed, _AS_IT_CAME)
    what = "A blank in the path was signed as %20, and came as a plus"
    advice = "Only in a form's query is a plus a blank: write %20 in paths."
    for signed in some_replaced(path, "%2B", "%20"):
        yield _path("path-blank-became-plus", what, path, signed, advice)
    if "%2B" in path:
        what = "A plus in the path was signed as it is"
        yield _path("path-signed-as-sent", what, path, path.replace("%2B", "+"), "Encode it as %2B when signing.")


def _prefixes(case: Case, path: str) -> Iterator[Variant]:
    pieces = path.split("/")
    for count in range(1, min(4, len(pieces) - 1)):
        prefix = "/".join(pieces[: count + 1])
        what = f"The prefix {shown(prefix)} was added to the path on the way"
        yield _path("path-prefix-added", what, path, "/" + "/".join(pieces[count + 1 :]), _AS_IT_CAME)
    if len(pieces) == 2 and pieces[1]:
        what = f"The prefix {shown(path)} was added to the path on the way"
        yield _path("path-prefix-added", what, path, "/", _AS_IT_CAME)
    for prefix in dict.fromkeys((*case.knowledge.prefixes[:12], *_PREFIXES)):
        prefix = "/" + prefix.strip("/")
        what = f"The prefix {shown(prefix)} was stripped from the path on the way"
        advice = f"{_AS_IT_CAME} Or give clients an address without the prefix."
        yield _path("path-prefix-stripped", what, path, prefix + path, advice)


def _slashes_and_dots(path: str) -> Iterator[Variant]:
    what = "The slash at the end of the path is another"
    if path.endswith("/") and path != "/":
        yield _path("path-trailing-slash", what, path, path[:-1], _AS_IT_CAME)
    yield _path("path-trailing-slash", what, path, path + "/", _AS_IT_CAME)
    advice = "nginx: merge_slashes off, proxy_pass without a path; Envoy: merge_slashes and normalize_path off."
    collapsed = re.sub("/{2,}", "/", path)
    what = "The client signed a normalised path but sent another"
    if collapsed != path:
        yield _path("path-signed-normalised", what, path, collapsed, "S3 signs paths as they are.")
    if "/." in path:
        yield _path("path-signed-normalised", what, path, _without_dots(path), "S3 signs paths as they are.")
        yield _path("path-signed-normalised", what, path, _without_dots(collapsed), "S3 signs paths as they are.")
    positions = [index for index, char in enumerate(path) if char == "/"][:MAX_POSITIONS]
    what = "The path was normalised on the way"
    for extra in ("/", "//", "/.", "/.."):
        for position in positions:
            yield _path("path-normalised", what, path, path[:position] + extra + path[position:], advice)
    for position in positions:
        segment = path[position + 1 :].partition("/")[0]
        if segment:
            signed = f"{path[:position]}/{segment}/..{path[position:]}"
            yield _path("path-normalised", what, path, signed, advice)


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4."""
    kept: list[str] = []
    pieces = path.split("/")[1:]
    for piece in pieces:
        if piece == "..":
            del kept[-1:]
        elif piece != ".":
            kept.append(piece)
    tail = "/" if pieces[-1] in (".", "..") and kept else ""
    return "/" + "/".join(kept) + tail


def _decoded(case: Case, path: str) -> Iterator[Variant]:
    """%2F, %3F and %25 mean something else once they are decoded."""
    what = "The path was percent-decoded on the way"
    advice = (
        f"{_AS_IT_CAME} Envoy: path_with_escaped_slashes_action KEEP_UNCHANGED; Apache: AllowEncodedSlashes NoDecode."
    )
    slashes = [index for index, char in enumerate(path) if char == "/"][1:MAX_POSITIONS]
    for index in reversed(slashes):
        yield _path("path-decoded", what, path, f"{path[:index]}%2F{path[index + 1 :]}", advice)
    if len(slashes) > 1:
        bucket, _, key = path[1:].partition("/")
        signed = f"/{bucket}/" + key.replace("/", "%2F")
        yield _path("path-decoded", what, path, signed, advice)
        yield _path("path-decoded", what, path, "/" + path[1:].replace("/", "%2F"), advice)
    if case.head.query and not case.sighting.presigned:
        rest = encoding.encode(lenient_octets(case.head.query), "/")
        changes = {PATH: f"{path}%3F{rest}", QUERY: ""}
        sentence = f"A %3F in the path was decoded on the way, and what followed became the query. {advice}"
        yield Variant(Cause("path-decoded", sentence), changes)


def lenient_octets(text: str) -> bytes:
    """The octets that a percent-encoded text stands for, or its own where it is broken."""
    try:
        return encoding.decode(text)
    except ValueError:
        return text.encode("latin-1")


def _signed_otherwise(case: Case, path: str) -> Iterator[Variant]:
    """A client whose canonical path is not S3's."""
    lower = _ESCAPE.sub(lambda match: match[0].lower(), path)
    advice = "Canonical paths have upper-case hex digits: %2F, not %2f."
    yield _path("path-lowercase-hex", "The client signed the path with lower-case hex digits", path, lower, advice)
    octets = lenient_octets(case.head.path)
    advice = "Canonical paths encode all but letters, digits, '-', '.', '_', '~' and '/', each octet once."
    what = "The client signed the path as it was sent, not in its canonical form"
    yield _path("path-signed-as-sent", what, path, case.head.path, advice)
    what = "The client encoded other characters of the path than S3 does when it signed"
    for safe in ("/" + _SUB_DELIMITERS, "/:@", "/!'()*", "/=", "/&$@=;:+,", "/+", "/*", "/!*'();:@&=+$,[]"):
        yield _path("path-encoded-otherwise", what, path, encoding.encode(octets, safe), advice)
    yield _path("path-encoded-otherwise", what, path, path.replace("~", "%7E"), advice)
    yield _path("path-encoded-otherwise", what, path, path.replace("/", "%2F").replace("%2F", "/", 1), advice)
    yield from _unicode(octets, path)
    what = "The path was unescaped when it was signed"
    yield _path("path-signed-decoded", what, path, octets.decode("latin-1"), advice)


def _unicode(octets: bytes, path: str) -> Iterator[Variant]:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return
    what = "The key's letters with accents were composed otherwise on the way (Unicode NFC, NFD)"
    for form in ("NFC", "NFD"):
        signed = encoding.encode(unicodedata.normalize(form, text).encode(), "/")
        yield _path("path-unicode", what, path, signed, "Use the key in one form everywhere.")
    if not text.isascii() and all(ord(char) < 256 for char in text):
        signed = encoding.encode(text.encode("latin-1"), "/")
        yield _path("path-unicode", "The key was signed in latin-1, not in UTF-8", path, signed, "Sign it in UTF-8.")


def _path(name: str, what: str, received: str, signed: str, advice: str) -> Variant:
    sentence = f"{what}: found {shown(received)}, signed {shown(signed)}. {advice}"
    return Variant(Cause(name, sentence), {PATH: signed}, name not in _UNLIKELY)


_UNLIKELY: Final = frozenset(
    {"path-encoded-otherwise", "path-unicode", "path-signed-decoded", "path-signed-as-sent", "path-lowercase-hex"}
)
