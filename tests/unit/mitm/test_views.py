"""The content views: what they show, that nothing makes them raise, and what they are offered for."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import flowfilter, http
from mitmproxy.contentviews import Metadata, registry
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from osp_gateway.mitm.showing import DETAILS, EXPLANATION, Showing
from osp_gateway.mitm.view_chunked import MAX_CHUNKS, ChunkedView, read_framing
from osp_gateway.mitm.view_form import PolicyFormView
from osp_gateway.mitm.view_request import MAX_HEADERS, S3RequestView
from osp_gateway.mitm.view_xml import S3XmlView, read_document
from osp_gateway.mitm.views import VIEWS, ExplanationView
from osp_gateway.mitm.wire import annotate, head_of
from osp_gateway.outcomes import ALLOWED, DENIED, NOT_ASKED, Verdict
from osp_gateway.redaction import Redactor

VERDICT = Verdict(
    "ID",
    "client-fake-key",
    "GetObject",
    "demo",
    "a/key",
    True,
    "allowed by f",
    False,
    "store.example.test (demo)",
    42,
    authorizer=ALLOWED,
)
FUZZ_CORPUS = sorted(path for path in (Path(__file__).parents[2] / "fuzz" / "corpus").rglob("*") if path.is_file())
SIGNED = (
    (b"Host", b"gateway.example.test"),
    (b"X-Amz-Date", b"20261125T000000Z"),
    (b"X-Amz-Content-SHA256", b"UNSIGNED-PAYLOAD"),
    (
        b"Authorization",
        b"AWS4-HMAC-SHA256 Credential=client-fake-key/20261125/us-east-1/s3/aws4_request, "
        b"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + b"0" * 64,
    ),
)
LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>demo</Name><KeyCount>2</KeyCount>"
    b"<Contents><Key>a</Key><Size>5</Size></Contents><Contents><Key>b/long</Key><Size>12345</Size></Contents>"
    b"<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>"
)


def flow_with(
    headers: tuple[tuple[bytes, bytes], ...] = SIGNED,
    method: bytes = b"GET",
    path: bytes = b"/demo/a/key",
    **verdict: Any,
) -> http.HTTPFlow:
    """A flow as the gateway leaves it."""
    flow = tflow.tflow(resp=True)
    data = flow.request.data
    data.method, data.path, data.headers, data.content = method, path, http.Headers(headers), b""
    showing, head = Showing(Redactor()), head_of(flow)
    showing.request_head(flow)
    annotate(flow, replace(VERDICT, **verdict), showing, head)
    return flow


def sent(flow: http.HTTPFlow, *headers: tuple[bytes, bytes]) -> http.HTTPFlow:
    request = flow.request.copy()
    request.data.headers = http.Headers(headers)
    request.data.path = b"/backend-name/a/key"
    Showing(Redactor()).sent(flow, request)
    return flow


def shown(view: Any, flow: http.HTTPFlow, body: bytes = b"", *, answer: bool = False) -> str:
    message = flow.response if answer else flow.request
    text = view().prettify(body, Metadata(flow=flow, http_message=message))
    assert isinstance(text, str)
    return text


def chosen(flow: http.HTTPFlow, body: bytes, *, answer: bool = False) -> str:
    """The view that mitmproxy takes of itself."""
    message = flow.response if answer else flow.request
    metadata = Metadata(flow=flow, http_message=message, content_type=message.headers.get("content-type"))
    for view in VIEWS:
        registry.register(view())
    return registry.get_view(body, metadata).name


# The request


def test_a_request_is_shown_before_and_after() -> None:
    flow = sent(
        flow_with(), (b"Host", b"store.example.test"), (b"Authorization", b"AWS4-HMAC-SHA256 Credential=secret")
    )
    text = shown(S3RequestView, flow)
    lines = text.splitlines()
    assert lines[0] == "GetObject  demo/a/key"
    assert any(
        line.startswith("! host") and "gateway.example.test" in line and "store.example" in line for line in lines
    )
    assert any(line.startswith("! target") and "/backend-name/a/key" in line for line in lines)
    assert any(line.startswith("- x-amz-date") for line in lines)
    assert "Credential=secret" not in text


def test_what_the_client_signed_is_shown_as_the_gateway_reads_it() -> None:
    text = shown(S3RequestView, flow_with())
    assert "Canonical request, as the gateway reads it:\n  GET\n  /demo/a/key\n\n  host:gateway.example.test\n" in text
    assert "String to sign:\n  AWS4-HMAC-SHA256\n  20261125T000000Z\n  20261125/us-east-1/s3/aws4_request\n" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["verdict  allowed: allowed by f", "the authorizer was asked", "client-fake-key", "store.example.test"]),
        ({"authorizer": DENIED, "allowed": False}, ["the authorizer was asked"]),
        ({"authorizer": NOT_ASKED, "allowed": False}, ["no authorizer was asked"]),
        ({"cached": True}, ["the verdict was remembered"]),
        ({"allowed": False, "reason": "denied by f"}, ["REFUSED: denied by f", "Nothing was sent to the store"]),
    ],
)
def test_the_verdict_is_shown_with_its_reason_and_cache_state(changes: dict[str, Any], words: list[str]) -> None:
    text = shown(S3RequestView, flow_with(**changes))
    assert [word for word in words if word not in text] == []


def test_a_request_without_a_signature_is_told_to_have_none() -> None:
    assert "carries no signature" in shown(S3RequestView, flow_with(((b"Host", b"gateway.example.test"),)))


def test_a_flow_of_somebody_elses_is_none_of_ours() -> None:
    flow = tflow.tflow(resp=True)
    assert all(view().render_priority(b"x", Metadata(flow=flow, http_message=flow.request)) < 0 for view in VIEWS)
    assert "did not go through the gateway" in shown(S3RequestView, flow)


def test_a_saved_flow_is_shown_like_the_one_that_was_saved(tmp_path: Path) -> None:
    flow = sent(flow_with(), (b"Host", b"store.example.test"))
    flow.metadata[DETAILS]["chunks"] = {"signed": True, "sizes": [5, 0], "count": 2, "right": 2, "complete": True}
    with (tmp_path / "flows.mitm").open("wb") as file:
        FlowWriter(file).add(flow)
    with (tmp_path / "flows.mitm").open("rb") as file:
        (saved,) = FlowReader(file).stream()
    assert isinstance(saved, http.HTTPFlow)
    for view in (S3RequestView, ChunkedView):
        assert shown(view, saved) == shown(view, flow)


# aws-chunked

CHUNKED = (
    b"5;chunk-signature="
    + b"a" * 64
    + b"\r\nhello\r\n3;chunk-signature="
    + b"b" * 64
    + b"\r\nyou\r\n0;chunk-signature="
    + b"c" * 64
    + b"\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
)
STREAMED = (*SIGNED[:2], (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), SIGNED[3])


def test_each_chunk_has_its_place_and_size() -> None:
    text = shown(ChunkedView, flow_with(STREAMED, b"PUT"), CHUNKED)
    rows = [line.split()[:4] for line in text.splitlines() if line.strip()[:1].isdigit()][1:]
    assert rows == [["1", "0", "0", "5"], ["2", "91", "5", "3"], ["3", "180", "8", "0"]]
    assert "x-amz-checksum-crc32  AAAAAA==" in text
    assert "signature good" not in text


def test_what_was_found_out_while_it_streamed_is_shown() -> None:
    flow = flow_with(STREAMED, b"PUT")
    found = {
        "signed": True,
        "sizes": [5, 3],
        "count": 2,
        "right": 1,
        "complete": False,
        "error": "SignatureDoesNotMatch",
    }
    flow.metadata[DETAILS]["chunks"] = found
    for body in (CHUNKED, b""):
        lines = shown(ChunkedView, flow, body).splitlines()
        assert sum("signature good" in line for line in lines) == 1
        assert [line.split()[0] for line in lines if " BAD" in line] == ["2"]
        assert "REFUSED: SignatureDoesNotMatch" in lines


def test_a_body_that_is_no_framing_is_told_where_it_ceases_to_be_one() -> None:
    assert "at octet 10 there is no chunk header" in shown(
        ChunkedView, flow_with(STREAMED, b"PUT"), b"5\r\nhello\r\nwhat"
    )


# XML


def test_a_listing_is_an_aligned_table() -> None:
    text = shown(S3XmlView, flow_with(operation="ListObjectsV2"), LISTING, answer=True)
    assert "KeyCount  2" in text
    assert "Contents (2)\n Size  Key\n    5  a\n12345  b/long\n" in text
    assert "CommonPrefixes (1)\nPrefix\nc/\n" in text


def test_a_listing_that_was_cut_off_is_shown_as_far_as_it_goes() -> None:
    text = shown(S3XmlView, flow_with(operation="ListObjectsV2"), LISTING[: LISTING.index(b"<Key>b")], answer=True)
    assert "Contents (1)" in text
    assert "The rest is not shown: " in text


def test_buckets_are_a_table() -> None:
    buckets = b"<Bucket><Name>a</Name></Bucket><Bucket><Name>b</Name></Bucket>"
    body = b"<R><Owner><ID>x</ID></Owner><Buckets>" + buckets + b"</Buckets></R>"
    assert "Bucket (2)\nName\na\nb\n" in shown(S3XmlView, flow_with(operation="ListBuckets"), body, answer=True)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [(True, "This is the store's answer"), (False, "The gateway refused the request: denied by f")],
)
def test_an_error_is_told_with_whose_it_is_and_why(allowed: bool, words: str) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    text = shown(S3XmlView, flow_with(allowed=allowed, reason="denied by f"), body, answer=True)
    assert "Code     AccessDenied" in text
    assert words in text


def test_entities_are_not_followed() -> None:
    bomb = b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r><x>&b;</x></r>'
    text = shown(S3XmlView, flow_with(), bomb, answer=True)
    assert "DOCTYPE" in text
    assert "aaaa" not in text


# Forms

POLICY = {
    "expiration": "2999-01-01T00:00:00.000Z",
    "conditions": [
        {"bucket": "demo"},
        ["starts-with", "$key", "folder/"],
        {"acl": "private"},
        ["content-length-range", 1, 3],
        {"x-amz-security-token": "a-fake/token"},
    ],
}
FORM_TYPE = (b"Content-Type", b"multipart/form-data; boundary=edge")


def form(**fields: str) -> bytes:
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    file = '--edge\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhello\r\n--edge--\r\n'
    return ("".join(parts) + file).encode()


def test_a_form_shows_its_policy_and_which_conditions_it_meets() -> None:
    policy = base64.b64encode(json.dumps(POLICY).encode()).decode()
    token = {"x-amz-security-token": "a-fake/token"}
    body = form(key="folder/x", acl="public", policy=policy, colour="red", **token, **{"x-amz-signature": "0" * 64})
    flow = flow_with((SIGNED[0], FORM_TYPE), b"POST", b"/demo", operation="PostObject")
    flow.request.data.content = body
    Showing(Redactor()).request_body(flow, head_of(flow))
    kept = flow.request.data.content
    assert kept is not None
    assert b"0" * 64 not in kept
    assert b"a-fake/token" not in base64.b64decode(kept.partition(b'name="policy"\r\n\r\n')[2].partition(b"\r\n")[0])
    text = shown(PolicyFormView, flow, kept)
    met = {
        line.split("  ", 1)[1].strip()[:24]: line.split()[0] for line in text.splitlines() if line[:3] in ("yes", "NO ")
    }
    assert met == {
        '["eq", "$bucket", "demo"': "yes",
        '["starts-with", "$key", ': "yes",
        '["eq", "$acl", "private"': "NO",
        '["content-length-range",': "NO",
        '["eq", "$x-amz-security-': "yes",
        "no condition allows the f"[:24]: "NO",
    }


# Which view is taken


@pytest.mark.parametrize(
    ("headers", "method", "operation", "body", "answer", "expected"),
    [
        (SIGNED, b"GET", "GetObject", b"", False, "S3 request"),
        (SIGNED, b"PUT", "PutObject", b"plain text", False, "S3 request"),
        (STREAMED, b"PUT", "PutObject", CHUNKED, False, "aws-chunked"),
        ((SIGNED[0], FORM_TYPE), b"POST", "PostObject", form(key="x"), False, "S3 policy form"),
        (SIGNED, b"GET", "ListObjectsV2", LISTING, True, "S3 XML"),
        (SIGNED, b"POST", "DeleteObjects", b"<Delete></Delete>", False, "S3 XML"),
    ],
)
def test_the_view_that_suits_is_taken(
    headers: Any, method: bytes, operation: str, body: bytes, answer: bool, expected: str
) -> None:
    assert chosen(flow_with(headers, method, operation=operation), body, answer=answer) == expected


def test_an_object_that_is_xml_is_left_to_others() -> None:
    assert not chosen(flow_with(operation="GetObject"), LISTING, answer=True).startswith("S3 ")


# Filters


@pytest.mark.parametrize(
    ("written", "changes", "found"),
    [
        ("~comment GetObject & ~c 403", {"allowed": False}, True),
        ("~comment GetObject & ~c 403", {"allowed": True}, False),
        ('~comment "client-fake-key " & ~comment demo/', {}, True),
        ('~comment "another-key " & ~comment demo/', {}, False),
        ("~marked", {"allowed": False}, True),
        ("~c 403 & !~marked", {"allowed": False}, False),
        ('~comment "not from cache"', {"cached": True}, False),
        ('~comment "not from cache"', {"authorizer": ALLOWED}, True),
        ('~comment "not from cache"', {"allowed": False, "authorizer": NOT_ASKED}, False),
        ('~comment "ALLOWED ONCE"', {"reason": "ALLOWED ONCE by osp.allow.once, else: denied by f"}, True),
    ],
)
def test_filters_of_the_readme_find_what_it_says(written: str, changes: dict[str, Any], found: bool) -> None:
    flow = flow_with(**changes)
    assert flow.response is not None
    flow.response.status_code = 403 if not changes.get("allowed", True) else 200
    assert bool(flowfilter.match(flowfilter.parse(written), flow)) is found
    assert written.partition('"')[0] in (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


# What was made to be too much is shown in part


def xml(body: bytes) -> str:
    return shown(S3XmlView, flow_with(), body, answer=True)


def nested(name: bytes, inner: bytes) -> bytes:
    """An element at the end of a long path of names."""
    names = [name + str(number).encode() for number in range(28)]
    return b"".join(b"<%s>" % one for one in names) + inner + b"".join(b"</%s>" % one for one in reversed(names))


def test_a_table_is_not_as_wide_as_the_names_in_a_document() -> None:
    columns = b"".join(b"<x%d/>" % number for number in range(24))
    text = xml(b"<a><r>" + nested(b"N" * 16_000, columns) + b"</r>" + b"<r><b/></r>" * 1000 + b"</a>")
    assert "r (1000)" in text
    assert max(map(len, text.splitlines())) < 24 * 100
    assert len(text) < 100_000


@pytest.mark.parametrize("inside", [b"%s", b"<r>%s</r>"], ids=["values", "records"])
def test_what_is_kept_of_a_document_is_not_as_long_as_its_names(inside: bytes) -> None:
    values = b"".join(b"<x%d>v</x%d>" % (number, number) for number in range(900))
    document = read_document(b"<a>" + inside % nested(b"N" * 7000, values) + b"</a>")
    names = [name for name, _ in document.values] + [name for rows in document.records.values() for name in rows[0]]
    assert names
    assert max(map(len, names)) <= 80


def test_the_lines_of_a_list_are_not_as_long_as_its_longest_name() -> None:
    text = xml(b"<a><" + b"N" * 500_000 + b"/>" + b"<b>x</b>" * 900 + b"</a>")
    assert text.count("  x\n") == 900
    assert len(text) < 100_000


@pytest.mark.parametrize("encoding", [b"foo", b"mbcs", b"zlib", b"undefined", b"punycode"])
def test_an_encoding_that_nobody_reads_is_told(encoding: bytes) -> None:
    text = xml(b'<?xml version="1.0" encoding="' + encoding + b'"?><a/>')
    assert "The rest is not shown: " in text
    everything(flow_with(), b'<?xml version="1.0" encoding="' + encoding + b'"?><a/>')


def with_conditions(conditions: list[Any], **fields: str) -> str:
    written = {"expiration": "2999-01-01T00:00:00Z", "conditions": conditions}
    policy = base64.b64encode(json.dumps(written).encode()).decode()
    flow = flow_with((SIGNED[0], FORM_TYPE), b"POST", b"/demo", operation="PostObject")
    return shown(PolicyFormView, flow, form(policy=policy, **fields))


def test_a_long_value_is_shown_once_and_its_beginning_below_each_condition() -> None:
    text = with_conditions([["eq", "$x", str(number)] for number in range(200)], x="v" * 1000)
    assert sum(line.startswith("NO   [") for line in text.splitlines()) == 200
    assert text.count("v" * 1000) == 1
    assert text.count("the form has: v") == 200
    assert len(text) < 100_000


def test_values_are_held_against_conditions_only_as_far_as_a_form_may_be_long() -> None:
    text = with_conditions([["starts-with", "$x-amz-meta-a", ""]] * 50, **{"x-amz-meta-a": "," * 20_000})
    marks = [line[:3].strip() for line in text.splitlines() if line.endswith('"$x-amz-meta-a", ""]')]
    assert marks == ["yes"] * 13 + ["?"] * 37
    assert len(text) < 30_000


def test_so_many_chunks_are_looked_at_and_the_rest_is_said_to_be_there() -> None:
    framing = read_framing(b"1\r\nx\r\n" * (MAX_CHUNKS + 5) + b"0\r\n\r\n")
    assert framing.count == MAX_CHUNKS
    assert framing.problem == f"{MAX_CHUNKS} chunks are counted, 35 octets follow"


@pytest.mark.parametrize("forwarded", [True, False])
def test_no_more_headers_are_shown_than_a_request_may_have(forwarded: bool) -> None:
    flow = flow_with()
    flow.request.data.headers = http.Headers([(b"h%d" % number, b"v") for number in range(20_000)])
    if forwarded:
        flow.metadata[DETAILS]["sent"] = {"headers": [[f"g{number}", "v"] for number in range(20_000)]}
    text = shown(S3RequestView, flow)
    assert "and 19500 more" in text
    assert len(text.splitlines()) < 2 * MAX_HEADERS + 100


# What is not to be seen is not shown


def test_a_flow_that_does_not_say_where_it_arrived_is_shown() -> None:
    flow = sent(flow_with(), (b"Host", b"store.example.test"))
    flow.client_conn.sockname = None  # type: ignore[assignment] # as HAR files leave it
    assert re.search(r"^! endpoint +not known +\| ", shown(S3RequestView, flow), re.MULTILINE)


def test_an_explanation_from_a_file_is_text_and_nothing_else() -> None:
    flow = flow_with(allowed=False)
    flow.metadata[EXPLANATION] = "cause:\x1b[2J one\n  \u202etwo\x9b\u2028three\n"
    first, second, *_ = shown(ExplanationView, flow, answer=True).split("\n")
    assert (first, second) == ("cause:\ufffd[2J one", "  \ufffdtwo\ufffd\ufffdthree")


# Nothing makes them raise

HEADS = (SIGNED, STREAMED, (SIGNED[0], FORM_TYPE), ((b"content-type", b"multipart/form-data; boundary=\xff"),), ())


def everything(flow: http.HTTPFlow, body: bytes) -> None:
    for message in (flow.request, flow.response):
        metadata = Metadata(flow=flow, http_message=message)
        for view in VIEWS:
            assert view().render_priority(body, metadata) is not None
            assert isinstance(view().prettify(body, metadata), str)


@pytest.mark.parametrize("file", FUZZ_CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_fuzzers_corpus_is_rendered(file: Path) -> None:
    body = file.read_bytes()
    for headers in HEADS:
        flow = flow_with(headers, b"POST")
        for piece in (body, body[: len(body) // 2], body[1:], body + body):
            everything(flow, piece)


FRAGMENTS = st.sampled_from(
    [
        LISTING,
        CHUNKED,
        form(key="a", policy="e30="),
        b"<a>" * 50,
        b"--edge\r\n",
        b"\r\n\r\n",
        b"5\r\n",
        b"0\r\n",
        b"&",
        b"]]>",
    ]
)
BODIES = st.lists(FRAGMENTS | st.binary(max_size=64), max_size=6).map(b"".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["sent", "chunks", "signature", "allowed", "reason", "operation", "who", "bucket", "body_kept", "causes"]
)


@given(BODIES, st.sampled_from(HEADS))
def test_no_body_makes_a_view_raise(body: bytes, headers: Any) -> None:
    everything(flow_with(headers, b"POST"), body)


@given(
    BODIES, st.dictionaries(NAMES, JSON | st.dictionaries(st.sampled_from(["sizes", "headers", "count"]), JSON)), JSON
)
def test_no_metadata_of_a_file_make_a_view_raise(body: bytes, details: Any, explanation: Any) -> None:
    flow = tflow.tflow(resp=True)
    flow.metadata.update({DETAILS: details, EXPLANATION: explanation})
    everything(flow, body)
