"""Bodies that are not what was signed: nothing is committed on doubt."""

import pytest

from support.raw import talk
from support.signing import signed

SMALL = b"a" * 100
LARGE = b"a" * 300_000


def wrong(body):
    return body[:-1] + b"b"


@pytest.mark.parametrize("body", [b"a", SMALL, b"a" * 65536], ids=len)
def test_a_small_wrong_body_never_leaves(target, body):
    answer = target.ask(signed(target.port, "PUT", target.path, body).but(body=wrong(body)))
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    target.assert_nothing_left()


@pytest.mark.parametrize("size", [65537, 70_000, 300_000, 3_000_000])
def test_a_large_wrong_body_is_cut_off_before_its_last_octet(target, size):
    body = b"a" * size
    answer = target.ask(signed(target.port, "PUT", target.path, body).but(body=wrong(body)))
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    seen = target.recorder.wait_for_request(target.path)
    assert seen.ended.wait(60)
    assert not seen.complete
    assert len(seen.body) < seen.length == size


def test_a_body_wrong_in_its_first_octet_is_cut_off_too(target):
    answer = target.ask(signed(target.port, "PUT", target.path, LARGE).but(body=b"b" + LARGE[1:]))
    assert answer.code == "XAmzContentSHA256Mismatch"
    seen = target.recorder.wait_for_request(target.path)
    assert seen.ended.wait(60)
    assert not seen.complete


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_wrong_body_makes_no_object(target, direct, body):
    request = signed(target.port, "PUT", f"/stored/{target.prefix}key", body)
    assert target.ask(request.but(body=wrong(body))).status == 400
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=target.prefix)
    assert target.ask(request).status == 200
    assert direct.get_object(Bucket="demo", Key=f"{target.prefix}key")["Body"].read() == body


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_wrong_body_leaves_the_object_that_is_there_alone(target, direct, body):
    path = f"/stored/{target.prefix}key"
    assert target.ask(signed(target.port, "PUT", path, b"before")).status == 200
    assert target.ask(signed(target.port, "PUT", path, body).but(body=wrong(body))).status == 400
    assert direct.get_object(Bucket="demo", Key=f"{target.prefix}key")["Body"].read() == b"before"


def test_a_body_where_none_was_signed_never_leaves(target):
    request = signed(target.port, "GET", target.path).plus("Content-Length", "4").but(body=b"body")
    assert target.ask(request).code == "XAmzContentSHA256Mismatch"
    target.assert_nothing_left()


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_body_cut_short_is_refused(target, body):
    """A shorter body under its own Content-Length: the hash tells."""
    request = signed(target.port, "PUT", target.path, body)
    shorter = request.but(body=body[:-1]).with_changed("content-length", lambda _: str(len(body) - 1))
    assert target.ask(shorter).code == "XAmzContentSHA256Mismatch"
    assert all(seen.ended.wait(60) and not seen.complete for seen in target.recorder.requests)


def test_a_body_that_goes_on_is_refused(target):
    request = signed(target.port, "PUT", target.path, LARGE)
    longer = request.but(body=LARGE + b"a").with_changed("content-length", lambda _: str(len(LARGE) + 1))
    assert target.ask(longer).code == "XAmzContentSHA256Mismatch"
    seen = target.recorder.wait_for_request(target.path)
    assert seen.ended.wait(60)
    assert not seen.complete


@pytest.mark.parametrize("payload_hash", [None, "UNSIGNED-PAYLOAD"])
def test_a_client_that_hangs_up_in_the_middle_leaves_nothing_complete(target, payload_hash):
    request = signed(target.port, "PUT", target.path, LARGE, payload_hash=payload_hash)
    with talk(target.port) as connection:
        connection.send(request.head + LARGE[:200_000])
        seen = target.recorder.wait_for_request(target.path)
    assert seen.ended.wait(60)
    assert not seen.complete


@pytest.mark.parametrize("payload_hash", [None, "UNSIGNED-PAYLOAD"])
def test_a_client_that_hangs_up_in_the_middle_makes_no_object(target, direct, payload_hash):
    path = f"/stored/{target.prefix}key"
    request = signed(target.port, "PUT", path, LARGE, payload_hash=payload_hash)
    with talk(target.port) as connection:
        connection.send(request.head + LARGE[:200_000])
    again = signed(target.port, "PUT", f"/stored/{target.prefix}sentinel", b"after")
    assert target.ask(again).status == 200
    keys = [o["Key"] for o in direct.list_objects_v2(Bucket="demo", Prefix=target.prefix)["Contents"]]
    assert keys == [f"{target.prefix}sentinel"]


def test_the_gateway_serves_on_after_a_wrong_body(target):
    request = signed(target.port, "PUT", target.path, LARGE)
    for _ in range(5):
        assert target.ask(request.but(body=wrong(LARGE))).status == 400
    assert target.ask(request).status == 200
