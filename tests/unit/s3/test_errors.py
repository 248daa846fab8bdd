"""The XML that the gateway writes is well-formed, whatever a client made it say."""

from __future__ import annotations

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import STATUS, S3Error
from osp_gateway.s3.xml import NAMESPACE, bucket_list
from support.oracle import generated

anything = st.text(st.characters(), max_size=40)  # surrogates and control characters, too
HOSTILE = [
    "</Error><Error>",
    "<!DOCTYPE x [<!ENTITY a 'b'>]>&a;",
    "]]>",
    "<![CDATA[",
    "&amp;",
    "\0\x01\x08\x0b\x0c\x1f\x7f",
    "\ud800",
    "\udfff\ud800",
    "\ufffe\uffff",
    "𝄞\U0010ffff",
    "\"'><",
]


def test_a_document_has_s3s_elements_in_s3s_order() -> None:
    error = S3Error("AccessDenied", "Request has expired", details={"X-Amz-Expires": "1"})
    root = fromstring(error.document("/b/k", "0123ABCD"))

    assert root.tag == "Error"
    assert [(child.tag, child.text) for child in root] == [
        ("Code", "AccessDenied"),
        ("Message", "Request has expired"),
        ("X-Amz-Expires", "1"),
        ("Resource", "/b/k"),
        ("RequestId", "0123ABCD"),
    ]


def test_a_document_is_utf_8_and_says_so() -> None:
    document = S3Error("InvalidURI", "é").document("/€", "1")

    assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert "é".encode() in document


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_stays_text(text: str) -> None:
    root = fromstring(S3Error("InvalidArgument", text, details={"ArgumentValue": text}).document(text, text))

    assert [child.tag for child in root] == ["Code", "Message", "ArgumentValue", "Resource", "RequestId"]
    assert all(len(list(child)) == 0 for child in root)


@generated
@given(anything, anything, anything)
def test_documents_are_well_formed(message: str, detail: str, resource: str) -> None:
    root = fromstring(S3Error("InvalidArgument", message, details={"Detail": detail}).document(resource, "1"))

    assert [child.tag for child in root] == ["Code", "Message", "Detail", "Resource", "RequestId"]


@generated
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF), max_size=40))
def test_what_xml_can_carry_arrives_unchanged(message: str) -> None:
    root = fromstring(S3Error("InvalidArgument", message).document("/", "1"))

    assert (root.findtext("Message") or "") == message


def test_the_operators_reason_is_not_in_the_document() -> None:
    error = S3Error.access_denied(reason="fake-reason")

    assert error.reason == "fake-reason"
    assert b"fake-reason" not in error.document("/", "1")
    assert b"fake-reason" not in S3Error.internal("fake-reason").document("/", "1")
    assert b"fake-reason" not in S3Error.unavailable("Try again.", "fake-reason").document("/", "1")


def test_the_reason_defaults_to_the_message() -> None:
    assert S3Error("InvalidURI", "No.").reason == "No."


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (S3Error.access_denied(), "AccessDenied", 403),
        (S3Error.invalid_request("No."), "InvalidRequest", 400),
        (S3Error.unavailable("Later."), "ServiceUnavailable", 503),
        (S3Error.internal("Bug."), "InternalError", 500),
    ],
)
def test_the_usual_errors_have_s3s_codes(error: S3Error, code: str, status: int) -> None:
    assert (error.code, error.status) == (code, status)


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        S3Error("NoSuchCode", "No.")


def test_every_status_is_an_error() -> None:
    assert all(400 <= status < 600 for status in STATUS.values())


def test_a_bucket_list_names_the_buckets_and_who_asked() -> None:
    root = fromstring(bucket_list(["a", "b"], "fake-key", "2026-01-01T12:00:00Z"))
    space = {"s3": NAMESPACE}

    assert root.tag == f"{{{NAMESPACE}}}ListAllMyBucketsResult"
    assert [name.text for name in root.findall("s3:Buckets/s3:Bucket/s3:Name", space)] == ["a", "b"]
    assert {date.text for date in root.findall(".//s3:CreationDate", space)} == {"2026-01-01T12:00:00Z"}
    assert root.findtext("s3:Owner/s3:ID", namespaces=space) == "fake-key"


def test_a_bucket_list_may_be_empty() -> None:
    root = fromstring(bucket_list([], "fake-key", "2026-01-01T12:00:00Z"))

    assert root.find(f"{{{NAMESPACE}}}Buckets") is not None
    assert len(root.findall(f".//{{{NAMESPACE}}}Bucket")) == 0


@generated
@given(st.lists(anything, max_size=4), anything)
def test_bucket_lists_are_well_formed(names: list[str], owner: str) -> None:
    root = fromstring(bucket_list(names, owner, "2026-01-01T12:00:00Z"))

    assert len(root.findall(f".//{{{NAMESPACE}}}Bucket")) == len(names)
