"""Which recorded answer a request gets, offline."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from osp_gateway.replay.exchange import Answer, Exchange, Payload
from osp_gateway.replay.library import Library, matching
from support.exchanges_made import answer, exchange, large, request


def key(operation: str = "GetObject", **more: Any) -> Hashable:
    asked = request(**more)
    return matching(operation, asked.bucket, asked.key_path, asked.query, asked.headers, asked.payload)


def numbered(*statuses: int, **more: Any) -> list[Exchange]:
    return [exchange(asked=request(**more), answered=answer(status)) for status in statuses]


def given(library: Library, asked: Hashable) -> int | None:
    found = library.answer(asked)
    return found.status if found is not None else None


def test_answers_to_the_same_request_come_in_their_order_each_once():
    library = Library(numbered(404, 200, 304))
    assert [given(library, key()) for _ in range(4)] == [404, 200, 304, None]


def test_the_first_answer_may_be_used_again_and_again():
    library = Library(numbered(404, 200), reuse=True)
    assert [given(library, key()) for _ in range(3)] == [404, 404, 404]


def test_an_answer_that_cannot_be_given_is_not_used_up():
    library = Library([exchange(answered=Answer(200, (), large(1000)))])
    assert [given(library, key()) for _ in range(3)] == [200, 200, 200]


def test_requests_are_answered_in_whichever_order_they_come():
    library = Library([*numbered(200, key="a"), *numbered(201, key="b")])
    assert [given(library, key(key=name)) for name in ("b", "a")] == [201, 200]
    assert len(library) == 0


@pytest.mark.parametrize(
    "same",
    [
        {"query": (("x-id", "GetObject"),)},
        {"query": (("X-Amz-Date", "20260101T000000Z"), ("X-Amz-Expires", "60"))},
        {"headers": (("user-agent", "another"), ("x-amz-date", "other"), ("amz-sdk-invocation-id", "x"))},
    ],
)
def test_signatures_dates_and_what_sdks_add_do_not_count(same):
    assert given(Library(numbered(200)), key(**same)) == 200


@pytest.mark.parametrize(
    "other",
    [
        {"operation": "HeadObject"},
        {"bucket": "other"},
        {"key": "another"},
        {"query": (("versionId", "v"),)},
        {"query": (("response-content-type", "text/plain"),)},
        {"headers": (("range", "bytes=0-1"),)},
        {"headers": (("if-none-match", '"a"'),)},
        {"headers": (("x-amz-copy-source", "demo/a"),)},
        {"headers": (("x-amz-copy-source-if-match", '"a"'),)},
        {"headers": (("x-amz-object-attributes", "ETag"),)},
        {"headers": (("x-amz-server-side-encryption-customer-algorithm", "AES256"),)},
        {"content": b"another body"},
    ],
)
def test_what_means_something_counts(other):
    assert given(Library(numbered(200)), key(**other)) is None


def test_the_order_of_parameters_and_headers_does_not_count():
    query, headers = (("prefix", "a"), ("delimiter", "b")), (("range", "bytes=0-1"), ("if-match", "x"))
    library = Library(numbered(200, query=query, headers=headers))
    assert given(library, key(query=query[::-1], headers=headers[::-1])) == 200


def test_a_body_is_known_by_its_digest():
    recorded = exchange(asked=request(payload=Payload(4, Payload.of(b"body").sha256)))
    assert given(Library([recorded]), key(content=b"body")) == 200
