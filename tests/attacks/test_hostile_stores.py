"""A store that answers wrongly hurts its own request only: nothing of it is taken for the answer to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, gateway
from support.raw import talk
from support.signing import signed
from support.upstream import Peer, Seen, Upstream, good, recording_upstream

CONFIG = f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{{{'demo': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True, read_timeout=20,
)
"""
OK = b"HTTP/1.1 200 OK\r\n"
HIDDEN = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden"
UNREADABLE = {
    "length and chunks": OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 4\r\nContent-Length: 6\r\n\r\nbodyno",
    "negative length": OK + b"Content-Length: -1\r\n\r\nbody",
    "length that is no number": OK + b"Content-Length: 0x4\r\n\r\nbody",
    "length with a plus": OK + b"Content-Length: +4\r\n\r\nbody",
    "no colon": OK + b"Content-Length 4\r\n\r\nbody",
    "blank before a colon": OK + b"Content-Length : 4\r\n\r\nbody",
    "no status": b"HTTP/1.1\r\n\r\n",
    "status that is no number": b"HTTP/1.1 2oo OK\r\n\r\n",
    "another protocol": b"SSH-2.0-store\r\n\r\n",
    "version two in the clear": b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "coding that nobody knows": OK + b"Transfer-Encoding: xchunked\r\n\r\nbody",
    "chunked, chunked": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "switches protocols": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n",
}
BROKEN_OFF = {
    "chunk size that is no number": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n0\r\n\r\n",
    "chunk longer than it says": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n",
    "body that ends early": OK + b"Content-Length: 10\r\n\r\nbody",
    "chunks that end early": OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbo",
}
WITH_MORE = {
    "octets behind a body": OK + b"Content-Length: 4\r\n\r\nbody" + HIDDEN,
    "octets behind a HEAD's answer": OK + b"Content-Length: 6\r\n\r\n" + HIDDEN,
    "octets behind 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n" + HIDDEN,
    "octets behind 204": b"HTTP/1.1 204 No Content\r\n\r\n" + HIDDEN,
}
ENDLESS = {
    "a head without end": (OK, b"X-A: " + b"a" * 65_000 + b"\r\n"),
    "a line without end": (OK + b"X-A: ", b"a" * 65_000),
    "interim answers without end": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000),
    "a chunk's line without end": (OK + b"Transfer-Encoding: chunked\r\n\r\n4;", b"a" * 65_000),
}
ALL = {**UNREADABLE, **BROKEN_OFF, **WITH_MORE}
GROWTH_ALLOWED_KIB = 48 * 1024


def answers(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    kind = seen.target.rpartition("/")[2].replace("%20", " ").replace("%27", "'").replace("%2C", ",")
    if kind in ENDLESS:
        first, rest = ENDLESS[kind]
        peer.connection.sendall(first)
        for _ in range(2000):  # up to 130 MB
            peer.connection.sendall(rest)
        return False
    if kind not in ALL:
        return good(upstream, peer, seen)
    peer.read_body(seen)
    peer.send(ALL[kind])
    return kind in WITH_MORE


@pytest.fixture(scope="module")
def store() -> Iterator[Upstream]:
    def quietly(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        try:
            return answers(upstream, peer, seen)
        except OSError:
            return False

    with recording_upstream(quietly) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def front(store, tmp_path_factory) -> Iterator[GatewayProcess]:
    with gateway(tmp_path_factory.mktemp("hostile"), CONFIG.format(port=store.port)) as running:
        yield running


def get(front: GatewayProcess, kind: str, method: str = "GET") -> bytes:
    name = kind.replace(" ", "%20").replace("'", "%27").replace(",", "%2C")
    return signed(front.ports[0], method, f"/demo/{name}").octets


def is_served(front: GatewayProcess) -> None:
    with talk(front.ports[0]) as client:
        client.send(get(front, "good"))
        assert client.read_answer().body == b"from the store"


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_unavailable(front, kind):
    with talk(front.ports[0]) as client:
        client.send(get(front, kind))
        answer = client.read_answer()
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        client.send(get(front, "good"))  # the client's own connection is good
        assert client.read_answer().body == b"from the store"


@pytest.mark.parametrize("kind", BROKEN_OFF)
def test_what_breaks_off_is_not_taken_for_a_whole_answer(front, kind):
    with talk(front.ports[0]) as client:
        client.send(get(front, kind))
        with pytest.raises((ConnectionError, ValueError)):
            client.read_answer()
    is_served(front)


@pytest.mark.parametrize("kind", WITH_MORE)
def test_what_comes_behind_an_answer_is_not_the_next_one(front, kind):
    method = "HEAD" if "HEAD" in kind else "GET"
    with talk(front.ports[0]) as client:
        for _ in range(3):
            client.send(get(front, kind, method))
            assert client.read_answer(method).body in (b"", b"body")
            client.send(get(front, "good"))
            assert client.read_answer().body == b"from the store"


@pytest.mark.parametrize(("status", "method"), [(b"200 OK", "HEAD"), (b"304 Not Modified", "GET")])
def test_lengths_of_bodies_that_are_not_there_are_passed_on(front, store, status, method):
    ALL["lengths"] = b'HTTP/1.1 %b\r\nContent-Length: 123456\r\nETag: "e"\r\n\r\n' % status
    with talk(front.ports[0]) as client:
        client.send(get(front, "lengths", method))
        answer = client.read_answer(method)
        client.send(get(front, "good"))
        assert client.read_answer().body == b"from the store"
    assert answer.status == int(status[:3])
    assert answer.headers["content-length"] == "123456"


def peak_kib(front: GatewayProcess) -> int:
    status = Path(f"/proc/{front.running.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_has_no_end_is_cut_off_before_it_is_much(front, kind):
    is_served(front)
    Path(f"/proc/{front.running.process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = peak_kib(front)
    with talk(front.ports[0]) as client:
        client.send(get(front, kind))
        try:
            assert client.read_answer().status == 503
        except ConnectionError:
            assert kind == "a chunk's line without end"
    assert peak_kib(front) - before < GROWTH_ALLOWED_KIB
    is_served(front)
