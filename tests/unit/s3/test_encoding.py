"""One resource has one spelling, whichever way it was encoded."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from support.oracle import generated

octets = st.text(st.characters(max_codepoint=255), max_size=30)
pairs = st.lists(st.tuples(octets, octets), max_size=6).map(
    lambda items: tuple((encoding.encode(n.encode("latin-1")), encoding.encode(v.encode("latin-1"))) for n, v in items)
)


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("//", "//"),
        ("/./..//", "/./..//"),
        ("/-._~", "/-._~"),
        ("/%2d%2E%5f%7e", "/-._~"),
        ("/%2f", "//"),
        ("/a+b", "/a%2Bb"),
        ("/a=b&c", "/a%3Db%26c"),
        ("/%c3%a9", "/%C3%A9"),
        ("/\xc3\xa9", "/%C3%A9"),
        ("/%25", "/%25"),
        ("/%2541", "/%2541"),
        ("/a*b'(c)!", "/a%2Ab%27%28c%29%21"),
        ("/a\nb", "/a%0Ab"),
    ],
)
def test_a_path_is_encoded_once_and_not_normalised(path: str, canonical: str) -> None:
    assert encoding.canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", ()),
        ("acl", (("acl", ""),)),
        ("acl=", (("acl", ""),)),
        ("a=1&a=2", (("a", "1"), ("a", "2"))),
        ("b=1&a=2", (("b", "1"), ("a", "2"))),
        ("a=b=c", (("a", "b%3Dc"),)),
        ("a=1&&b=2&", (("a", "1"), ("b", "2"))),
        ("a+b=c+d", (("a%2Bb", "c%2Bd"),)),
        ("a%20b=%2f", (("a%20b", "%2F"),)),
        ("a;b=1", (("a%3Bb", "1"),)),
        ("a=1?b=2", (("a", "1%3Fb%3D2"),)),
        ("\xc3\xa9=%c3%a9", (("%C3%A9", "%C3%A9"),)),
        ("%61%63%6C", (("acl", ""),)),
        ("=v", (("", "v"),)),
        ("=", (("", ""),)),
    ],
)
def test_a_query_is_read_into_encoded_pairs(query: str, pairs: tuple[encoding.Pair, ...]) -> None:
    assert encoding.parse_query(query) == pairs


@pytest.mark.parametrize("text", ["%", "%4", "%zz", "a%", "%%41", "%4%31", "% 41", "%+1", "%-1", "%4g"])
def test_broken_percent_encoding_is_an_error(text: str) -> None:
    for read in (encoding.decode, encoding.canonical_path, encoding.canonical_component, encoding.parse_query):
        with pytest.raises(ValueError, match="percent-encoding"):
            read(text)


@generated
@given(st.binary(max_size=40))
def test_decoding_undoes_encoding(data: bytes) -> None:
    assert encoding.decode(encoding.encode(data)) == data
    assert encoding.encode(data) == quote(data, safe="-._~")


@generated
@given(octets)
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    canonical = encoding.encode(text.encode("latin-1"), "/")

    assert encoding.canonical_path(canonical) == canonical
    assert encoding.canonical_component(encoding.canonical_component(canonical)) == encoding.canonical_component(
        canonical
    )


@generated
@given(pairs)
@example((("", ""), ("a", "")))
def test_reading_undoes_joining(pairs: tuple[encoding.Pair, ...]) -> None:
    assert encoding.parse_query(encoding.join_query(pairs)) == pairs


def test_a_parameter_without_a_value_is_written_alone() -> None:
    assert encoding.join_query((("uploads", ""), ("prefix", "a%2F"))) == "uploads&prefix=a%2F"
