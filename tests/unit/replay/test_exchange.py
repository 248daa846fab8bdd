"""Bodies of recordings: those that were kept, and those that are made up."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.replay.exchange import PIECE_OCTETS, Content, Payload, Stretch
from support.exchanges_made import large, request

CONTENT = Content((Stretch(300_000, seed="one"), Stretch(5, b"plain"), Stretch(0, b""), Stretch(70, seed="two")))


def octets(content: Content | Stretch) -> bytes:
    return b"".join(content.pieces())


WHOLE = octets(CONTENT)


def test_made_up_octets_are_the_same_on_each_run_and_machine():
    assert hashlib.sha256(octets(Stretch(100_000, seed="seed"))).hexdigest() == (
        "956865513f82cb34e9881afdccc745f487bafeb830748780e7cf70f970df5e1f"
    )
    assert (
        octets(Stretch(48, seed="seed")).hex()
        == "9b715a7c78a64048a0484396be44bce92ff7e28829a4cbc1505493b2b219ef9b7828dcb30d5f38ef3308fc38313fc89a"
    )


def test_other_seeds_make_other_octets():
    assert octets(Stretch(64, seed="one")) != octets(Stretch(64, seed="two"))


@given(st.integers(0, 300_075), st.integers(0, 300_200))
def test_a_cut_is_what_slicing_gives(start, end):
    cut = CONTENT.cut(start, end)
    assert octets(cut) == WHOLE[start:end]
    assert cut.length == len(WHOLE[start:end])


@given(st.data())
def test_a_cut_of_a_cut_is_what_slicing_twice_gives(data):
    start = data.draw(st.integers(0, 300_000))
    then = data.draw(st.integers(0, 1000))
    assert octets(CONTENT.cut(start, 300_075).cut(then, then + 40)) == WHOLE[start:][then : then + 40]


def test_length_and_digest_are_those_of_the_octets():
    assert (CONTENT.length, CONTENT.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())


@pytest.mark.parametrize(
    "stretch", [Stretch(2 * PIECE_OCTETS + 1, seed="x"), Stretch(PIECE_OCTETS + 1, bytes(PIECE_OCTETS + 1))]
)
def test_no_piece_is_larger_than_a_quarter_of_a_mib(stretch):
    assert max(map(len, stretch.pieces())) == PIECE_OCTETS
    assert len(octets(stretch)) == stretch.length


def test_what_was_kept_is_sent_again_as_it_was():
    assert octets(Payload.of(b"kept").again) == b"kept"
    assert not Payload.of(b"kept").again.made_up
    assert octets(Payload.of(b"").again) == b""


def test_what_was_not_kept_is_made_up_in_its_length_from_its_digest():
    again = large(1000).again
    assert again.made_up
    assert (again.length, len(octets(again))) == (1000, 1000)
    assert octets(again) == octets(large(1000).again) != octets(large(1000, "another").again)


@pytest.mark.parametrize(
    ("bucket", "key", "path"), [("", "", "/"), ("demo", "", "/demo"), ("demo", "a/b%20c", "/demo/a/b%20c")]
)
def test_the_path_is_in_path_style(bucket, key, path):
    assert request(bucket=bucket, key=key).path == path


def test_bodies_are_not_shown():
    assert "kept-fake" not in repr(request(content=b"kept-fake"))
