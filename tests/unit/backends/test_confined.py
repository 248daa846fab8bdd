"""Answers about a part of a bucket: whatever a store writes, and however it spells it, the prefix stays unknown."""

from __future__ import annotations

import tracemalloc

import pytest

from osp_gateway.backends.confined import ConfinedAnswer, ConfinedNames, mapped_headers, without_prefix
from osp_gateway.backends.prefixes import Confinement
from osp_gateway.backends.sealing import TokenSeal
from osp_gateway.s3.errors import S3Error

CONFINEMENT = Confinement("team-a/", "mine", TokenSeal.of_secrets(["fake-secret"]))
LOCATION = "http://gateway.example/mine/k"


def names(*, encoded: bool = False) -> ConfinedNames:
    return ConfinedNames(CONFINEMENT, "shared", "/mine/k", LOCATION, encoded)


def shown(document: str | bytes, status: int = 200, *, encoded: bool = False, readable: bool = True) -> str:
    data = document.encode() if isinstance(document, str) else document
    whole = _run(ConfinedAnswer(names(encoded=encoded), status, readable=readable), [data])
    octets = [data[at : at + 1] for at in range(len(data))]
    assert _run(ConfinedAnswer(names(encoded=encoded), status, readable=readable), octets) == whole
    return whole.decode()


def _run(answer: ConfinedAnswer, pieces: list[bytes]) -> bytes:
    return b"".join([*map(answer.feed, pieces), answer.finish()])


@pytest.mark.parametrize(
    "key",
    [
        "team-a/k",
        "<![CDATA[team-a/k]]>",
        "team-a<!-- x -->/k",
        "te<![CDATA[am]]>-a/k",
        "&#x74;eam-a/k",
        "team&#45;a&#47;k",
        "team-a/<?pi?>k",
    ],
)
def test_a_key_loses_the_prefix_however_it_is_spelled(key):
    assert shown(f"<L><Contents><Key>{key}</Key></Contents></L>") == "<L><Contents><Key>k</Key></Contents></L>"


@pytest.mark.parametrize("key", ["team-a%2Fk", "team%2da/k", "%74eam-a%2fk", "team-a/k"])
def test_a_percent_encoded_key_loses_the_prefix_where_that_was_asked_for(key):
    assert shown(f"<L><Key>{key}</Key></L>", encoded=True) == "<L><Key>k</Key></L>"


@pytest.mark.parametrize("key", ["team-b/k", "team-a", "Team-a/k", "/team-a/k", "team-a%2Fk", "k"])
def test_a_key_from_outside_breaks_the_answer_off(key):
    with pytest.raises(S3Error) as caught:
        shown(f"<L><Key>{key}</Key></L>")
    assert caught.value.code == "ServiceUnavailable"
    assert "team" not in caught.value.message


@pytest.mark.parametrize("element", ["Prefix", "Marker", "NextMarker", "StartAfter", "KeyMarker", "NextKeyMarker"])
def test_markers_lose_the_prefix_and_empty_ones_stay_empty(element):
    assert shown(f"<L><{element}>team-a/m</{element}></L>") == f"<L><{element}>m</{element}></L>"
    assert shown(f"<L><{element}></{element}></L>") == f"<L><{element}></{element}></L>"


def test_the_bucket_has_the_clients_name():
    assert shown("<L><Name>shared</Name><Bucket>shared</Bucket></L>") == "<L><Name>mine</Name><Bucket>mine</Bucket></L>"


def test_the_location_is_the_clients():
    document = (
        "<CompleteMultipartUploadResult><Location>http://s/shared/team-a/k</Location></CompleteMultipartUploadResult>"
    )
    assert shown(document) == document.replace("http://s/shared/team-a/k", LOCATION)


def test_tags_are_no_keys():
    document = "<Tagging><TagSet><Tag><Key>color</Key><Value>team-a</Value></Tag></TagSet></Tagging>"
    assert shown(document) == document


def test_what_is_not_known_is_left_out_where_it_tells_something():
    assert shown("<L><Path>/data/shared/team-a/x</Path><Size>1</Size></L>") == "<L><Size>1</Size></L>"
    assert shown("<L><Delimiter>team-a</Delimiter></L>") == "<L><Delimiter>team-a</Delimiter></L>"  # a client's guess


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE L [<!ENTITY e "team-a">]><L>&e;</L>',
        "<L><Key>team-a/k</Key>",
        "<L></M>",
        "no xml",
        "<L>&undefined;</L>",
        "<L/><L/>",
    ],
)
def test_what_is_no_plain_xml_breaks_the_answer_off(document):
    with pytest.raises(S3Error):
        shown(document)


def test_attributes_and_comments_do_not_pass():
    text = '<L xmlns="urn:x" path="team-a"><!-- team-a --><?x team-a?><Size>1</Size> team-a </L>'
    assert shown(text) == '<L xmlns="urn:x"><Size>1</Size>  </L>'


def test_white_space_that_keeps_a_connection_alive_passes_at_once():
    answer = ConfinedAnswer(names(), 200)
    assert answer.feed(b"  \n") == b"  \n"
    assert answer.feed(b'<?xml version="1.0"?>\n  ').endswith(b"?>\n  ")
    assert answer.feed(b"<R><Key>team-a/k</Key></R>") + answer.finish() == b"<R><Key>k</Key></R>"


