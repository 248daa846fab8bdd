"""Bodies in chunks: read as h11 reads them, and refused where two readers could differ."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.protocol.chunked import MAX_EXTENSIONS, MAX_LINE, ChunkedReader
from osp_gateway.s3.errors import S3Error

END = b"0\r\n\r\n"


def read(data: bytes) -> bytes:
    reader = ChunkedReader()
    body = reader.feed(data)
    assert reader.complete
    return body


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (END, b""),
        (b"4\r\nbody\r\n" + END, b"body"),
        (b"0004\r\nbody\r\n0000\r\n\r\n", b"body"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + END, b"0123456789" * 2),
        (b'4;name=value;q="x y"\r\nbody\r\n0;last\r\n\r\n', b"body"),
        (b"4\r\n\r\n0\r\r\n" + END, b"\r\n0\r"),
    ],
)
def test_chunks_are_put_together(data: bytes, body: bytes) -> None:
    assert read(data) == body


def test_what_follows_a_body_is_left() -> None:
    reader = ChunkedReader()
    assert reader.feed(b"1\r\nx\r\n" + END + b"GET / HTTP/1.1") == b"x"
    assert (reader.complete, reader.rest) == (True, b"GET / HTTP/1.1")


REFUSED = {
    "sign": b"+4\r\nbody\r\n",
    "minus": b"-4\r\nbody\r\n",
    "0x": b"0x4\r\nbody\r\n",
    "underscore": b"0_4\r\nbody\r\n",
    "blank before": b" 4\r\nbody\r\n",
    "blank behind": b"4 \r\nbody\r\n",
    "no digit": b"\r\nbody\r\n",
    "no hexadecimal digit": b"g\r\n",
    "other digits": "\u0664\r\n".encode(),
    "seventeen digits": b"0" * 16 + b"4\r\nbody\r\n",
    "LF alone": b"4\nbody\n0\n\n",
    "LF alone after the data": b"4\r\nbody\n" + END,
    "CR alone": b"4\rbody\r" + END,
    "CR in an extension": b"4;a\rb\r\nbody\r\n",
    "LF in an extension": b"4;a\nb\r\nbody\r\n",
    "NUL in an extension": b"4;a\0b\r\nbody\r\n",
    "data too long": b"4\r\nbodybody\r\n" + END,
    "data too short": b"5\r\nbody\r\n" + END,
    "trailer": b"0\r\nX-Trailer: a\r\n\r\n",
    "trailer without end": b"0\r\nX-Trailer",
    "LF alone at the end": b"0\r\n\n",
    "endless line": b"4;" + b"a" * MAX_LINE,
    "endless extensions": (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * (MAX_EXTENSIONS // 1000 + 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_chunks_are_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        ChunkedReader().feed(REFUSED[name])
    assert (caught.value.status, caught.value.code) == (400, "InvalidRequest")


def h11_reads(data: bytes) -> bytes:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    body, event = b"", connection.next_event()
    while not isinstance(event, h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        event = connection.next_event()
        assert event is not h11.NEED_DATA
    return body


@given(st.lists(st.sampled_from([b"4", b"1", b"0", b"a", b"\r\n", b"\n", b"\r", b";x", b" ", b"body", b"x", END])))
def test_what_is_taken_is_read_as_h11_reads_it(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    reader = ChunkedReader()
    try:
        body = reader.feed(data)
    except S3Error:
        return
    if reader.complete:
        assert body == h11_reads(data)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.data())
def test_segments_make_no_difference(chunks: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(b"%x;e\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + END + b"more"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    reader, body, behind = ChunkedReader(), b"", b""
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        if reader.complete:
            behind += octets[start:end]
        else:
            body += reader.feed(octets[start:end])
    assert (body, reader.rest + behind) == (b"".join(chunks), b"more")
