"""Messages on their way, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.faults.plan import BEFORE_THE_HEAD, Ending, Reached, Slices, Way
from osp_gateway.faults.shaping import Shaper

HEAD, END = "head", "end"


def shaper(**way) -> Shaper:
    return Shaper(Way(**way), lambda data: data, "seed")


def whole(one: Shaper, body: bytes = b"0123456789", now: float = 0.0) -> None:
    """A message that arrives at once."""
    one.head(HEAD, now)
    one.data(body, now)
    one.last(END, now)


def arrivals(one: Shaper) -> list[tuple[float, object]]:
    """Everything, with the time at which it comes out."""
    found = []
    while (due := one.due()) is not None:
        found += [(round(due, 6), item) for item in one.ready(due)]
        if one.ending(due) is not None:
            return [*found, (round(due, 6), one.ending(due).how)]
    return found


def test_as_it_should_be_it_passes_at_once():
    one = shaper()
    whole(one)
    assert one.octets == 10
    assert list(one.ready(0.0)) == [HEAD, b"0123456789", END]
    assert not one.busy
    assert one.octets == 0
    assert one.due() is None


def test_latency_comes_before_the_head_and_only_there():
    one = shaper(latency=0.5)
    whole(one, now=10.0)
    assert list(one.ready(10.49)) == []
    assert one.busy
    assert list(one.ready(10.5)) == [HEAD, b"0123456789", END]


def test_what_has_no_head_is_late_as_well():
    one = shaper(latency=0.5)
    one.last(END, 1.0)
    assert arrivals(one) == [(1.5, END)]


def test_bandwidth():
    one = shaper(rate=100)
    whole(one)
    assert arrivals(one) == [(0.0, HEAD), (0.05, b"01234"), (0.1, b"56789"), (0.1, END)]


def test_a_rate_under_an_octet_a_piece_still_gets_there():
    one = shaper(rate=2)
    whole(one, b"abc")
    assert arrivals(one) == [(0.0, HEAD), (0.5, b"a"), (1.0, b"b"), (1.5, b"c"), (1.5, END)]


def test_idle_time_is_not_saved_up():
    one = shaper(rate=100)
    one.head(HEAD, 0.0)
    one.data(b"01234", 0.0)
    one.data(b"56789", 7.0)
    assert arrivals(one) == [(0.0, HEAD), (0.05, b"01234"), (7.05, b"56789")]


def test_slices():
    one = shaper(slices=Slices(4, 0, 0.25))
    whole(one)
    assert arrivals(one) == [(0.0, HEAD), (0.25, b"0123"), (0.5, b"4567"), (0.75, b"89"), (0.75, END)]


def test_slices_of_varying_size():
    one = shaper(slices=Slices(4, 2))
    whole(one, bytes(1000))
    sizes = {len(item) for _, item in arrivals(one) if isinstance(item, bytes)} - {1}
    assert sizes == {2, 3, 4, 5, 6}


def test_closing_late():
    one = shaper(closing=3.0)
    one.head(HEAD, 0.0)
    one.data(b"x", 0.0)
    one.last("drop", 0.0)
    one.last(END, 0.0)
    assert arrivals(one) == [(0.0, HEAD), (0.0, b"x"), (3.0, "drop"), (3.0, END)]


def test_a_corrupted_octet_has_one_bit_that_is_another():
    one = shaper(corrupt=(1, 7, 99))
    one.head(HEAD, 0.0)
    for piece in (b"0123", b"4567", b"89"):
        one.data(piece, 0.0)
    assert b"".join(item for _, item in arrivals(one) if isinstance(item, bytes)) == b"0023456689"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_nothing_gets_through_before_an_ending(how):
    one = shaper(ending=Ending(BEFORE_THE_HEAD, 2.0, how))
    whole(one)
    assert arrivals(one) == [(2.0, how)]


def test_an_ending_after_some_of_the_body():
    one = shaper(ending=Ending(7, 2.0, "close"))
    whole(one)
    assert arrivals(one) == [(0.0, HEAD), (0.0, b"0123456"), (2.0, "close")]
    assert one.octets == 0


def test_an_ending_waits_for_what_comes_before_it():
    one = shaper(rate=100, latency=1.0, ending=Ending(5, 2.0, "close"))
    whole(one)
    assert arrivals(one) == [(1.0, HEAD), (1.05, b"01234"), (3.05, "close")]


@pytest.mark.parametrize("after", [10, 11])
def test_a_body_that_is_no_longer_than_that_passes(after):
    one = shaper(ending=Ending(after, 0.0, "close"))
    whole(one)
    assert arrivals(one) == [(0.0, HEAD), (0.0, b"0123456789"), (0.0, END)]
    assert not one.busy


def test_what_follows_a_stall_takes_no_memory():
    one = shaper(ending=Ending(5, 600.0, "close"))
    one.head(HEAD, 0.0)
    for _ in range(100):
        one.data(bytes(100_000), 0.0)
    assert one.octets == 5


@pytest.mark.parametrize(
    ("ending", "reached"),
    [
        (None, [BEFORE_THE_HEAD, 0, 4, 5, 9]),
        (5, [BEFORE_THE_HEAD, 0, 4]),
        (0, [BEFORE_THE_HEAD]),
        (BEFORE_THE_HEAD, [BEFORE_THE_HEAD]),
    ],
)
def test_moments_that_a_message_has_been_at(ending, reached):
    one = shaper(ending=None if ending is None else Ending(ending, 1.0, "close"))
    moments = [BEFORE_THE_HEAD, 0, 4, 5, 9, 10]
    assert not any(one.has(Reached("downstream", after)) for after in moments)
    whole(one)
    assert [after for after in moments if one.has(Reached("downstream", after))] == reached


@pytest.mark.parametrize(("after", "has"), [(BEFORE_THE_HEAD, True), (0, True), (9, True), (10, False)])
def test_its_end_is_one_of_them_where_more_would_have_come(after, has):
    one = shaper(ending=Ending(after, 1.0, "close"))
    whole(one)
    assert one.has(Reached("downstream", after, ends=True)) is has


@pytest.mark.parametrize("way", [{"slices": Slices(1, 0, 1.0)}, {"rate": 1}])
def test_what_waits_to_be_cut_up_takes_no_more_memory_than_its_octets(way):
    made = []
    one = Shaper(Way(**way), lambda data: made.append(data) or data, "seed")
    one.head(HEAD, 0.0)
    one.data(bytes(1_000_000), 0.0)
    assert (len(one._waiting), made) == (2, [])
    assert list(one.ready(3.0)) == [HEAD, b"\0", b"\0", b"\0"]
    assert one.octets == 999_997


def test_what_is_due_can_be_taken_in_several_goes():
    one = shaper(slices=Slices(1))
    whole(one, b"abc")
    out = [next(one.ready(0.0)) for _ in range(4)]
    assert (out, one.due(), one.octets) == ([HEAD, b"a", b"b", b"c"], 0.0, 0)
    assert list(one.ready(0.0)) == [END]


WAYS = st.builds(
    Way,
    latency=st.floats(0, 10),
    rate=st.none() | st.floats(0.5, 1e9),
    slices=st.none() | st.builds(Slices, st.integers(1, 50), st.just(0), st.floats(0, 1)),
    corrupt=st.lists(st.integers(0, 60), max_size=3, unique=True).map(tuple),
    closing=st.floats(0, 10),
)


@given(way=WAYS, pieces=st.lists(st.binary(max_size=40), max_size=8), steps=st.lists(st.floats(0, 3), min_size=9))
def test_whatever_happens_to_it_order_and_octets_are_kept(way, pieces, steps):
    one = Shaper(way, lambda data: data)
    now, out = 0.0, []
    one.head(HEAD, now)
    for piece, step in zip(pieces, steps, strict=False):
        one.data(piece, now)
        now += step
        out += one.ready(now)
    one.last(END, now)
    times = []
    while (due := one.due()) is not None:
        times.append(due)
        out += one.ready(due)
    assert times == sorted(times)
    assert (out[0], out[-1]) == (HEAD, END)
    assert all(out[1:-1]), "an empty piece would end a chunked body"
    expected = bytearray(b"".join(pieces))
    for at in way.corrupt:
        if at < len(expected):
            expected[at] ^= 1
    assert b"".join(out[1:-1]) == bytes(expected)


@given(
    way=WAYS,
    body=st.binary(max_size=100),
    after=st.integers(0, 100),
    cuts=st.lists(st.integers(1, 20), min_size=1),
)
def test_an_ending_lets_exactly_so_many_octets_pass(way, body, after, cuts):
    one = Shaper(Way(way.latency, way.rate, way.slices, (), Ending(after, 0.5, "reset")), lambda data: data)
    one.head(HEAD, 0.0)
    for at in range(0, len(body), cuts[0]):
        one.data(body[at : at + cuts[0]], 0.0)
    one.last(END, 0.0)
    items = [item for _, item in arrivals(one)]
    passed = b"".join(item for item in items if isinstance(item, bytes))
    assert passed == body[:after]
    assert items[-1] == ("reset" if len(body) > after else END)
