"""What happens to signed requests on their way, and to those who sign them: a table of ways to break a signature.

A mangler takes a request and gives what arrives, or None where it does not apply (a port that is not there cannot be
dropped). support/manglers.py names with each what the explainer must find. Faults of clients are made by `sign`, a
small signer of our own that knows nothing of the gateway's code.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote

from support.explain_corpus import KEY, SECRET
from support.signing import Raw

Mangle = Callable[[Raw], Raw | None]
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
OTHER_KEY = "AKIDFAKEOTHERKEY0000"
OTHER_SECRET = "another-fake-secret-of-another-key"


@dataclass(frozen=True)
class Mangler:
    """A way to break a signature, and the names of the causes to be found."""

    mangle: Mangle
    causes: tuple[str, ...]


# A signer of our own


@dataclass(frozen=True)
class Claimed:
    """What a request says of its signature."""

    date: str
    day: str
    region: str
    signed: tuple[str, ...]
    presigned: bool


def claimed(raw: Raw) -> Claimed:
    """Of a right request."""
    if is_presigned(raw):
        query = dict(parse_qsl(raw.target.partition("?")[2], keep_blank_values=True))
        day, region = query["X-Amz-Credential"].split("/")[1:3]
        return Claimed(query["X-Amz-Date"], day, region, tuple(query["X-Amz-SignedHeaders"].split(";")), True)
    authorization = raw.header("authorization")
    day, region = authorization.partition("Credential=")[2].split("/")[1:3]
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0]
    return Claimed(raw.header("x-amz-date"), day, region, tuple(signed.split(";")), False)


def sign(
    raw: Raw,
    *,
    secret: str = SECRET,
    method: str | None = None,
    path: str | None = None,
    query: str | None = None,
    headers: Mapping[str, str] | None = None,
    payload: str | None = None,
    date: str | None = None,
    day: str | None = None,
    key_day: str | None = None,
    region: str | None = None,
    key_region: str | None = None,
    service: str = "s3",
    start: str = "AWS4",
) -> Raw:
    """The request with the signature of a client that takes these for its parts, otherwise as it was."""
    said = claimed(raw)
    raw_path, _, raw_query = raw.target.partition("?")
    values = {name: " ".join(value.split()) for name, value in ((n.lower(), v) for n, v in raw.headers)}
    values |= headers or {}
    if payload is None:
        given = dict(parse_qsl(raw_query)).get("X-Amz-Content-Sha256")
        payload = (given or "UNSIGNED-PAYLOAD") if said.presigned else values["x-amz-content-sha256"]
    lines = [
        method or raw.method,
        quote(unquote(raw_path), safe="/~") if path is None else path,
        canonical_query(raw_query) if query is None else query,
        *(f"{name}:{values[name]}" for name in said.signed),
        "",
        ";".join(said.signed),
        payload,
    ]
    day, region, date = day or said.day, said.region if region is None else region, date or said.date
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            date,
            f"{day}/{region}/{service}/aws4_request",
            hashlib.sha256("\n".join(lines).encode("latin-1")).hexdigest(),
        ]
    )
    key = (start + secret).encode()
    for part in (key_day or day, region if key_region is None else key_region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return with_signature(raw, hmac.new(key, text.encode(), hashlib.sha256).hexdigest())


def canonical_query(query: str) -> str:
    """As S3 signs it, without the signature."""
    pairs = [(n, v) for n, v in parse_qsl(query, keep_blank_values=True) if n != "X-Amz-Signature"]
    return "&".join(sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs))


def signature_of(raw: Raw) -> str:
    """The signature that a request carries."""
    text = raw.target if is_presigned(raw) else raw.header("authorization")
    return text.partition("Signature=")[2][:64]


def with_signature(raw: Raw, signature: str) -> Raw:
    """The request with another one."""
    old = signature_of(raw)
    if is_presigned(raw):
        return raw.but(target=raw.target.replace(old, signature))
    return raw.with_changed("authorization", lambda value: value.replace(old, signature))


def is_presigned(raw: Raw) -> bool:
    """Whether the signature is in the query."""
    return "X-Amz-Signature=" in raw.target


# Pieces that manglers are made of


def at_signer(**faults: object) -> Mangle:
    """A client that signs with something else."""
    return lambda raw: sign(raw, **faults)  # type: ignore[arg-type]


def host(change: Callable[[str], str]) -> Mangle:
    """Another Host."""
    return lambda raw: changed(raw, "host", change)


def changed(raw: Raw, name: str, change: Callable[[str], str]) -> Raw | None:
    """A signed header changed; None where it is not signed, or the change does nothing."""
    if name not in claimed(raw).signed:
        return None
    new = raw.with_changed(name, change)
    return new if new.headers != raw.headers else None


def header(name: str, value: str) -> Mangle:
    """A signed header set to a value."""
    return lambda raw: changed(raw, name, lambda _: value)


def dropped(name: str) -> Mangle:
    """A signed header taken out."""
    return lambda raw: raw.without(name) if name in claimed(raw).signed else None


def signed_also(name: str, value: str, then: str | None) -> Mangle:
    """A client that signs one more header, which then arrives with another value, or (None) not at all."""

    def mangle(raw: Raw) -> Raw | None:
        said = claimed(raw)
        if said.presigned or name in said.signed:
            return None
        names = ";".join(sorted((*said.signed, name)))
        widened = raw.without(name).plus(name, value)
        widened = widened.with_changed("authorization", lambda text: text.replace(";".join(said.signed), names))
        right = sign(widened)
        return right.without(name) if then is None else right.with_changed(name, lambda _: then)

    return mangle


def path(change: Callable[[str], str]) -> Mangle:
    """Another path; None where the change does nothing."""

    def mangle(raw: Raw) -> Raw | None:
        old, mark, query = raw.target.partition("?")
        new = change(old)
        return raw.but(target=new + mark + query) if new != old else None

    return mangle


def query(change: Callable[[str], str]) -> Mangle:
    """Another query; None where there is none, or the change does nothing."""

    def mangle(raw: Raw) -> Raw | None:
        old, _, text = raw.target.partition("?")
        new = change(text)
        if new == text or not text:
            return None
        return raw.but(target=f"{old}?{new}" if new else old)

    return mangle


def plus(text: str) -> Mangle:
    """Parameters added."""
    return lambda raw: raw.but(target=f"{raw.target}{'&' if '?' in raw.target else '?'}{text}")


def both(first: Mangle, second: Mangle) -> Mangle:
    """One after the other."""

    def mangle(raw: Raw) -> Raw | None:
        between = first(raw)
        return None if between is None else second(between)

    return mangle


def only_if(applies: Callable[[Raw], bool], mangle: Mangle) -> Mangle:
    """For some requests."""
    return lambda raw: mangle(raw) if applies(raw) else None


def signed_otherwise(part: str, change: Callable[[str], str]) -> Mangle:
    """A client whose canonical path or query differs from S3's; None where it does not."""

    def mangle(raw: Raw) -> Raw | None:
        old, _, text = raw.target.partition("?")
        right = canonical_query(text) if part == "query" else quote(unquote(old), safe="/~")
        wrong = change(right)
        return sign(raw, **{part: wrong}) if wrong != right else None  # type: ignore[arg-type]

    return mangle


