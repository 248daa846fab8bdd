"""Backends that fail, each in its own way: the client learns of it, and nothing hangs."""

import pytest
from botocore.exceptions import ClientError

from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask, talk
from support.s3 import client
from support.signing import signed
from support.upstream import recording_upstream

CONFIG = """
from osp_gateway import ProxyServerConfig
KEYS = dict(access_key='recorder-fake-key', secret_key='recorder-fake-secret', is_tls_enabled=False)
config = ProxyServerConfig(
    cos_map={{
        'demo': dict(host='127.0.0.1', port={recorder}, **KEYS),
        'closed': dict(host='127.0.0.1', port={closed}, **KEYS),
        'nowhere': dict(host='name.that.does.not.exist.invalid.test', port=80, **KEYS),
        'speaks-no-tls': dict(host='127.0.0.1', port={recorder}, **{{**KEYS, 'is_tls_enabled': True}}),
        'hostless': dict(access_key='recorder-fake-key', secret_key='recorder-fake-secret'),
        'no-credentials': dict(host='127.0.0.1', port={recorder}, is_tls_enabled=False),
    }},
    bucket_creds_fetcher=lambda token, bucket: 1 / 0,
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=lambda token, bucket: True,
)
"""
LARGE = b"a" * 300_000


@pytest.fixture(scope="module")
def recorder():
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def failing(recorder, tmp_path_factory):
    with recording_upstream() as gone:
        closed = gone.port
    config = CONFIG.format(recorder=recorder.port, closed=closed, key=CLIENT_KEY, secret=CLIENT_SECRET)
    with gateway(tmp_path_factory.mktemp("failing"), config) as running:
        yield running


def send(failing, method, target, body=b"", **kwargs):
    port = failing.ports[0]
    return ask(port, signed(port, method, target, body, **kwargs).octets)


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("closed", "backend cannot be reached"),
        ("nowhere", "backend cannot be reached"),
        ("speaks-no-tls", "backend cannot be reached"),
        ("hostless", "No backend is configured"),
        ("no-credentials", "could not obtain credentials"),
    ],
)
@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"small"), ("PUT", LARGE)])
def test_a_backend_out_of_reach_is_a_503_that_says_so(failing, bucket, words, method, body):
    answer = send(failing, method, f"/{bucket}/key", body)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert words in answer.message


def test_boto3_raises_service_unavailable(failing):
    with pytest.raises(ClientError) as caught:
        client(failing.url).get_object(Bucket="closed", Key="key")
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"


def test_a_refusal_does_not_tell_the_client_where_the_backend_is(failing, recorder):
    answer = send(failing, "GET", "/closed/key")
    assert b"127.0.0.1" not in answer.body


@pytest.mark.parametrize("way", ["closes-at-once", "malformed", "malformed-length", "two-lengths", "switches"])
@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"small"), ("PUT", LARGE)])
def test_a_backend_that_does_not_answer_properly_is_a_503(failing, prefix, way, method, body):
    answer = send(failing, method, f"/demo/{prefix}{way}", body)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert "backend" in answer.message


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"small"), ("PUT", LARGE)])
def test_a_backends_own_error_is_passed_on_as_it_is(failing, prefix, method, body):
    answer = send(failing, method, f"/demo/{prefix}answers-503", body)
    assert (answer.status, answer.code, answer.message) == (503, "SlowDown", "the store itself is busy")
    assert answer.headers["x-amz-request-id"] == "STORE"


@pytest.mark.parametrize("way", ["continues", "hints"])
@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", LARGE)])
def test_an_interim_response_of_the_backend_is_not_the_answer(failing, prefix, way, method, body):
    answer = send(failing, method, f"/demo/{prefix}{way}", body)
    assert (answer.status, answer.body) == (200, b"from the store")


def test_a_response_cut_short_is_cut_short_for_the_client(failing, prefix):
    with talk(failing.ports[0]) as connection:
        connection.send(signed(failing.ports[0], "GET", f"/demo/{prefix}cut").octets)
        with pytest.raises(ConnectionError, match="5 of 10"):
            connection.read_answer()


def test_what_a_stalling_backend_sent_reaches_the_client(failing, recorder, prefix):
    with talk(failing.ports[0]) as connection:
        connection.send(signed(failing.ports[0], "GET", f"/demo/{prefix}stalls").octets)
        assert b"200" in connection.read_some(15)
        while connection.read_some(1) != b"f":
            pass
        assert connection.read_some(4) == b"irst"


def test_a_client_that_leaves_a_stalling_backend_frees_its_connection(failing, recorder, prefix):
    with talk(failing.ports[0]) as connection:
        connection.send(signed(failing.ports[0], "GET", f"/demo/{prefix}stalls").octets)
        seen = recorder.wait_for_request(prefix)
    assert seen.ended.wait(60)


def test_others_are_served_while_a_backend_stalls(failing, recorder, prefix):
    with talk(failing.ports[0]) as connection:
        connection.send(signed(failing.ports[0], "GET", f"/demo/{prefix}stalls").octets)
        seen = recorder.wait_for_request(prefix)
        assert send(failing, "GET", f"/demo/{prefix}good").status == 200
        assert not seen.ended.is_set()


@pytest.mark.parametrize("payload_hash", [None, "UNSIGNED-PAYLOAD"])
def test_an_answer_before_the_bodys_end_reaches_the_client(failing, prefix, payload_hash):
    port = failing.ports[0]
    request = signed(port, "PUT", f"/demo/{prefix}answers-early", LARGE, payload_hash=payload_hash)
    with talk(port) as connection:
        connection.send(request.head + LARGE[:200_000])  # the rest is never sent
        answer = connection.read_answer("PUT")
    assert (answer.status, answer.code) == (403, "QuotaExceeded")


def test_an_answer_before_the_bodys_end_reaches_a_client_that_sends_all(failing, prefix):
    answer = send(failing, "PUT", f"/demo/{prefix}answers-early", b"a" * 3_000_000)
    assert (answer.status, answer.code) == (403, "QuotaExceeded")


@pytest.mark.parametrize("way", ["closes-at-once", "malformed", "answers-503", "switches"])
def test_a_connection_can_be_used_again_after_a_failure(failing, prefix, way):
    port = failing.ports[0]
    with talk(port) as connection:
        for path in (way, "good", way, "good"):
            connection.send(signed(port, "GET", f"/demo/{prefix}{path}").octets)
            assert connection.read_answer().status == (200 if path == "good" else 503)


def test_a_refusal_of_a_head_request_by_a_broken_backend_has_headers_only(failing, prefix):
    port = failing.ports[0]
    with talk(port) as connection:
        for path, status in (("closes-at-once", 503), ("good", 200)):
            connection.send(signed(port, "HEAD", f"/demo/{prefix}{path}").octets)
            assert connection.read_answer("HEAD").status == status


def test_the_gateway_says_nothing_of_a_crash(failing, prefix):
    for way in ("closes-at-once", "malformed", "cut", "switches"):
        with talk(failing.ports[0]) as connection:
            connection.send(signed(failing.ports[0], "GET", f"/demo/{prefix}{way}").octets)
            connection.read_some(12)
    assert send(failing, "GET", f"/demo/{prefix}good").status == 200
    assert "crashed" not in failing.output()
    assert "failed inside the gateway" not in failing.output()
