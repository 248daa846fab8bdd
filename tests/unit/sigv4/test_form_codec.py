"""A verified form becomes a form of the gateway's own: the backend's policy and key, the client's file."""

from __future__ import annotations

import base64
import itertools
import json
import re
import tracemalloc
from typing import Any

import pytest
from botocore.auth import S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import Fields, FormReader, boundary_of
from osp_gateway.s3.head import Header
from osp_gateway.sigv4 import form_codec
from osp_gateway.sigv4.form_codec import FormCodec, PostForm
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from support.forms import (
    BOUNDARY,
    BUCKET,
    CLIENT,
    CONTENT_TYPE,
    Pairs,
    form_body,
    form_of,
    judge,
    signed_fields,
)
from support.oracle import NOW, generated

BACKEND = KeyPair("backend-fake-key", "backend-fake-secret")
STORE_BUCKET = "store-bucket"
STORE_REGION = "eu-store-2"
KEYS = SigningKeys()


def forwarded(
    body: bytes, pieces: list[bytes] | None = None, *, pair: KeyPair = BACKEND, hold: int = 0, **more: Any
) -> tuple[tuple[Header, ...], FormCodec, list[bytes]]:
    """The headers, the codec, and what is still to be fed to it."""
    left = list(pieces or [body])
    form = PostForm(CONTENT_TYPE, str(len(body)))
    while form.feed(left.pop(0)) is None:
        pass
    form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    headers, codec = form.forward(pair, STORE_REGION, STORE_BUCKET, NOW, KEYS, hold=hold, **more)
    return headers, codec, left


def sent(body: bytes, pieces: list[bytes] | None = None, **more: Any) -> tuple[dict[str, str], bytes]:
    headers, codec, left = forwarded(body, pieces, **more)
    return dict(headers), b"".join([*(codec.feed(piece) for piece in left), codec.finish()])


def received(headers: dict[str, str], body: bytes) -> tuple[Fields, bytes]:
    """What the store sees."""
    assert headers["content-length"] == str(len(body))
    reader = FormReader(boundary_of(headers["content-type"]))
    file = reader.feed(body) + reader.feed(b"")
    reader.finish()
    assert reader.fields is not None
    return reader.fields, file


def refused(body: bytes, pieces: list[bytes] | None = None, **more: Any) -> tuple[bytes, S3Error]:
    """What was released before the refusal, and the refusal, which must stay one."""
    _, codec, left = forwarded(body, pieces, **more)
    released = b""
    with pytest.raises(S3Error) as caught:
        for piece in left:
            released += codec.feed(piece)
        released += codec.finish()
    for again in (codec.finish, lambda: codec.feed(b"more")):
        with pytest.raises(S3Error):
            again()
    return released, caught.value


def split(body: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(places)]


def ranged(least: int, most: int) -> Pairs:
    return signed_fields({"key": "k"}, [{"key": "k"}, ["content-length-range", least, most]])


def policy_of(fields: Fields) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.b64decode(fields.values["policy"]))
    return document


# What the backend gets


@pytest.mark.parametrize("token", [None, "fake-backend-token"])
def test_the_backends_form_is_right_by_the_backends_key(token: str | None) -> None:
    pair = KeyPair(BACKEND.access_key, BACKEND.secret_key, token)
    conditions = [["starts-with", "$key", "user/"], {"acl": "private"}]
    pairs = signed_fields({"key": "user/${filename}", "acl": "private"}, conditions)

    fields, file = received(*sent(form_body(pairs, filename="x.txt"), pair=pair))

    upload = judge(fields, secret=BACKEND.secret_key, bucket=STORE_BUCKET)

    assert (upload.key, upload.pairs, file) == ("user/x.txt", (("acl", "private"),), b"content")
    assert fields.values.get("x-amz-security-token") == token
    assert fields.values["x-amz-credential"] == f"{BACKEND.access_key}/20260101/{STORE_REGION}/s3/aws4_request"


def test_botocore_signs_the_same_policy_the_same_way() -> None:
    fields, _ = received(*sent(form_body(signed_fields({"key": "k"}))))
    request = AWSRequest("POST", "https://store.example.test/")
    request.context["s3-presign-post-policy"] = policy_of(fields)
    auth = S3SigV4PostAuth(Credentials(BACKEND.access_key, BACKEND.secret_key), "s3", STORE_REGION)
    request.context["timestamp"] = fields.values["x-amz-date"]

    expected = auth.signature(fields.values["policy"], request)

    assert fields.values["x-amz-signature"] == expected


