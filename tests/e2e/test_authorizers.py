"""Authorizers that deny, break, hang, and what of their answers is remembered."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from support.processes import config_for, gateway
from support.raw import ask, talk
from support.s3 import client
from support.signing import signed


@pytest.mark.parametrize("key", ["denied/key", "raises/key", "truthy/key", "hangs/key"])
def test_anything_but_a_clear_yes_is_access_denied(s3, direct, key):
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="demo", Key=key, Body=b"body")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=key)


def test_the_client_does_not_learn_why(s3):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="demo", Key="raises/key")
    assert caught.value.response["Error"]["Message"] == "Access Denied"


def test_others_are_served_while_an_authorizer_hangs(osp, s3, prefix):
    port = osp.ports[0]
    with talk(port) as waiting:
        waiting.send(signed(port, "GET", f"/demo/hangs/{prefix}key").octets)
        s3.put_object(Bucket="demo", Key=prefix + "key", Body=b"body")
        assert s3.get_object(Bucket="demo", Key=prefix + "key")["Body"].read() == b"body"
        assert waiting.read_answer().status == 403


def test_an_unknown_bucket_does_not_exist(s3):
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="unknown")


def test_a_denied_head_request_is_forbidden(s3):
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket="demo", Key="denied/key")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_copy_from_a_denied_key_is_denied(s3, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"denied/{prefix}key", Body=b"confidential")
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket="demo", Key=prefix + "copy", CopySource={"Bucket": "demo", "Key": f"denied/{prefix}key"})
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=prefix)


def test_a_copy_source_that_climbs_does_not_read_another_bucket(osp, store, prefix):
    """`secret` is a bucket of the store that no client knows."""
    folder = store.make_bucket(f"secret-{prefix[:8]}")
    (folder / "key").write_text("confidential")
    port = osp.ports[0]
    source = f"/demo/../{folder.name}/key"
    answer = ask(port, signed(port, "PUT", f"/demo/{prefix}copy", headers=(("x-amz-copy-source", source),)).octets)
    assert answer.status == 400
    assert not (store.root / "demo" / prefix / "copy").exists()


CALLS = """
from pathlib import Path
CALLS = Path({folder!r})
def validator(token, bucket, request):
    with (CALLS / "calls").open("a") as file:
        file.write(f"{{bucket}} {{request.operation}} {{request.key}}\\n")
    time.sleep(0.3)  # long enough for others to come along
    return True
"""
CALLS_OF_TWO = CALLS.replace(", request)", ")").replace("{{request.operation}} {{request.key}}", "")


class Counted:
    """A gateway and the calls that its validator noted."""

    def __init__(self, running, folder):
        self.port = running.ports[0]
        self.url = running.url
        self.file = folder / "calls"

    def calls(self, part):
        if not self.file.exists():
            return 0
        return sum(part in line for line in self.file.read_text().splitlines())

    def get(self, path, *headers):
        return ask(self.port, signed(self.port, "GET", path, headers=headers).octets)


def counted(store, tmp_path_factory, validator):
    folder = tmp_path_factory.mktemp("counted")
    buckets = "".join(f"'{name}': {{**STORE, 'bucket': 'demo'}}," for name in ("a", "b", "c", "d"))
    buckets += "'never': {**STORE, 'bucket': 'demo', 'ttl': 0},"
    config = config_for(store, validator=validator.format(folder=str(folder)), extra_buckets=buckets)
    with gateway(folder / "gateway", config) as running:
        yield Counted(running, folder)


@pytest.fixture(scope="module")
def three(store, tmp_path_factory):
    """A validator that takes the request."""
    yield from counted(store, tmp_path_factory, CALLS)


@pytest.fixture(scope="module")
def two(store, tmp_path_factory):
    """A validator that takes token and bucket."""
    yield from counted(store, tmp_path_factory, CALLS_OF_TWO)


def at_once(number, function):
    barrier = threading.Barrier(number)

    def run(_):
        barrier.wait(60)
        return function()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def test_many_requests_on_a_cold_cache_ask_once(three, prefix):
    request = signed(three.port, "GET", f"/demo/{prefix}key").octets
    answers = at_once(16, lambda: ask(three.port, request))
    assert {answer.code for answer in answers} == {"NoSuchKey"}
    assert three.calls(prefix) == 1


def test_a_remembered_answer_is_not_asked_for_again(three, prefix):
    for _ in range(3):
        three.get(f"/demo/{prefix}key")
    assert three.calls(prefix) == 1


@pytest.mark.parametrize(
    "second",
    [
        ("GET", "key2", ()),
        ("HEAD", "key", ()),
        ("GET", "key?acl", ()),
        ("GET", "key?versionId=v", ()),
        ("GET", "key", (("Range", "bytes=0-1"),)),
        ("GET", "key", (("x-amz-request-payer", "requester"),)),
        ("GET", "key", (("X-Tenant", "another"),)),
    ],
    ids=str,
)
def test_a_request_that_looks_different_to_the_validator_is_asked_for(three, prefix, second):
    method, rest, headers = second
    three.get(f"/demo/{prefix}key")
    ask(three.port, signed(three.port, method, f"/demo/{prefix}{rest}", headers=headers).octets)
    assert three.calls(prefix) == 2


def test_another_bucket_is_asked_for(three, prefix):
    three.get(f"/a/{prefix}key")
    three.get(f"/b/{prefix}key")
    assert three.calls(prefix) == 2


def test_nothing_is_remembered_with_a_ttl_of_zero(three, prefix):
    for _ in range(3):
        three.get(f"/never/{prefix}key")
    assert three.calls(prefix) == 3


def test_each_of_many_requests_is_asked_for_with_a_ttl_of_zero(three, prefix):
    request = signed(three.port, "GET", f"/never/{prefix}key").octets
    at_once(8, lambda: ask(three.port, request))
    assert three.calls(prefix) == 8


def test_with_two_arguments_token_and_bucket_are_asked_for_once(two, prefix):
    requests = [signed(two.port, "GET", f"/c/{prefix}{number}").octets for number in range(8)]
    numbers = iter(requests)
    at_once(8, lambda: ask(two.port, next(numbers)))
    client(two.url).list_objects_v2(Bucket="c")
    assert two.calls("c ") == 1
