"""Uploads by HTML forms: the policy is the client's, and it is signed with the client's key."""

from __future__ import annotations

import base64
import json

import pytest

BODY = b"a file from a form\r\n--not-the-boundary\r\n"
BOUNDARY = "fake-boundary-7d3"


def form(fields, body=BODY, filename="file.txt"):
    """A multipart/form-data document."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n')
    parts.append("Content-Type: text/plain\r\n\r\n")
    return "".join(parts).encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(side, fields=None, conditions=(), *, key=None, body=BODY, change=None, filename="file.txt", user="alice"):
    """Make a form, as boto3 does it, fill it in and send it."""
    fields = dict(fields or {})
    allowed = [*conditions, *({name: value} for name, value in fields.items())]
    key = side.key() if key is None else key
    made = side.s3(user).generate_presigned_post(side.bucket, key, dict(fields), allowed, ExpiresIn=600)["fields"]
    made.update(change or {})
    made = {name: value for name, value in made.items() if value is not None}
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return side.send_unsigned("POST", f"/{side.bucket}", headers, form(made, body, filename))


def test_a_file_is_stored(same_as_direct):
    def call(side):
        post(side)
        side.get()

    assert same_as_direct(call).body == BODY


def test_the_fields_of_the_form_become_headers(same_as_direct):
    def call(side):
        post(
            side, {"Content-Type": "text/x-form", "x-amz-meta-a": "b c", "Cache-Control": "no-store", "acl": "private"}
        )
        side.ask("head_object", "key")

    answer = same_as_direct(call)
    assert (answer.header("content-type"), answer.header("x-amz-meta-a")) == ("text/x-form", "b c")


@pytest.mark.parametrize(("wanted", "status"), [("200", 200), ("201", 201), ("204", 204)])
def test_the_status_of_success_is_as_wished(same_as_direct, wanted, status):
    answer = same_as_direct(lambda side: post(side, {"success_action_status": wanted}))
    assert answer.status == status


def test_a_created_object_is_described(same_as_direct):
    answer = same_as_direct(lambda side: post(side, {"success_action_status": "201"}))
    assert (answer.element("Bucket"), answer.status) == (same_as_direct.buckets[1], 201)


def test_the_browser_is_sent_on(same_as_direct):
    there = "http://app.example.test/done"
    answer = same_as_direct(lambda side: post(side, {"success_action_redirect": there}))
    assert answer.status == 303
    assert answer.header("location").startswith(there)


def test_the_key_takes_the_name_of_the_file(same_as_direct):
    def call(side):
        post(side, key=side.key("${filename}"), filename="my file.txt")
        side.get("my file.txt")

    assert same_as_direct(call).body == BODY


@pytest.mark.parametrize("size", [0, 1, 65_536, 2_000_000])
def test_a_file_of_any_size_is_stored(same_as_direct, size):
    def call(side):
        post(side, body=b"x" * size)
        side.ask("head_object", "key")

    assert same_as_direct(call).header("content-length") == str(size)


@pytest.mark.parametrize(("least", "most"), [(0, 10), (1000, 2000)])
def test_a_file_of_a_size_that_the_policy_does_not_allow(same_as_direct, least, most):
    def call(side):
        post(side, conditions=[["content-length-range", least, most]])
        side.tried("head_object", "key")

    assert same_as_direct(call, own_answer=True).status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"acl": "public-read"},
        {"key": "elsewhere"},
        {"x-amz-meta-extra": "1"},
        {"policy": base64.b64encode(b"not json").decode()},
        {
            "policy": base64.b64encode(
                json.dumps({"expiration": "2037-01-01T00:00:00Z", "conditions": []}).encode()
            ).decode()
        },
        {"x-amz-signature": "0" * 64},
        {"x-amz-signature": None},
        {"policy": None},
        {"x-amz-credential": "nobody/20260101/us-east-1/s3/aws4_request"},
    ],
    ids="-".join,
)
def test_a_form_that_was_tampered_with(same_as_direct, change):
    """Stores word it in different ways; nothing is stored."""
    direct, through = same_as_direct.sides()
    for side in (direct, through):
        assert post(side, change=change).status in (400, 403)
        assert side.tried("head_object", "key").status == 404


def test_a_form_for_somebody_elses_bucket(same_as_direct):
    answer = same_as_direct(lambda side: post(side, user="bob"))
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_what_bob_posts_is_bobs(same_as_direct, own_buckets):
    def call(side):
        side.ask("put_bucket_acl", ACL="public-read-write")
        post(side, user="bob")
        side.ask("list_objects_v2", FetchOwner=True)

    assert same_as_direct(call).element("ID") == "bob"


def test_an_anonymous_form_needs_a_public_bucket(same_in_the_open):
    def call(side):
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        side.send_unsigned("POST", f"/{side.bucket}", headers, form({"key": side.key()}))

    answer = same_in_the_open(call, own_answer=True)
    assert (answer.status, answer.code) == (403, "AccessDenied")
