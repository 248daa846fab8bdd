"""The HTTP client before a server on loopback: the standard library's, on a port of the kernel's choice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from osp_gateway.backends.http_client import MAX_REPLY_OCTETS, Urllib3Poster

FORM = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "fake api+key/=&ä"}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b'{"ok": true}'
        self.hang: threading.Event | None = None
        self.cut_short = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.server.hang is not None:
            self.server.hang.wait(30)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body) + self.server.cut_short))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


async def test_a_form_is_posted(server: Server) -> None:
    await Urllib3Poster()(server.url + "/identity/token", FORM)
    method, path, headers, body = server.seen[0]
    assert (method, path) == ("POST", "/identity/token")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Accept"] == "application/json"
    assert parse_qs(body.decode(), strict_parsing=True) == {name: [value] for name, value in FORM.items()}


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503])
async def test_status_and_body_are_given_whatever_the_status(server: Server, status: int) -> None:
    server.status = status
    reply = await Urllib3Poster()(server.url, FORM)
    assert (reply.status, reply.body) == (status, b'{"ok": true}')


@pytest.mark.parametrize("status", [500, 503])
async def test_nothing_is_tried_again_here(server: Server, status: int) -> None:
    server.status = status
    server.headers = {"Retry-After": "0"}
    await Urllib3Poster()(server.url, FORM)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    server.status = status
    server.headers = {"Location": server.url + "/elsewhere"}
    reply = await Urllib3Poster()(server.url, FORM)
    assert reply.status == status
    assert [path for _, path, _, _ in server.seen] == ["/"]


async def test_an_address_where_nobody_listens_is_an_os_error() -> None:
    with Server() as closed:
        url = closed.url
    with pytest.raises(OSError, match=r"\S"):
        await Urllib3Poster()(url, FORM)


async def test_an_answer_that_does_not_come_is_an_os_error(server: Server) -> None:
    server.hang = threading.Event()
    try:
        with pytest.raises(OSError, match=r"\S"):
            await Urllib3Poster(timeout=0.05)(server.url, FORM)
    finally:
        server.hang.set()


async def test_an_answer_that_breaks_off_is_an_os_error(server: Server) -> None:
    server.cut_short = True
    with pytest.raises(OSError, match=r"\S"):
        await Urllib3Poster()(server.url, FORM)


@pytest.mark.parametrize("url", ["", "no-scheme", "http://", "ftp://127.0.0.1/"])
async def test_an_address_that_is_none_is_an_os_error(url: str) -> None:
    with pytest.raises(OSError, match=r"\S"):
        await Urllib3Poster(timeout=0.5)(url, FORM)


async def test_an_error_does_not_tell_what_was_posted() -> None:
    with Server() as closed:
        url = closed.url
    with pytest.raises(OSError, match=r"\S") as caught:
        await Urllib3Poster()(url, FORM)
    assert "fake" not in f"{caught.value} {caught.value.__cause__}"


async def test_an_answer_of_any_size_is_read_only_so_far(server: Server) -> None:
    server.body = b"x" * (MAX_REPLY_OCTETS + 10_000)
    assert len((await Urllib3Poster()(server.url, FORM)).body) <= MAX_REPLY_OCTETS


async def test_after_an_answer_that_was_too_long_the_next_one_is_right(server: Server) -> None:
    poster = Urllib3Poster()
    server.body = b"x" * (MAX_REPLY_OCTETS + 10_000)
    await poster(server.url, FORM)
    server.body = b"next"
    assert (await poster(server.url, FORM)).body == b"next"
