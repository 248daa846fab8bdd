"""What the gateway itself has to say goes into the store's DeleteResult, however the document is cut in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.responses import DeleteResultCompleter
from osp_gateway.s3.batch import ObjectName, denied_entries

ENTRIES = denied_entries([ObjectName("</DeleteResult>", None), ObjectName("b", "v1")])
DELETED = b"<Deleted><Key>a</Key></Deleted>"


def completed(*pieces: bytes) -> bytes:
    completer = DeleteResultCompleter(ENTRIES)
    return b"".join(completer.feed(piece) for piece in pieces) + completer.finish()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"<DeleteResult>%b</DeleteResult>" % DELETED, b"<DeleteResult>%b%b</DeleteResult>"),
        (b"<DeleteResult></DeleteResult>\n", b"<DeleteResult>%.0b%b</DeleteResult>\n"),
        (b"<DeleteResult/>", b"<DeleteResult>%.0b%b</DeleteResult>"),
        (b'<DeleteResult xmlns="http://x/y/" />', b'<DeleteResult xmlns="http://x/y/" >%.0b%b</DeleteResult>'),
    ],
)
@given(data=st.data())
def test_the_entries_stand_at_the_end_of_the_result(document: bytes, expected: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=4)))
    pieces = [document[start:end] for start, end in zip([0, *cuts], [*cuts, len(document)], strict=True)]
    assert completed(*pieces) == expected % (DELETED, ENTRIES.encode())


def test_another_document_stays_as_it_is() -> None:
    assert completed(b"<Error><Code>Internal", b"Error</Code></Error>") == b"<Error><Code>InternalError</Code></Error>"


def test_no_more_than_an_element_is_held_back() -> None:
    completer = DeleteResultCompleter(ENTRIES)
    assert len(completer.feed(b"<" + b"a" * 100_000)) == 100_001