def test_the_policy_is_for_exactly_these_fields_and_this_key() -> None:
    pairs = signed_fields(
        {"key": "k", "Content-Type": "text/plain", "x-amz-meta-a": "é", "success_action_status": "201"}
    )
    fields, _ = received(*sent(form_body([*pairs, ("x-ignore-me", "x"), ("bucket", BUCKET)])))
    document = policy_of(fields)

    assert document["expiration"] == "2026-01-01T18:00:00.000Z"
    assert document["conditions"] == [
        ["eq", "$bucket", STORE_BUCKET],
        ["eq", "$key", "k"],
        ["eq", "$Content-Type", "text/plain"],
        ["eq", "$x-amz-meta-a", "é"],
        ["eq", "$success_action_status", "201"],
        ["eq", "$x-amz-algorithm", "AWS4-HMAC-SHA256"],
        ["eq", "$x-amz-credential", f"{BACKEND.access_key}/20260101/{STORE_REGION}/s3/aws4_request"],
        ["eq", "$x-amz-date", "20260101T120000Z"],
    ]
    assert [name for name, _ in fields.pairs] == [
        "key",
        "Content-Type",
        "x-amz-meta-a",
        "success_action_status",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "policy",
        "x-amz-signature",
    ]


def test_the_range_goes_upstream_too() -> None:
    fields, _ = received(*sent(form_body(ranged(1, 10))))
    assert policy_of(fields)["conditions"][-1] == ["content-length-range", 1, 10]


def test_text_behind_a_dollar_sign_is_not_compared_by_the_store() -> None:
    fields, _ = received(*sent(form_body(signed_fields({"key": "a/b$$c"}))))
    assert fields.values["key"] == "a/b$$c"
    assert policy_of(fields)["conditions"][1] == ["starts-with", "$key", "a/b"]


def test_nothing_of_the_clients_authentication_goes_upstream() -> None:
    pair = KeyPair(CLIENT.access_key, CLIENT.secret_key, "fake-client-token")
    pairs = signed_fields({"key": "k"}, pair=pair)
    _, body = sent(form_body(pairs))
    for secret in (CLIENT.access_key, "fake-client-token", dict(pairs)["policy"], dict(pairs)["x-amz-signature"]):
        assert secret.encode() not in body


def test_the_file_parts_own_headers_do_not_go_upstream() -> None:
    body = form_body(signed_fields({"key": "k"}), filename="evil.html").replace(b"text/html", b"text/evil")
    _, upstream = sent(body)
    assert b"text/evil" in body
    assert b"evil" not in upstream


def test_what_follows_the_file_does_not_go_upstream() -> None:
    body = form_body(signed_fields({"key": "k"}), after=[("acl", "public-read"), ("key", "evil")])
    headers, upstream = sent(body)
    assert received(headers, upstream)[1] == b"content"
    assert re.search(rb"--\r\n +\Z", upstream)
    assert b"evil" not in upstream


def test_the_boundary_cannot_be_foreseen() -> None:
    body = form_body(signed_fields({"key": "k"}))
    found = {boundary_of(sent(body)[0]["content-type"]) for _ in range(20)}
    assert len(found) == 20
    assert all(len(boundary) == 32 for boundary in found)


def test_a_file_cannot_end_the_backends_form() -> None:
    file = b"x\n--%b--\n\n--%b\nContent-Disposition: form-data; name=key\n\nevil" % ((BOUNDARY.encode(),) * 2)
    headers, upstream = sent(form_body(signed_fields({"key": "k"}), file))
    assert (
        upstream.count(boundary_of(headers["content-type"]).encode())
        == len(re.findall(rb"Content-Disposition: form-data; name=\"", upstream)) + 1
    )
    assert received(headers, upstream)[1] == file


# Streaming


@generated
@given(
    st.binary(max_size=200),
    st.lists(st.integers(0, 10**6), max_size=8),
    st.integers(0, 2000),
    st.sampled_from([None, [("submit", "Upload")], [("a", ""), ("b", "x" * 50)]]),
    st.binary(max_size=10).map(lambda rest: b"\r\n" + rest) | st.just(b""),
)
def test_however_a_form_is_split_the_backend_gets_the_same(
    file: bytes, cuts: list[int], hold: int, after: Pairs | None, rest: bytes
) -> None:
    file = file.replace(b"\r\n--" + BOUNDARY.encode(), b"")
    body = form_body(signed_fields({"key": "k"}), file, after=after)[:-2] + rest
    whole = sent(body, boundary="new-boundary")

    assert sent(body, split(body, cuts), boundary="new-boundary", hold=hold) == whole
    assert received(*whole)[1] == file


