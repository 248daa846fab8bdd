"""Signed requests of real clients, mangled in every way of support/middlebox.py: the cause is named."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.explain import Explanation, Knowledge, explain
from support.explain_corpus import KEY, SECRET, corpus, head_of
from support.manglers import MANGLERS, PAIRS
from support.middlebox import (
    OTHER_KEY,
    OTHER_SECRET,
    both,
    claimed,
    is_presigned,
    sign,
    signature_of,
)
from support.signing import Raw

CORPUS = corpus()
CLIENTS = {name.partition("-")[0] for name in CORPUS}


def knowledge(original: Raw, received: Raw, secret: str = SECRET, other_secret: str = OTHER_SECRET) -> Knowledge:
    sent = parse_amz_date(claimed(original).date)
    assert sent is not None
    return Knowledge(
        secret,
        sent + 2.0,
        other_keys={OTHER_KEY: other_secret},
        hosts=("osp.example.test",),
        domains=("osp.localhost",),
        listen_ports=(6190, int(original.header("host").rpartition(":")[2])),
        body_sha256=hashlib.sha256(received.body).hexdigest(),
        body_length=len(received.body),
    )


def explained(original: Raw, received: Raw) -> Explanation:
    return explain(head_of(received), knowledge(original, received))


def cases() -> list[tuple[str, str]]:
    return [
        (name, way)
        for name, raw in CORPUS.items()
        for way, mangler in MANGLERS.items()
        if mangler.mangle(raw) is not None
    ]


def pairs() -> list[tuple[str, str, str]]:
    return [
        (name, first, second)
        for name, raw in CORPUS.items()
        for first, second in PAIRS
        if both(MANGLERS[first].mangle, MANGLERS[second].mangle)(raw) is not None
    ]


def test_the_corpus_holds_every_client() -> None:
    assert sorted(CLIENTS) == ["awscli", "boto3", "js", "minio", "rclone"]


def test_there_are_more_than_thirty_ways_to_break_a_signature_and_each_applies_to_something() -> None:
    assert len(MANGLERS) > 60
    assert {way for _, way in cases()} == MANGLERS.keys()
    assert {(first, second) for _, first, second in pairs()} == set(PAIRS)


@pytest.mark.parametrize("name", CORPUS)
def test_the_signer_that_makes_clients_mistakes_signs_as_they_do_when_it_makes_none(name: str) -> None:
    assert signature_of(sign(CORPUS[name])) == signature_of(CORPUS[name])


@pytest.mark.parametrize("name", CORPUS)
def test_a_request_that_arrives_as_it_was_signed_matches(name: str) -> None:
    found = explained(CORPUS[name], CORPUS[name])
    assert (found.matches, found.causes, found.checklist) == (True, (), ())


@pytest.mark.parametrize(("name", "way"), cases())
def test_the_cause_is_named(name: str, way: str) -> None:
    received = MANGLERS[way].mangle(CORPUS[name])
    assert received is not None
    found = explained(CORPUS[name], received)
    assert tuple(cause.name for cause in found.causes) == MANGLERS[way].causes
    assert found.explained


@pytest.mark.parametrize(("name", "first", "second"), pairs())
def test_two_causes_at_once_are_named(name: str, first: str, second: str) -> None:
    received = both(MANGLERS[first].mangle, MANGLERS[second].mangle)(CORPUS[name])
    assert received is not None
    found = explained(CORPUS[name], received)
    assert {cause.name for cause in found.causes} == {*MANGLERS[first].causes, *MANGLERS[second].causes}
    assert all(cause.proven for cause in found.causes)


@given(st.sampled_from(sorted(CORPUS)), st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=12))
def test_a_wrong_secret_is_never_explained_as_something_else(name: str, wrong: str) -> None:
    received = sign(CORPUS[name], secret="wrong-" + wrong)
    found = explained(CORPUS[name], received)
    assert (found.matches, found.causes, found.expected_canonical_request) == (False, (), None)
    assert found.checklist


@pytest.mark.parametrize("name", CORPUS)
def test_the_secret_is_the_first_thing_to_look_at_where_nothing_fits(name: str) -> None:
    found = explained(CORPUS[name], sign(CORPUS[name], secret="quite-another-fake-secret"))
    assert "secret" in found.checklist[0]


def spellings(octets: bytes) -> set[bytes]:
    """Every way in which octets could be written down."""
    text = octets.decode("latin-1")
    ways = {octets, octets.hex().encode(), octets.hex().upper().encode(), quote(octets, safe="").encode()}
    ways |= {base64.b64encode(octets), base64.urlsafe_b64encode(octets), octets[::-1], ascii(text)[1:-1].encode()}
    return ways | {base64.b64encode(octets).rstrip(b"="), quote(octets).encode(), repr(octets)[2:-1].encode()}


def derived(secret: str, day: str, region: str) -> list[bytes]:
    """The secret, and each key on the way to the signing key."""
    keys = [secret.encode(), b"AWS4" + secret.encode()]
    key = keys[-1]
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        keys.append(key)
    return keys


def right_signatures(received: Raw) -> list[str]:
    """The one that the gateway would have taken: who is told it could use it."""
    try:
        return [signature_of(sign(received))]
    except (KeyError, StopIteration, ValueError):  # a signed header is not there, or the URL is broken
        return []


@pytest.mark.parametrize("way", [*MANGLERS, "nothing"])
def test_nothing_that_is_shown_holds_a_secret_a_key_made_of_it_or_the_right_signature(way: str) -> None:
    for original in CORPUS.values():
        received = original if way == "nothing" else MANGLERS[way].mangle(original)
        if received is None:
            continue
        found = explained(original, received)
        shown = [found.text(colour=False), found.text(colour=True), found.line, found.hint, repr(found)]
        shown += [str(found.as_dict()), found.canonical_request, found.string_to_sign, repr(found.rows)]
        shown += [found.expected_canonical_request or "", repr(knowledge(original, received))]
        octets = "\n".join(shown).encode("utf-8", "surrogateescape")
        said = claimed(original)
        for secret in (SECRET, OTHER_SECRET):
            for key in derived(secret, said.day, said.region):
                assert not any(spelling in octets for spelling in spellings(key))
        assert not any(signature.encode() in octets for signature in right_signatures(received))


def test_access_keys_are_named() -> None:
    original = CORPUS["boto3-get"]
    found = explained(original, sign(original, secret=OTHER_SECRET))
    assert KEY in found.line
    assert OTHER_KEY in found.line
    assert "secret" not in found.hint


def test_presigned_urls_are_in_the_corpus() -> None:
    assert {name.partition("-")[0] for name, raw in CORPUS.items() if is_presigned(raw)} == CLIENTS - {"rclone"}
