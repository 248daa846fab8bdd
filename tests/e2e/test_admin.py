"""The admin port: health and readiness, for those who look after the gateway and nobody else."""

import contextlib
import socket

import pytest

from support.processes import ADDON, BIN, START_SECONDS, Running
from support.raw import ask, talk
from support.serving import HERE, PROGRAMS, Gate, configuration, serving
from support.upstream import recording_upstream

MANY = 40


@pytest.fixture(scope="module")
def store():
    with recording_upstream(Gate()) as upstream:
        yield upstream


@pytest.fixture(scope="module", params=PROGRAMS)
def osp(request, store, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("admin"), configuration(store.port, HERE), request.param) as running:
        yield running


def request(target, method="GET", extra=""):
    return f"{method} {target} HTTP/1.1\r\nHost: admin\r\n{extra}\r\n".encode()


@pytest.mark.parametrize(("page", "words"), [("health", b"ok\n"), ("ready", b"ready\n")])
def test_a_page_is_plain_text_that_nobody_keeps(osp, page, words):
    answer = ask(osp.admin_port, request(f"/-/{page}"))
    assert (answer.status, answer.body) == (200, words)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"


def test_a_query_makes_no_difference(osp):
    assert ask(osp.admin_port, request("/-/ready?probe=1")).status == 200


def test_head_is_answered_without_a_body(osp):
    with talk(osp.admin_port) as client:
        client.send(request("/-/ready", "HEAD"))
        answer = client.read_answer("HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, "6")
        assert client.closed_by_peer()


@pytest.mark.parametrize(
    "target", ["/", "/-", "/-/", "/-/health/", "/-/HEALTH", "//-/health", "/%2d/health", "/demo/key", "*"]
)
def test_anything_else_is_not_there(osp, target):
    assert ask(osp.admin_port, request(target)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"])
def test_nothing_can_be_done_but_looking(osp, method):
    answer = ask(osp.admin_port, request("/-/health", method, "Content-Length: 0\r\n"))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_connection_carries_one_request(osp):
    with talk(osp.admin_port) as client:
        client.send(request("/-/health") + request("/-/ready"))
        assert client.read_answer().headers["connection"] == "close"
        assert client.closed_by_peer()


GARBAGE = {
    "no HTTP": (b"\x00\x01\x02 garbage\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x00\x05hello\r\n\r\n", 400),
    "two lengths": (request("/-/health", extra="Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
    "no host": (b"GET /-/health HTTP/1.1\r\n\r\n", 400),
    "a long head": (request("/-/health", extra=f"X: {'a' * 20_000}\r\n"), 431),
    "a long target": (request("/" + "a" * 20_000), 431),
    "a head without an end": (b"GET /-/health HTTP/1.1\r\nX: " + b"a" * 60_000, 431),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_small_http_request_is_refused(osp, kind):
    octets, status = GARBAGE[kind]
    assert ask(osp.admin_port, octets).status == status
    assert ask(osp.admin_port, request("/-/health")).status == 200
    assert "Traceback" not in osp.output()


def test_a_body_is_not_read(osp):
    with talk(osp.admin_port) as client:
        client.send(request("/-/health", extra="Content-Length: 1000000000\r\n") + b"a" * 10_000)
        assert client.read_answer().status == 200


def test_a_client_that_says_nothing_is_dropped(osp):
    with talk(osp.admin_port) as client:
        assert client.closed_by_peer()


def test_a_client_that_never_ends_its_head_is_dropped(osp):
    with talk(osp.admin_port) as client:
        client.send(b"GET /-/health HTTP/1.1\r\n")
        assert client.closed_by_peer()


def test_clients_that_say_nothing_take_up_no_more_than_a_bounded_number_of_places(osp):
    clients = [socket.create_connection(("127.0.0.1", osp.admin_port), START_SECONDS) for _ in range(MANY)]
    try:
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
    finally:
        for client in clients:
            client.close()
    assert ask(osp.admin_port, request("/-/health")).status == 200


@pytest.mark.parametrize("page", ["/-/health", "/-/ready"])
def test_the_ports_of_clients_know_nothing_of_it(osp, page):
    answer = ask(osp.port, request(page))
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


def test_the_admin_port_knows_nothing_of_s3(osp, store):
    store.forget()
    assert ask(osp.admin_port, request("/demo/key")).status == 404
    assert not store.requests


def started(program, file, folder, *more):
    mitmproxy = [str(BIN / program), "-s", str(ADDON), "--mode", "reverse:http://s3.invalid@127.0.0.1:0"]
    mitmproxy += ["--set", f"osp_config={file}", "--set", f"confdir={folder / 'confdir'}"]
    return Running([str(BIN / "osp"), "serve", str(file)] if program == "osp" else mitmproxy, folder / "log")


@pytest.mark.parametrize("program", PROGRAMS)
def test_there_is_none_unless_it_is_asked_for(store, tmp_path, program):
    file = tmp_path / "server.py"
    file.write_text(configuration(store.port, HERE).replace("admin_port=0,", ""))
    running = started(program, file, tmp_path)
    try:
        running.wait_for("listening at")
        running.process.terminate()
        assert running.process.wait(START_SECONDS) == 0
        assert "/-/" not in running.output()
    finally:
        running.stop()


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_address_that_is_taken_fails_the_start(store, tmp_path, program):
    file = tmp_path / "server.py"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(configuration(store.port, HERE).replace("admin_port=0", f"admin_port={port}"))
        running = started(program, file, tmp_path)
        try:
            assert running.process.wait(START_SECONDS) == 1
            assert "admin_host, admin_port: cannot listen there" in running.output()
            assert "Traceback" not in running.output()
        finally:
            running.stop()
