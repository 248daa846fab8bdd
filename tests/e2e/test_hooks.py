"""The operator's hooks before a real request and its answer: what reaches the store, and what the client gets."""

from __future__ import annotations

import pytest
import urllib3

from support.processes import Store, config_for, gateway
from support.raw_s3 import send_signed
from support.recorder import Answer, Recorder
from support.s3 import client

HOOKS = """
def before_send(request):
    if request.access.key.startswith('unwanted'):
        return False
    if request.access.key.startswith('broken'):
        raise RuntimeError('fake-secret')
    request.headers['x-note'] = request.access.token + ' ' + request.access.operation

async def after_response(request, response):
    if request.access.key.endswith('spoilt'):
        raise RuntimeError('fake-secret')
    if request.access.key.endswith('framed'):
        response.headers['content-length'] = '1'
    response.headers.pop('x-internal', None)
    response.headers['x-seen'] = f'{request.access.bucket} {response.status}'

def validator(token, bucket, request):
    return not request.key.startswith('denied')
"""
THERE = "eu-west-3"


@pytest.fixture(scope="module")
def recorder():
    with Recorder().running() as running:
        yield running


@pytest.fixture(scope="module")
def running(recorder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hooks")
    config = config_for(
        Store(recorder.port, folder),
        extra_buckets="'part': {**STORE, 'bucket': 'whole', 'prefix': 'part/'}",
        validator=HOOKS,
        extra="before_send=before_send, after_response=after_response,",
    )
    with gateway(folder, config) as process:
        yield process


@pytest.fixture
def store(recorder):
    recorder.clear()
    return recorder


def test_what_a_hook_adds_is_signed_and_what_it_removes_is_gone(running, store):
    store.answer = Answer(200, (("x-internal", "10.0.0.1"), ("ETag", '"0"')), b"content")
    answer = send_signed("GET", running.url, "/demo/key")
    assert store.only["x-note"] == "client-fake-key GetObject"
    assert store.only.is_signed_by()
    assert (answer.status, answer.body) == (200, b"content")
    assert answer.headers["x-seen"] == "demo 200"
    assert "x-internal" not in answer.headers


@pytest.mark.parametrize(
    ("key", "status", "code"), [("unwanted", 403, "AccessDenied"), ("broken", 500, "InternalError")]
)
def test_what_a_hook_refuses_or_fails_at_does_not_reach_the_store(running, store, key, status, code):
    answer = send_signed("PUT", running.url, f"/demo/{key}", body=b"x" * 100_000)
    assert (answer.status, answer.code) == (status, code)
    assert store.requests == []
    assert "fake-secret" not in running.output()


@pytest.mark.parametrize("key", ["spoilt", "framed"])
@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_an_answer_that_a_hook_fails_at_does_not_reach_the_client(running, store, key, size):
    store.answer = Answer(200, (), b"secret" * (size // 6))
    answer = send_signed("GET", running.url, f"/demo/{key}")
    assert (answer.status, answer.code) == (502, "BadGateway")
    assert b"secret" not in answer.body
    assert send_signed("GET", running.url, "/demo/key").status == 200
    assert "fake-secret" not in running.output()


def test_head_has_no_document_where_a_hook_fails(running, store):
    answer = send_signed("HEAD", running.url, "/demo/spoilt")
    assert (answer.status, answer.body) == (502, b"")


def test_a_large_answer_streams_behind_a_hook(running, store):
    store.answer = Answer(200, (), b"0123456789abcdef" * 1_000_000)
    assert send_signed("GET", running.url, "/demo/large").body == store.answer.body


def test_an_error_of_the_store_goes_through_the_hook_too(running, store):
    store.answer = Answer(404, (("Content-Type", "application/xml"),), b"<Error><Code>NoSuchKey</Code></Error>")
    answer = send_signed("GET", running.url, "/demo/key")
    assert (answer.status, answer.headers["x-seen"], answer.code) == (404, "demo 404", "NoSuchKey")


def test_a_batch_goes_through_the_hooks(running, store):
    store.answer = Answer(200, (("Content-Type", "application/xml"),), b"<DeleteResult></DeleteResult>")
    objects = [{"Key": "denied"}, {"Key": "allowed"}]
    answer = client(running.url).delete_objects(Bucket="demo", Delete={"Objects": objects})
    assert store.only["x-note"] == "client-fake-key DeleteObjects"
    assert store.only.is_signed_by()
    assert b"denied" not in store.only.body
    assert [entry["Key"] for entry in answer["Errors"]] == ["denied"]


def test_an_answer_about_the_region_is_followed_with_what_the_hook_added(running, store):
    moved = Answer(301, (("x-amz-bucket-region", THERE),), b"")
    store.answer = lambda request: Answer(200) if f"/{THERE}/s3/" in request["authorization"] else moved
    answer = send_signed("PUT", running.url, "/demo/moved", body=b"x")
    assert (answer.status, answer.headers["x-seen"]) == (200, "demo 200")
    first, second = store.requests
    assert first["x-note"] == second["x-note"] == "client-fake-key PutObject"
    assert first.is_signed_by()
    assert second.is_signed_by()


@pytest.fixture
def post(running):
    def send(bucket, key, **fields):
        signing = client(running.url, signature_version="s3v4")
        form = signing.generate_presigned_post(
            bucket, key, Fields=fields, Conditions=[{name: value} for name, value in fields.items()]
        )
        pairs = [*form["fields"].items(), ("file", ("a.txt", b"content"))]
        return urllib3.request("POST", form["url"], fields=pairs, redirect=False)

    return send


def test_a_form_goes_through_the_hooks(post, store):
    store.answer = Answer(204)
    answer = post("demo", "key")
    assert (answer.status, answer.headers["x-seen"]) == (204, "demo 204")
    assert store.only["x-note"] == "client-fake-key PostObject"
    assert b"content" in store.only.body


def test_a_form_that_a_hook_refuses_does_not_reach_the_store(post, store):
    assert post("demo", "unwanted").status == 403
    assert store.requests == []


def test_a_form_for_a_part_of_a_bucket_lies_under_its_prefix(post, store):
    store.answer = Answer(
        201,
        (("Content-Type", "application/xml"), ("Location", "http://store/whole/part/a%20key")),
        b"<PostResponse><Location>http://store/whole/part/a%20key</Location><Bucket>whole</Bucket>"
        b"<Key>part/a key</Key><ETag>0</ETag></PostResponse>",
    )
    answer = post("part", "a ${filename}", success_action_status="201")
    assert b'name="key"\r\n\r\npart/a a.txt\r\n' in store.only.body
    assert store.only.path == "/whole"
    assert b"<Key>a key</Key>" in answer.data
    assert b"<Bucket>part</Bucket>" in answer.data
    assert b"whole" not in answer.data
    assert answer.headers["location"].endswith("/part/a%20a.txt")


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "${filename}/../../x"])
def test_a_form_does_not_leave_the_prefix(post, store, key):
    assert post("part", key).status in (400, 403)
    assert store.requests == []


def test_a_form_that_is_redirected_names_the_clients_bucket_and_key(post, store):
    there = "http://x.example/done?bucket=whole&key=part%2Fkey&etag=%220%22"
    store.answer = Answer(303, (("Location", there),))
    answer = post("part", "key", success_action_redirect="http://x.example/done")
    assert answer.headers["location"] == "http://x.example/done?bucket=part&key=key&etag=%220%22"
