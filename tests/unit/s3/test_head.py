"""Heads are kept as they came, and refused where two readers could understand them differently."""

from __future__ import annotations

import pytest

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import SINGLE_VALUED, Header, RequestHead


def head(*headers: Header) -> RequestHead:
    return RequestHead("GET", "/b/k", "", headers)


def test_fields_are_found_in_lower_case_and_in_order() -> None:
    found = head(("X-Custom", "1"), ("x-cUSTOM", "2"), ("Host", "h"))

    assert found.fields == {"x-custom": ["1", "2"], "host": ["h"]}
    assert (found.get("x-custom"), found.get("host"), found.get("range")) == ("1", "h", None)
    assert found.headers[1] == ("x-cUSTOM", "2")


def test_the_repr_shows_no_header() -> None:
    assert "fake-secret" not in repr(head(("authorization", "fake-secret")))


@pytest.mark.parametrize("name", [*sorted(SINGLE_VALUED), "x-amz-meta-a", "X-Amz-Date", "x-amz-copy-source"])
def test_a_header_that_matters_given_twice_is_refused(name: str) -> None:
    with pytest.raises(S3Error, match="InvalidRequest"):
        head((name, "1"), (name.upper(), "1")).refuse_ambiguity()


def test_other_headers_may_be_given_twice() -> None:
    head(("accept", "a"), ("accept", "b"), ("x-forwarded-for", "1"), ("X-Forwarded-For", "2")).refuse_ambiguity()


@pytest.mark.parametrize(
    "name", ["x_amz_copy_source", "X-Amz-Copy_Source", "content_length", "Transfer_Encoding", "x-amz_meta-a"]
)
def test_a_name_with_underscores_that_a_cgi_server_would_mistake_is_refused(name: str) -> None:
    with pytest.raises(S3Error, match="InvalidRequest"):
        head((name, "1")).refuse_ambiguity()


@pytest.mark.parametrize("name", ["my_header", "x-amz-meta-my_key", "X-Amz-Meta-_"])
def test_other_names_may_have_underscores(name: str) -> None:
    # User metadata among them: `Metadata={"my_key": ...}` is everyday boto3.
    head((name, "1")).refuse_ambiguity()


@pytest.mark.parametrize("value", ["a\r\n b", "a\nx-amz-acl: b", "a\r", "\0", "a\0b"])
@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-custom", "host"])
def test_a_value_with_a_line_break_or_nul_is_refused(name: str, value: str) -> None:
    with pytest.raises(S3Error, match="InvalidRequest"):
        head((name, value)).refuse_ambiguity()
