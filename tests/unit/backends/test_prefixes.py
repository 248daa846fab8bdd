"""A part of a bucket seen as a bucket: listings of it are those of a store that has nothing else."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.confined import ConfinedAnswer, ConfinedNames
from osp_gateway.backends.prefixes import CONFINED, LISTINGS, Confinement, confined_source
from osp_gateway.backends.rewrite import CopySource
from osp_gateway.backends.sealing import TokenSeal
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.batch import ObjectName
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.operations import OperationTable
from support.listings import Page, listing, page_of

PREFIX = "team-a/deep/"
BUCKET = "mine"
CONFINEMENT = Confinement(PREFIX, BUCKET, TokenSeal.of_secrets(["fake-secret-of-a-backend"]))

# Few letters, so that keys share beginnings with each other, with markers, and with the prefix itself.
text = st.text(st.sampled_from("ab/ -+%&<é"), min_size=1, max_size=6)
inner_keys = st.one_of(text, text.map(lambda key: PREFIX + key), st.just(PREFIX))
outside = st.one_of(
    text.filter(lambda key: not key.startswith(PREFIX)),
    st.sampled_from(["team-a/", "team-a/deep", "team-a/deep0", "team-a/dee/", "team-b/deep/x", "team-a", "\U0010ffff"]),
)
MARKERS = {
    "ListObjects": "marker",
    "ListObjectsV2": "start-after",
    "ListObjectVersions": "key-marker",
    "ListMultipartUploads": "key-marker",
}


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    operation = draw(st.sampled_from(sorted(LISTINGS)))
    query = {"max-keys": str(draw(st.integers(1, 4)))}
    for name in ("prefix", "delimiter", MARKERS[operation]):
        value = draw(st.one_of(st.none(), st.just(""), text, st.sampled_from(["team-a/", PREFIX, "/"])))
        if value is not None:
            query[name] = value
    if draw(st.booleans()):
        query["encoding-type"] = "url"
    return operation, query


def canonical(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((encoding.encode(n.encode()), encoding.encode(v.encode())) for n, v in query.items())


def through(keys: list[str], operation: str, query: dict[str, str], cuts: list[int]) -> Page:
    """The page that a client sees of a backend that has these keys."""
    sent = {unquote(n): unquote(v) for n, v in CONFINEMENT.query(operation, canonical(query))}
    assert sent["prefix"].startswith(PREFIX)
    document = listing(keys, operation, sent, "backend-bucket").encode()
    names = ConfinedNames(CONFINEMENT, "backend-bucket", f"/{BUCKET}", "http://x/mine", "encoding-type" in query)
    answer = ConfinedAnswer(names, 200)
    edges = sorted({0, len(document), *(cut % len(document) for cut in cuts)})
    pieces = [document[a:b] for a, b in pairwise(edges)]
    shown = b"".join([*(answer.feed(piece) for piece in pieces), answer.finish()])
    assert b"backend-bucket" not in shown
    return page_of(shown)


@given(st.sets(inner_keys), st.sets(outside), queries(), st.lists(st.integers(0, 5000), max_size=8))
def test_a_listing_of_a_part_is_the_listing_of_a_store_with_this_part_alone(inside, around, asked, cuts):
    operation, query = asked
    keys = [PREFIX + key for key in inside] + sorted(around)
    token_there = token_alone = ""
    for _ in range(30):
        more = {"continuation-token": token_there} if token_there else {}
        shown = through(keys, operation, query | more, cuts)
        more = {"continuation-token": token_alone} if token_alone else {}
        alone = page_of(listing(inside, operation, query | more, BUCKET).encode())
        if operation == "ListObjectsV2":
            token_there, token_alone = shown.next, alone.next
            assert bool(token_there) == bool(token_alone)
            assert shown == Page(**{**_fields(alone), "next": shown.next})
        else:
            assert shown == alone
        if not alone.truncated:
            return
        if operation != "ListObjectsV2":
            query = query | {MARKERS[operation]: unquote(alone.next) if "encoding-type" in query else alone.next}
    raise AssertionError("a listing without an end")


def _fields(page: Page) -> dict[str, object]:
    return {name: getattr(page, name) for name in Page.__dataclass_fields__}


@given(st.text(min_size=1), st.text())
def test_a_token_tells_nothing_and_is_good_for_its_place_alone(token, other):
    token, other = (value.encode("utf-8", "replace").decode() for value in (token, other))
    seal = TokenSeal.of_secrets(["fake-secret"])
    sealed = seal.seal(token, "a/")
    assert seal.seal(token, "a/") == sealed
    assert seal.open(sealed, "a/") == token
    for opening in (
        lambda: seal.open(sealed, "b/"),
        lambda: seal.open(other, "a/"),
        lambda: TokenSeal.of_secrets(["another"]).open(sealed, "a/"),
        lambda: TokenSeal.of_secrets([]).open(TokenSeal.of_secrets([]).seal(token, "a/"), "a/"),
    ):
        with pytest.raises(ValueError, match="not a token"):
            opening()


@pytest.mark.parametrize("token", ["x", "%41%42", "team-b%2Fx", "dGVhbS1iL3g%3D", "é"])
def test_a_token_that_was_not_given_out_is_refused(token):
    with pytest.raises(S3Error) as caught:
        CONFINEMENT.query("ListObjectsV2", (("continuation-token", token),))
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("operation", sorted(LISTINGS))
@pytest.mark.parametrize("asked", [(), (("prefix", ""),), (("delimiter", "%2F"),), (("prefix", "..%2F"),)])
def test_every_listing_has_the_prefix(operation, asked):
    (prefix,) = [value for name, value in CONFINEMENT.query(operation, asked) if name == "prefix"]
    assert unquote(prefix).startswith(PREFIX)


def test_a_marker_before_the_prefix_does_not_exist_there():
    assert dict(CONFINEMENT.query("ListObjects", (("marker", "a"),)))["marker"] == "team-a%2Fdeep%2Fa"
    assert dict(CONFINEMENT.query("ListObjects", (("marker", ""),)))["marker"] == ""


@pytest.mark.parametrize("name", [o.name for o in OperationTable.from_botocore().operations])
def test_only_what_is_about_objects_is_confined(name):
    """Any operation that S3 will have, too, is refused until somebody has looked at it."""
    if name in CONFINED:
        CONFINEMENT.refuse_unconfined(name, [])
        return
    with pytest.raises(S3Error) as caught:
        CONFINEMENT.refuse_unconfined(name, [])
    assert caught.value.code == "AccessDenied"
    assert "team-a" not in caught.value.message


def test_nothing_about_the_bucket_as_a_whole_is_confined():
    allowed = {name for name in CONFINED if "Bucket" in name}
    assert allowed == {"GetBucketLocation", "HeadBucket"}
    assert not CONFINED & {"RestoreObject", "GetObjectTorrent", "RenameObject", "CreateBucket", "PutObjectAnnotation"}


@pytest.mark.parametrize(
    "header",
    ["x-goog-copy-source", "x-oss-copy-source", "x-amz-meta-snowball-auto-extract", "x-minio-extract", "x-rgw-x"],
)
def test_headers_with_which_some_stores_look_elsewhere_are_refused(header):
    with pytest.raises(S3Error):
        CONFINEMENT.refuse_unconfined("PutObject", [(header, "true")])
    with pytest.raises(S3Error):
        CONFINEMENT.fields(((header.upper(), "true"),))


@pytest.mark.parametrize("path", ["/mine/..%2fx", "/mine/../x", "/mine/a/%2E%2e/x", "/mine/.", "/mine//", "/mine/%2F"])
def test_a_key_that_a_store_could_take_for_a_path_out_of_the_prefix_is_refused(path):
    with pytest.raises(S3Error) as caught:
        CONFINEMENT.resource(locate(path, "x", ()))
    assert caught.value.code == "InvalidURI"


def test_a_key_is_sent_as_it_was_signed_behind_the_prefix():
    assert CONFINEMENT.resource(locate("/mine//a%20b+c%7e", "x", ())).canonical_key == "team-a/deep//a%20b%2Bc~"


def test_a_key_that_is_too_long_with_the_prefix_is_refused():
    with pytest.raises(S3Error) as caught:
        CONFINEMENT.resource(locate("/mine/" + "k" * 1020, "x", ()))
    assert caught.value.code == "KeyTooLongError"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "."])
def test_neither_batches_nor_copies_leave_the_prefix(key):
    for attempt in (
        lambda: CONFINEMENT.names((ObjectName(key, None),)),
        lambda: confined_source(CopySource(BUCKET, key, ()), PREFIX),
        lambda: CONFINEMENT.headers([("x-amz-website-redirect-location", f"/{key}")]),
    ):
        with pytest.raises(S3Error) as caught:
            attempt()
        assert caught.value.code == "InvalidArgument"


def test_a_redirection_within_the_bucket_stays_within_the_prefix():
    name = "x-amz-website-redirect-location"
    assert CONFINEMENT.headers([(name, "/a")]) == [(name, "/team-a/deep/a")]
    assert CONFINEMENT.headers([(name, "https://x.example/a")]) == [(name, "https://x.example/a")]
    assert CONFINEMENT.fields(((name, "/a"), ("acl", "private"))) == ((name, "/team-a/deep/a"), ("acl", "private"))