@generated
@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 10**6), max_size=8))
def test_the_files_last_octet_never_leaves_before_the_end(file: bytes, cuts: list[int]) -> None:
    body = form_body(signed_fields({"key": "k"}), file)
    _, codec, left = forwarded(body, split(body, cuts), boundary="new-boundary")
    released = b"".join(codec.feed(piece) for piece in left)
    whole = released + codec.finish()
    start = whole.index(b"octet-stream\r\n\r\n") + len(b"octet-stream\r\n\r\n")
    assert len(released) < start + len(file)


def test_a_small_file_is_checked_whole_before_anything_is_released() -> None:
    body = form_body(signed_fields({"key": "k"}), b"x" * 60_000)
    _, codec, left = forwarded(body, split(body, [*range(0, len(body), 1000)]), hold=form_codec.HOLD_OCTETS)
    assert b"".join(codec.feed(piece) for piece in left) == b""


def test_memory_does_not_grow_with_the_file() -> None:
    piece = b"\r\n--" * 16384
    start, end = form_body(signed_fields({"key": "k"}), b"|").split(b"|")
    form = PostForm(CONTENT_TYPE, str(len(start) + 200 * len(piece) + len(end)))
    form.feed(start)
    form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    headers, codec = form.forward(BACKEND, STORE_REGION, STORE_BUCKET, NOW, KEYS)
    tracemalloc.start()
    length = sum(len(codec.feed(piece)) for _ in range(200)) + len(codec.feed(end)) + len(codec.finish())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dict(headers)["content-length"] == str(length)
    assert peak < 12 * len(piece)


# Sizes


@pytest.mark.parametrize("size", [5, 6, 10])
@pytest.mark.parametrize("after", [None, [("submit", "Upload")]])
def test_a_file_within_its_range_passes(size: int, after: Pairs | None) -> None:
    assert len(received(*sent(form_body(ranged(5, 10), b"x" * size, after=after)))[1]) == size


@pytest.mark.parametrize(("size", "code"), [(0, "EntityTooSmall"), (4, "EntityTooSmall"), (11, "EntityTooLarge")])
@pytest.mark.parametrize("step", [1, 10_000])
def test_a_file_beyond_its_range_is_never_completed(size: int, code: str, step: int) -> None:
    body = form_body(ranged(5, 10), b"x" * size, after=[("submit", "Upload" * 20)])
    released, error = refused(body, [body[n : n + step] for n in range(0, len(body), step)])
    assert (error.code, error.status) == (code, 400)
    assert not re.search(rb"x{10}", released)
    assert b"--\r\n" not in released


@pytest.mark.parametrize(("size", "code"), [(2, "EntityTooSmall"), (70_000, "EntityTooLarge")])
def test_a_size_that_the_content_length_gives_away_is_refused_at_once(size: int, code: str) -> None:
    body = form_body(ranged(5, 10), b"x" * size)
    form, _ = form_of(body, 100)
    with pytest.raises(S3Error) as caught:
        form.verify(CLIENT.secret_key, BUCKET, NOW, KEYS)
    assert (caught.value.code, caught.value.details["ProposedSize"]) == (code, str(size))


# A form that goes wrong


@pytest.mark.parametrize("rest", [b"", b"\r\n--" + BOUNDARY.encode() + b"\r\n", b"\r\n--" + BOUNDARY.encode() + b"-"])
def test_a_form_that_is_not_closed_is_never_completed(rest: bytes) -> None:
    body = form_body(signed_fields({"key": "k"}), b"x" * 100)
    body = body[: body.rindex(b"\r\n--")] + rest
    released, error = refused(body, [body[n : n + 9] for n in range(0, len(body), 9)])
    assert error.code == "MalformedPOSTRequest"
    assert b"x" * 100 not in released


def test_a_second_file_is_never_completed() -> None:
    body = form_body(signed_fields({"key": "k"}), b"x" * 100, after=[("file", "again")])
    released, error = refused(body, [body[n : n + 9] for n in range(0, len(body), 9)])
    assert error.code == "IncorrectNumberOfFilesInPostRequest"
    assert b"x" * 100 not in released
