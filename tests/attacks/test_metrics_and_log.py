"""Clients that try to flood the metrics with series, or to write lines of their own into the access log."""

from __future__ import annotations

import json

import pytest
from botocore.loaders import Loader

from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.raw import ask, talk
from support.scrape import after, log_lines, scrape
from support.serving import HERE, configuration, serving
from support.signing import presigned, signed
from support.upstream import recording_upstream

OPERATIONS = set(Loader().load_service_model("s3", "service-2")["operations"]) | {"PostObject", "PreflightRequest", "-"}
MANY = 10_000
AT_A_TIME = 100
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get")
QUERIES = ("acl", "tagging", "uploads", "policy", "cors", "list-type=2", "delete", "versions", "madeup", "a=b")


@pytest.fixture(scope="module")
def upstream():
    with recording_upstream() as running:
        yield running


@pytest.fixture
def osp(upstream, tmp_path):
    text = configuration(upstream.port, HERE + f"access_log={str(tmp_path / 'access.log')!r},")
    text = text.replace("cos_map={", f"cos_map={{'team-*': bucket({upstream.port}), ")
    with serving(tmp_path, text) as running:
        yield running


def method_of(number: int) -> str:
    return METHODS[number % len(METHODS)] if number % 11 else f"METHOD{number}"


def head(number: int) -> bytes:
    method, query = method_of(number), QUERIES[number // 7 % len(QUERIES)]
    bucket = f"team-{number}" if number % 3 else f"bucket-{number}"
    lines = (f"{method} /{bucket}/key-{number}?{query} HTTP/1.1", "Host: h", f"User-Agent: agent-{number}")
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()


def send_many(port: int) -> None:
    """Requests that nobody has signed, each with a bucket, a key, a method and a query of its own."""
    for start in range(0, MANY, AT_A_TIME):
        numbers = range(start, start + AT_A_TIME)
        with talk(port) as client:
            client.send(b"".join(head(number) for number in numbers))
            for number in numbers:
                assert client.read_answer(method_of(number)).status >= 400


def test_ten_thousand_buckets_methods_and_operations_make_a_handful_of_series(osp):
    send_many(osp.port)
    found = after(osp.admin_port, MANY)
    assert found.value("osp_requests_total") == MANY
    assert found.labels("osp_requests_total", "bucket") <= {"demo", "team-*", "other", "-"}
    assert found.labels("osp_requests_total", "operation") <= OPERATIONS
    assert len(found.series("osp_requests_total")) < 50
    assert len(found.samples) < 1000
    assert "agent-" not in found.text
    assert "bucket-" not in found.text
    assert "METHOD" not in found.text


def test_nor_can_somebody_with_a_key(osp):
    for number in range(500):
        method, query = METHODS[number % 5], QUERIES[number // 5 % len(QUERIES)]
        target = f"/{'team' if number % 2 else 'bucket'}-{number}?{query}"
        with talk(osp.port) as client:
            client.send(signed(osp.port, method, target).octets)
            client.read_answer(method)
    found = after(osp.admin_port, 500)
    assert found.labels("osp_requests_total", "bucket") <= {"demo", "team-*", "other", "-"}
    assert found.labels("osp_requests_total", "operation") <= OPERATIONS
    assert len(found.labels("osp_requests_total", "operation")) > 5
    assert len(found.series("osp_requests_total")) < 100


FORGED = '{"bucket":"forged","verdict":"allowed"}'


def injections(port):
    """Requests that carry line ends, quotes, controls and whole documents, wherever a client can write something."""
    encoded = "%0a" + FORGED.replace('"', "%22").replace("{", "%7b").replace("}", "%7d") + "%0a"
    octets = '"}\\\t\xe2\x80\xa8\xc2\x85\xff\x80' + FORGED
    yield signed(port, "GET", f"/demo/{encoded}").octets
    yield signed(port, "GET", f"/demo/%0d%0a%00%1b%5b31m%7f{encoded}").octets
    yield signed(port, "GET", f"/demo/key?versionId={encoded}").octets
    yield signed(port, "GET", f"/{encoded}/key").octets
    for name in ("User-Agent", "Referer", "Origin"):
        yield signed(port, "GET", "/demo/key").plus(name, octets).octets
    yield signed(port, "GET", "/demo/key").with_changed("Host", lambda _: octets).octets
    yield signed(port, "GET", "/demo/key", key=FORGED).octets
    yield b"GET /demo/" + FORGED.encode() + b"\n HTTP/1.1\r\nHost: h\r\n\r\n"
    yield b"GET /demo/key HTTP/1.1\r\nHost: h\r\nUser-Agent: a\n" + FORGED.encode() + b"\n\r\n\r\n"
    yield b"GET /demo/key HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r" + FORGED.encode() + b"\r\n\r\n"
    yield FORGED.encode() + b"\r\n" + FORGED.encode() + b"\r\n\r\n"


def test_a_request_is_one_line_whatever_is_in_it(osp, tmp_path):
    sent = list(injections(osp.port))
    for octets in sent:
        assert ask(osp.port, octets).status >= 200
    lines = log_lines(tmp_path / "access.log", len(sent))
    assert len(lines) == len(sent)
    assert not [line for line in lines if line["bucket"] == "forged"]
    for line in (tmp_path / "access.log").read_bytes().split(b"\n")[:-1]:
        assert all(0x20 <= octet < 0x7F for octet in line)
        assert len(json.loads(line)) > 30


def test_secrets_of_requests_are_neither_in_the_log_nor_in_the_metrics(osp, tmp_path):
    request = signed(osp.port, "GET", "/demo/key", headers=(("x-amz-security-token", "FAKE-TOKEN"),))
    signature = request.header("Authorization").rpartition("Signature=")[2]
    url = presigned(osp.port, "GET", "/demo/key")
    in_url = url.target.rpartition("X-Amz-Signature=")[2]
    respelt = url.but(target=url.target.replace("X-Amz-Signature", "X-Amz-%53ignature"))
    referring = signed(osp.port, "GET", "/demo/key").plus("Referer", f"https://h{url.target}")
    for each in (request, url, respelt, referring):
        ask(osp.port, each.octets)
    lines = log_lines(tmp_path / "access.log", 4)
    assert len(lines) == 4
    shown = (tmp_path / "access.log").read_text() + scrape(osp.admin_port).text
    for secret in (signature, in_url, "FAKE-TOKEN", CLIENT_SECRET, "recorder-fake-secret", "recorder-fake-key"):
        assert secret not in shown
    assert f"{CLIENT_KEY}%2F" not in shown
    assert "X-Amz-Signature=***" in shown


def test_a_request_as_large_as_can_be_has_a_line_of_bounded_length(osp, tmp_path):
    long = signed(osp.port, "GET", "/demo/" + "%0a" * 5000)
    ask(osp.port, long.plus("User-Agent", "\xff" * 20_000).plus("Referer", "\xff" * 20_000).octets)
    assert len(log_lines(tmp_path / "access.log", 1)) == 1
    assert (tmp_path / "access.log").stat().st_size < 64 * 1024
