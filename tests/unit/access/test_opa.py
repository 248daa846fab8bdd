"""OPA is asked over HTTP: a real little server answers, well and badly."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from osp_gateway.access.identity import Identity
from osp_gateway.access.opa import MAX_ANSWER_OCTETS, Opa, OpaAuthorizer
from osp_gateway.asking import Answer, Question, ServiceUrl
from osp_gateway.backends.http_client import Urllib3Asker
from osp_gateway.callables import CircuitBreaker
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.outcomes import Forward, Refusal
from support.heads import CLIENT, STORE, Bench, signed_head
from support.policies import about, bearer

TTL = 300.0


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, answer: bytes | Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
                if callable(outer.answer):
                    outer.answer(self)
                else:
                    reply(self, 200, outer.answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/data/s3/decision"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serving(answer: bytes | Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Server]:
    server = Server(answer)
    try:
        yield server
    finally:
        server.stop()


def opa(server: Server, breaker: CircuitBreaker | None = None, **more: Any) -> OpaAuthorizer:
    return OpaAuthorizer(Opa(ServiceUrl(server.url), **{"timeout": 30.0, **more}), Urllib3Asker(30.0), breaker)


def request(key: str = "a", ttl: float = TTL, identity: Identity | None = None) -> Any:
    from dataclasses import replace

    return replace(about(key=key, identity=identity or bearer(sub="alice", groups=["dev"])), ttl=ttl)


@pytest.mark.parametrize(
    ("result", "allowed", "reason"),
    [
        (True, True, "allowed by OPA"),
        (False, False, "denied by OPA"),
        ({"allow": True, "reason": "owner"}, True, "allowed by OPA (owner)"),
        ({"allow": False, "reason": "line\nbreak"}, False, "denied by OPA (line break)"),
        ({"allow": True, "credentials": "spare", "more": 1}, True, "allowed by OPA"),
    ],
)
async def test_its_decision_is_followed(result: Any, allowed: bool, reason: str) -> None:
    with serving(json.dumps({"result": result, "decision_id": "x"}).encode()) as server:
        decision = await opa(server)(request())
    assert (decision.allowed, decision.reason) == (allowed, reason)
    assert decision.credentials == (result.get("credentials", "") if isinstance(result, dict) else "")


async def test_what_it_is_asked() -> None:
    with serving(b'{"result": true}') as server:
        await opa(server, token="fake-token")(request("a b"))
    ((path, headers, body),) = server.asked
    assert (path, headers["authorization"]) == ("/v1/data/s3/decision", "Bearer fake-token")
    asked = body["input"]
    assert (asked["operation"], asked["actions"], asked["bucket"], asked["key"]) == (
        "GetObject",
        ["s3:GetObject"],
        "demo",
        "a b",
    )
    assert asked["identity"]["claims"] == {"sub": "alice", "groups": ["dev"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"true",
        b"{}",
        b"no json",
        b'{"result": null}',
        b'{"result": 1}',
        b'{"result": "true"}',
        b'{"result": [true]}',
        b'{"result": {}}',
        b'{"result": {"allow": 1}}',
        b'{"result": {"allow": "true"}}',
        b'{"result": {"allowed": true}}',
        b'{"result": {"allow": true, "ttl": -1}}',
        b'{"result": {"allow": true, "ttl": "60"}}',
        b'{"result": {"allow": true, "credentials": 7}}',
        b'{"result": true',
        b'{"result": true}' + b" " * MAX_ANSWER_OCTETS,
        b"[" * 50_000,
    ],
    ids=lambda body: body[:40].decode(),
)
async def test_any_other_answer_denies(body: bytes) -> None:
    with serving(body) as server:
        assert not (await opa(server)(request())).allowed


@pytest.mark.parametrize("status", [201, 204, 302, 307, 308, 400, 401, 404, 500, 503])
async def test_any_other_status_denies_and_no_redirect_is_followed(status: int) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, status, b'{"result": true}', Location="/elsewhere")

    with serving(answer) as server:
        assert not (await opa(server)(request())).allowed
        assert len(server.asked) == 1


async def test_a_broken_connection_denies() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"result": true}')
        handler.close_connection = True

    with serving(answer) as server:
        assert not (await opa(server)(request())).allowed
        url = server.url
    decision = await OpaAuthorizer(Opa(ServiceUrl(url)), Urllib3Asker(30.0))(request())  # nobody listens there any more
    assert not decision.allowed


async def test_who_takes_too_long_is_not_waited_for() -> None:
    async def never(_: Question) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    decision = await OpaAuthorizer(Opa(ServiceUrl("http://127.0.0.1/"), timeout=0.01), never)(request())
    assert (decision.allowed, decision.reason) == (False, "OPA gave no decision: it took too long")


async def test_who_fails_again_and_again_is_not_asked_for_a_while() -> None:
    now = [0.0]
    with serving(b"no json") as server:
        subject = opa(server, CircuitBreaker(failures=2, rest=5, timer=lambda: now[0]))
        for _ in range(5):
            assert not (await subject(request())).allowed
        assert len(server.asked) == 2
        now[0], server.answer = 6.0, b'{"result": true}'
        assert (await subject(request())).allowed


@pytest.mark.parametrize(
    ("written", "ttl", "max_ttl", "questions"),
    [(60, TTL, 300.0, 1), (0, TTL, 300.0, 2), (None, TTL, 300.0, 2), (60, 0.0, 300.0, 2), (60, TTL, 0.0, 2)],
)
async def test_a_decision_is_kept_for_as_long_as_the_answer_says(
    written: float | None, ttl: float, max_ttl: float, questions: int
) -> None:
    result = {"allow": True, **({} if written is None else {"ttl": written})}
    with serving(json.dumps({"result": result}).encode()) as server:
        subject = opa(server, max_ttl=max_ttl)
        first, second = [await subject(request(ttl=ttl)) for _ in range(2)]
        assert (first.allowed, second.allowed, len(server.asked)) == (True, True, questions)
        assert second.cached is (questions == 1)


async def test_a_kept_decision_is_for_the_same_question_only() -> None:
    with serving(b'{"result": {"allow": true, "ttl": 60}}') as server:
        subject = opa(server)
        others = [
            bearer(sub="alice", groups=["dev"]),
            bearer(sub="alice", groups=["hr"]),
            Identity("token-fake-key", "alice", "session", policies=("{}",)),
            Identity("token-fake-key", "alice", "session", policies=("[]",)),
        ]
        for identity in others:
            await subject(request(identity=identity))
        await subject(request("b"))
        assert len(server.asked) == len(others) + 1


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({}, "opa.url: missing, expected a value"),
        ({"tokn": "x"}, "opa.url: missing, expected a value\nopa.tokn: unknown field, did you mean 'token'?"),
        ({"url": "opa"}, "opa.url: expected a URL that begins with https://, got str"),
        (
            {"url": "http://opa.example.test/x"},
            "opa.url: expected https://, http:// is for this machine's own addresses, got str",
        ),
        ({"url": "https://u:p@opa.example.test/x"}, "opa.url: expected a URL without user name and password, got str"),
        ({"url": "https://opa.example.test/x", "ttl": 1}, "opa.ttl: unknown field, did you mean 'max_ttl'?"),
    ],
)
def test_mistakes_in_the_configuration_are_told(written: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProxyServerConfig({"demo": STORE}, hmac_keystore=[{"access_key": "a", "secret_key": "b"}], opa=written)
    assert str(caught.value) == line


def test_the_token_is_not_shown() -> None:
    assert "fake-token" not in repr(Opa(ServiceUrl("https://opa.example.test/"), "fake-token"))


async def test_in_a_gateway() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = server.asked[-1][2]["input"]
        allowed = asked["identity"]["name"] == CLIENT.access_key and asked["actions"] == ["s3:GetObject"]
        reply(handler, 200, json.dumps({"result": allowed}).encode())

    with serving(answer) as server:
        bench = Bench(validator=None, opa={"url": server.url, "timeout": 30})
        bench.gateway._authorizer._inner._ask = Urllib3Asker(30.0)  # type: ignore[attr-defined]
        assert isinstance(await bench.admit(), Forward)
        assert isinstance(await bench.admit(signed_head("PUT")), Refusal)
    assert isinstance(await Bench(validator=None, opa={"url": server.url}).admit(), Refusal)