def signed_unsorted(raw: Raw) -> Raw | None:
    """A client that signs its parameters in the order in which it sends them."""
    path_, _, text = raw.target.partition("?")
    pieces = sorted(text.split("&"), reverse=True)
    if len(pieces) < 2:
        return None
    unsigned = [piece for piece in pieces if not piece.startswith("X-Amz-Signature=")]
    return sign(raw.but(target=f"{path_}?{'&'.join(pieces)}"), query="&".join(unsigned))


def later(date: str, **delta: float) -> str:
    """A time of S3's moved."""
    return (datetime.strptime(date, "%Y%m%dT%H%M%SZ") + timedelta(**delta)).strftime("%Y%m%dT%H%M%SZ")


def written_later(**delta: float) -> Mangle:
    """The time on the wire moved; the signature is of the old one."""

    def mangle(raw: Raw) -> Raw | None:
        date = claimed(raw).date
        new = later(date, **delta)
        if is_presigned(raw):
            return raw.but(target=raw.target.replace(f"X-Amz-Date={date}", f"X-Amz-Date={new}"))
        return raw.with_changed("x-amz-date", lambda _: new)

    return mangle


def signed_at(**delta: float) -> Mangle:
    """A client whose clock is wrong: everything is signed as it should be, at another time."""

    def mangle(raw: Raw) -> Raw | None:
        said = claimed(raw)
        if said.presigned:
            return None
        new = later(said.date, **delta)
        moved = raw.with_changed("x-amz-date", lambda _: new)
        moved = moved.with_changed("authorization", lambda text: text.replace(f"/{said.day}/", f"/{new[:8]}/"))
        return sign(moved)

    return mangle


def hidden_behind(name: str, prefix: str = "") -> Mangle:
    """A proxy that rewrites Host (or the path) and says in a header what it was."""

    def mangle(raw: Raw) -> Raw | None:
        old = raw.header("host")
        value = f"{prefix}{old}{';proto=https' if prefix else ''}"
        return raw.with_changed("host", lambda _: "store-7.internal.example.test:81").plus(name, value)

    return mangle


def bucket_to_path(raw: Raw) -> Raw | None:
    """A client speaks virtual-hosted style, and a proxy makes path style of it."""
    path_ = raw.target.partition("?")[0]
    bucket, slash, key = path_[1:].partition("/")
    if not slash:
        return None
    name, port = raw.header("host").split(":")
    return sign(raw, path=f"/{quote(unquote(key), safe='/~')}", headers={"host": f"{bucket}.{name}:{port}"})


