"""What goes by while a request is served: digests and contents, without framing and without signatures."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.replay.exchange import OF_AUTHENTICATION
from osp_gateway.replay.tape import FormBody, Tape
from osp_gateway.s3.head import RequestHead
from support.forms import CONTENT_TYPE, boto3_fields, form_body

FILE = b"the file\r\n--not-the-boundary\r\n" * 10
FIELDS = boto3_fields(
    "folder/${filename}", {"Content-Type": "text/plain", "x-amz-meta-a": "b"}, [["starts-with", "$key", ""]]
)
BODY = form_body(FIELDS, FILE, filename='a "b".txt')


def posted(body: bytes, sizes: list[int], limit: int = 1024) -> FormBody:
    tape = Tape(RequestHead("POST", "/demo", "", (("Content-Type", CONTENT_TYPE),)), limit)
    assert isinstance(tape.request, FormBody)
    at = 0
    while at < len(body):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        tape.request.add(body[at : at + size])
        at += size
    return tape.request


@given(st.lists(st.integers(1, 500), min_size=1))
def test_a_form_is_its_fields_and_its_file_however_it_comes(sizes):
    found = posted(BODY, sizes)
    payload = found.payload()
    assert (payload.length, payload.sha256, payload.content) == (len(FILE), hashlib.sha256(FILE).hexdigest(), FILE)
    assert found.form is not None
    assert dict(found.form.pairs) == {
        "key": "folder/${filename}",
        "Content-Type": "text/plain",
        "x-amz-meta-a": "b",
    }
    assert (found.form.key, found.form.signed) == ("folder/${filename}", True)
    assert '"' not in found.form.filename


def test_nothing_that_authenticates_it_is_kept():
    found = posted(BODY, [100])
    assert found.form is not None
    assert not {name.lower() for name, _ in found.form.pairs} & OF_AUTHENTICATION
    assert {name.lower() for name, _ in FIELDS} & OF_AUTHENTICATION


def test_a_large_file_is_its_digest():
    payload = posted(BODY, [50], limit=10).payload()
    assert (payload.content, payload.length) == (None, len(FILE))


def test_an_anonymous_form_is_told_from_a_signed_one():
    found = posted(form_body([("key", "k")], b"x"), [1000])
    assert found.form is not None
    assert not found.form.signed


@pytest.mark.parametrize("body", [b"no form", BODY[:100], b"--" + b"x" * 100_000, b""])
def test_what_cannot_be_read_is_no_form(body):
    assert posted(body, [1000]).form is None


def test_documents_are_kept_whatever_the_limit():
    tape = Tape(RequestHead("POST", "/demo", "delete", ()), limit=2)
    tape.send(b"<Delete/>", "DeleteObjects")
    tape.receive(b"<DeleteResult/>", "DeleteObjects", 200)
    assert (tape.request.payload().content, tape.answer.payload().content) == (b"<Delete/>", b"<DeleteResult/>")


def test_objects_are_kept_up_to_the_limit():
    tape = Tape(RequestHead("PUT", "/demo/key", "", ()), limit=2)
    tape.send(b"object", "PutObject")
    tape.receive(b"object", "GetObject", 206)
    assert (tape.request.payload().content, tape.answer.payload().content) == (None, None)


def test_the_document_of_an_error_is_kept_and_one_without_end_is_not():
    tape = Tape(RequestHead("GET", "/demo/key", "", ()), limit=2, document_limit=10)
    tape.receive(b"<Error/>", "GetObject", 404)
    assert tape.answer.payload().content == b"<Error/>"
    tape.receive(b"and so on", "GetObject", 404)
    assert (tape.answer.payload().content, tape.answer.payload().length) == (None, 17)