ERROR = (
    "<Error><Code>NoSuchKey</Code><Message>shared/team-a/k is not here</Message><Key>team-a/k</Key>"
    "<Resource>/shared/team-a/k</Resource><BucketName>shared</BucketName><RequestId>1</RequestId>"
    "<CanonicalRequest>GET /shared/team-a/k</CanonicalRequest><StringToSignBytes>74 65</StringToSignBytes>"
    "<Endpoint>shared.s3.example</Endpoint><Details><Path>team-a</Path></Details></Error>"
)


@pytest.mark.parametrize("status", [404, 200])
def test_an_error_says_what_s3_defines_and_nothing_else(status):
    assert shown(ERROR, status) == (
        "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k</Key>"
        "<Resource>/mine/k</Resource><BucketName>mine</BucketName><RequestId>1</RequestId></Error>"
    )


def test_an_error_of_a_batch_has_a_message_of_our_own():
    document = (
        "<DeleteResult><Error><Key>team-a/k</Key><Code>X</Code><Message>no team-a/k</Message></Error></DeleteResult>"
    )
    assert shown(document) == (
        "<DeleteResult><Error><Key>k</Key><Code>X</Code><Message>The store refused the request.</Message></Error>"
        "</DeleteResult>"
    )


@pytest.mark.parametrize("page", ["<html><body>/shared/team-a/k</body></html>", "team-a/k not found", "<Error"])
def test_an_error_page_of_another_kind_becomes_an_error_of_s3(page):
    inner = "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Resource>/mine/k</Resource>"
    assert shown(page, 404) == f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'


def test_an_error_that_does_not_end_is_broken_off():
    with pytest.raises(S3Error):
        shown("<Error><Code>NoSuchKey</Code>", 404)


def test_an_error_that_is_compressed_becomes_one_of_our_own():
    assert "<Code>AccessDenied</Code>" in shown(b"\x1f\x8b\x08compressed", 403, readable=False)


def test_a_compressed_listing_is_broken_off():
    with pytest.raises(S3Error):
        shown(b"\x1f\x8b\x08compressed", 200, readable=False)


def test_an_empty_answer_stays_empty():
    assert ConfinedAnswer(names(), 200).finish() == b""
    assert ConfinedAnswer(names(), 404).finish() == b""


@pytest.mark.parametrize("start", [b"<L><Key>", b"<L ", b"<L><Size>", b"<!--", b'<L xmlns="', b"<L><![CDATA["])
def test_what_does_not_end_is_not_collected(start):
    answer = ConfinedAnswer(names(), 200)
    answer.feed(start)
    tracemalloc.start()
    try:
        with pytest.raises(S3Error):
            for _ in range(3000):
                answer.feed(b"x" * 1024)
            answer.finish()
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()


def test_elements_do_not_nest_without_end():
    with pytest.raises(S3Error):
        shown("<a>" * 40 + "</a>" * 40)


def test_a_long_listing_streams():
    answer = ConfinedAnswer(names(), 200)
    answer.feed(b"<L> <Size>1</Size>")
    entry = b"<Contents><Key>team-a/" + b"k" * 900 + b"</Key></Contents>"
    for _ in range(100):
        assert len(answer.feed(entry)) == len(entry) - len("team-a/")


@pytest.mark.parametrize(
    ("name", "value", "status", "expected"),
    [
        ("ETag", '"team-a"', 200, '"team-a"'),
        ("x-amz-meta-note", "team-a", 200, "team-a"),
        ("Location", "http://s/shared/team-a/k", 200, LOCATION),
        ("Location", "http://s/shared/team-a/k", 307, None),
        (
            "Location",
            "http://x/?bucket=shared&key=team-a%2Fk%20l&etag=e",
            303,
            "http://x/?bucket=mine&key=k%20l&etag=e",
        ),
        ("Location", "http://x/?bucket=shared&key=team-b%2Fk", 303, None),
        ("x-amz-website-redirect-location", "/team-a/k", 200, "/k"),
        ("x-amz-website-redirect-location", "/team-b/k", 200, None),
        ("x-amz-website-redirect-location", "https://x.example/", 200, "https://x.example/"),
        ("x-amz-expiration", 'expiry-date="x", rule-id="team-a"', 200, None),
        ("x-store-path", "/data/shared/x", 200, None),
        ("x-amz-storage-class", "STANDARD", 200, "STANDARD"),
    ],
)
def test_headers(name, value, status, expected):
    assert mapped_headers(names(), [(name, value)], status) == ([] if expected is None else [(name, expected)])


@pytest.mark.parametrize(
    ("text", "prefix", "encoded", "rest"),
    [
        ("a b/k", "a b/", False, "k"),
        ("a%20b/k", "a b/", True, "k"),
        ("a+b%2Fk+l", "a b/", True, "k+l"),
        ("%C3%A9/k", "é/", True, "k"),
        ("%c3%a9%2f%25", "é/", True, "%25"),
        ("a%2", "a/", True, None),
        ("a", "a/", True, None),
        ("%zz", "a/", True, None),
        ("", "a/", True, None),
    ],
)
def test_the_rest_stays_as_it_is_written(text, prefix, encoded, rest):
    assert without_prefix(text, prefix, encoded) == rest
