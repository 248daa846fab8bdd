"""What happens on one connection of a client."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from support.raw import talk
from support.raw_s3 import signed_headers
from support.strict import new_twins


@pytest.fixture(scope="module")
def buckets(cluster):
    return [name for _ in range(5) for name in new_twins(cluster)]


def test_one_connection_reaches_many_buckets(strict_osp, cluster, buckets):
    """Each bucket is a host of its own to the gateway, and mitmproxy opens five connections to one address."""
    host, user = strict_osp.url.removeprefix("http://"), cluster.users["alice"]
    connection = http.client.HTTPConnection(host, timeout=15)
    statuses = []
    for bucket in buckets:
        headers = signed_headers("GET", host, f"/{bucket}", {}, b"", user.client_key, user.client_secret)
        connection.request("GET", f"/{bucket}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200] * len(buckets)


def test_errors_and_successes_follow_one_another_on_one_connection(same_as_direct):
    def call(side):
        for name in ("nothing", "key", "nothing"):
            side.tried("head_object", name)
            side.tried("get_object", name)
            side.put("key", b"body")
            side.tried("get_object", name, IfMatch='"0"')
        side.get()

    assert same_as_direct(call).body == b"body"


def test_expect_is_answered_before_the_body_is_sent(same_as_direct):
    body = b"the body comes later"

    def call(side):
        headers = signed_headers("PUT", side.host, side.target(), {}, body, *side.users["alice"])
        headers |= {"Expect": "100-continue", "Content-Length": str(len(body))}
        lines = [f"PUT {side.target()} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        with talk(urlsplit(side.url).port) as line:
            line.send("\r\n".join([*lines, "", ""]).encode())
            assert line.read_answer("PUT").status == 100
            line.send(body)
            answer = line.read_answer("PUT")
        side.note("PUT", side.target(), "", answer.status, answer.headers.items(), answer.body)
        side.get()

    assert same_as_direct(call).body == body


def test_a_request_of_the_virtual_hosted_kind_is_the_same_request(strict_osp, cluster, common_buckets, prefix):
    """From the client to the gateway as well."""
    bucket, user = common_buckets[0], cluster.users["alice"]
    cluster.s3().put_object(Bucket=bucket, Key=f"{prefix}a b/../c", Body=b"body")
    host = f"{bucket}.osp.localhost:{strict_osp.ports[0]}"
    target = f"/{prefix}a%20b/../c"
    headers = signed_headers("GET", host, target, {}, b"", user.client_key, user.client_secret)
    connection = http.client.HTTPConnection("127.0.0.1", strict_osp.ports[0], timeout=60)
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"body")
    connection.close()