def swapped(raw: Raw) -> Raw | None:
    """Access key and secret the wrong way round."""
    if is_presigned(raw):
        wrong = raw.but(target=raw.target.replace(KEY, quote(OTHER_SECRET, safe="")))
    else:
        wrong = raw.with_changed("authorization", lambda value: value.replace(KEY, OTHER_SECRET))
    return sign(wrong, secret=OTHER_KEY)


def with_body(change: Callable[[bytes], bytes]) -> Mangle:
    """Another body, under a head that stays as it is; only where the body's hash is signed."""

    def mangle(raw: Raw) -> Raw | None:
        if not raw.body or is_presigned(raw) or raw.header("x-amz-content-sha256").startswith("UNSIGNED"):
            return None
        return raw.but(body=change(raw.body))

    return mangle


def moved_hash(value: str) -> Mangle:
    """The header says one payload hash, and another one was signed."""

    def mangle(raw: Raw) -> Raw | None:
        if is_presigned(raw) or raw.header("x-amz-content-sha256") == value:
            return None
        return sign(raw, payload=value)

    return mangle


def one(mangle: Mangle, *causes: str) -> Mangler:
    return Mangler(mangle, causes)


def prefixed(prefix: str) -> Callable[[Raw], Raw]:
    """A client that signs its path below a prefix, which is gone when it arrives."""
    return lambda raw: sign(raw, path=prefix + canonical_path(raw))


def canonical_path(raw: Raw) -> str:
    """As S3 signs it."""
    return quote(unquote(raw.target.partition("?")[0]), safe="/~")


def charset_added(raw: Raw) -> Raw | None:
    """As some HTTP libraries do."""
    return changed(raw, "content-type", lambda value: value if "charset" in value else value + "; charset=utf-8")


def signed_with(text: str) -> Mangle:
    """A client that signs a parameter more than arrives; only for listings."""

    def mangle(raw: Raw) -> Raw | None:
        query_ = raw.target.partition("?")[2]
        return sign(raw, query=canonical_query(f"{query_}&{text}")) if "list-type" in query_ else None

    return mangle


def day_slipped(raw: Raw) -> Raw | None:
    """A client that writes, and signs with, another day in its scope than in its time."""
    said = claimed(raw)
    if said.presigned:
        return None
    tomorrow = later(said.date, days=1)[:8]
    return sign(raw.with_changed("authorization", lambda value: value.replace(said.day, tomorrow)))


def date_header_signed(raw: Raw) -> Raw | None:
    """A client that sends two times and signs the wrong one."""
    said = claimed(raw)
    other = later(said.date, seconds=-40)
    return None if said.presigned else sign(raw, date=other).plus("Date", other)


def forwarded_uri(raw: Raw) -> Raw | None:
    """A proxy that strips a prefix, and says so."""
    return None if is_presigned(raw) else prefixed("/tenant-7")(raw).plus("X-Original-URI", "/tenant-7" + raw.target)


def forwarded_prefix(raw: Raw) -> Raw | None:
    """The same, in another header."""
    return prefixed("/tenant-7/blue")(raw).plus("X-Forwarded-Prefix", "/tenant-7/blue")


def signed_for(name: str, then: str) -> Mangle:
    """A client that signs one Host, and a proxy that makes another of it."""
    return lambda raw: sign(raw, headers={"host": name}).with_changed("host", lambda _: then)


def before_evening(raw: Raw) -> bool:
    """Whether it is still the same day two hours later."""
    return claimed(raw).date[9:11] < "20"


def is_empty(raw: Raw) -> bool:
    """Whether there is no body."""
    return not raw.body


def has_no_hash(raw: Raw) -> bool:
    """Whether a presigned URL says nothing of the payload."""
    return is_presigned(raw) and "X-Amz-Content-Sha256" not in raw.target


def charset_dropped(raw: Raw) -> Raw | None:
    """The media type alone."""
    return changed(raw, "content-type", lambda value: value.partition(";")[0])


def with_header(name: str, value: str) -> Mangle:
    """One more header."""
    return lambda raw: raw.plus(name, value)


def method(old: str, new: str) -> Mangle:
    """Another method."""
    return lambda raw: raw.but(method=new) if raw.method == old else None


def query_without(name: str) -> Mangle:
    """A parameter less."""
    return query(lambda text: "&".join([piece for piece in text.split("&") if not piece.startswith(f"{name}=")]))


def made_to_last(raw: Raw) -> Raw | None:
    """A presigned URL whose life somebody prolongs."""
    if not is_presigned(raw):
        return None
    return raw.but(target=re.sub("X-Amz-Expires=[0-9]+", "X-Amz-Expires=500000", raw.target))


def key_of_yesterday(raw: Raw) -> Raw:
    """A client that keeps its signing key over midnight."""
    return sign(raw, key_day=later(claimed(raw).date, days=-1)[:8])
