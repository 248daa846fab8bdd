"""Keys that an issuer publishes: rotation, outage, and what a hostile set or server can bring about."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from osp_gateway.access.jwt.compact import TokenError
from osp_gateway.access.jwt.keysets import FRESH_SECONDS, PAUSE_SECONDS
from osp_gateway.access.jwt.model import IssuerModel
from osp_gateway.access.jwt.verifying import TokenVerifier
from osp_gateway.asking import Question, ServiceUrl
from osp_gateway.backends.http_client import Urllib3Asker
from osp_gateway.keychain import make_issuer
from osp_gateway.s3.errors import S3Error
from support.heads import NOW, Clock
from support.recorder import Answer, Recorder
from support.tokens import claims, ec_key, forge, jwk_of, jwks, mint, pem_of, rsa_key, signer, trusting


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A real server, which publishes the key `one`."""
    with Recorder().running() as recorder:
        recorder.answer = Answer(body=jwks(jwk_of(rsa_key(), "one")))
        yield recorder


class Setup:
    def __init__(self, server: Recorder, path: str = "/jwks", **changes: Any) -> None:
        self.clock = Clock()
        self.asker = Urllib3Asker(timeout=20)
        model = IssuerModel.model_validate(
            trusting(public_keys=None, jwks_url=f"http://127.0.0.1:{server.port}{path}", **changes)
        )
        self.verifier = TokenVerifier([make_issuer(model, self.asker, self.clock)], self.clock)

    async def name(self, token: str) -> str:
        return (await self.verifier.identity(token)).name

    async def settled(self, server: Recorder, count: int) -> None:
        """Until what was begun is done, and so many requests have come."""
        flight = next(iter(self.verifier._issuers.values())).keys._flight  # type: ignore[attr-defined]
        await asyncio.wait([flight])
        assert len(server.requests) == count


def one(number: int = 0, kid: str = "one", **changes: Any) -> str:
    return mint(claims(NOW, exp=int(NOW) + 10**7, **changes), rsa_key(number), headers={"kid": kid})


async def test_keys_are_fetched_once_and_kept(server: Recorder) -> None:
    setup = Setup(server)
    tokens = [one(sub=f"user{number}") for number in range(10)]
    assert await asyncio.gather(*map(setup.name, tokens)) == [f"user{number}" for number in range(10)]
    assert server.only.target == "/jwks"


@pytest.mark.parametrize("status", [200, 500])
async def test_a_log_tells_where_keys_are_from_and_no_token_of_that_address(
    server: Recorder, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = Answer(status, body=jwks(jwk_of(rsa_key(), "one")))
    setup = Setup(server, path="/jwks?code=fake-token-in-a-query")
    with caplog.at_level(logging.DEBUG), contextlib.suppress(S3Error):
        await setup.name(one())
    assert server.only.target == "/jwks?code=fake-token-in-a-query"
    assert f":{server.port}/jwks?..." in caplog.text
    assert "fake-token" not in caplog.text


async def test_a_new_key_is_looked_for_once(server: Recorder) -> None:
    setup = Setup(server)
    assert await setup.name(one()) == "alice"
    server.answer = Answer(body=jwks(jwk_of(rsa_key(), "one"), jwk_of(rsa_key(1), "two")))
    setup.clock.now += PAUSE_SECONDS
    assert await asyncio.gather(*(setup.name(one(1, "two", sub=f"u{n}")) for n in range(5))) == [
        f"u{n}" for n in range(5)
    ]
    assert await setup.name(one(sub="old")) == "old"
    assert len(server.requests) == 2


async def test_tokens_of_unknown_keys_do_not_make_the_gateway_ask_again_and_again(server: Recorder) -> None:
    setup = Setup(server)
    await setup.name(one())
    for step in range(3):
        setup.clock.now += PAUSE_SECONDS
        for number in range(20):
            with pytest.raises(TokenError):
                await setup.name(one(1, f"unknown{step}{number}"))
    assert len(server.requests) == 4


async def test_a_key_that_is_withdrawn_is_good_for_nothing_even_where_its_token_was_verified(server: Recorder) -> None:
    setup = Setup(server)
    token = one()
    await setup.name(token)
    server.answer = Answer(body=jwks(jwk_of(rsa_key(1), "two")))
    setup.clock.now += FRESH_SECONDS
    assert await setup.name(token) == "alice"  # while keys are fetched anew
    await setup.settled(server, 2)
    with pytest.raises(TokenError):
        await setup.name(token)
    assert await setup.name(one(1, "two")) == "alice"


async def test_a_token_stays_verified_when_its_key_is_published_anew(server: Recorder) -> None:
    setup = Setup(server)
    token = one()
    before = await setup.verifier.identity(token)
    setup.clock.now += FRESH_SECONDS
    await setup.name(token)
    await setup.settled(server, 2)
    assert await setup.verifier.identity(token) is before


OUTAGES = [
    Answer(500),
    Answer(404, body=b"{}"),
    Answer(302, headers=(("Location", "/elsewhere"),)),
    Answer(body=b""),
    Answer(body=b"<html>"),
    Answer(body=b"{}"),
    Answer(body=b"[]"),
    Answer(body=jwks()),
    Answer(body=b'{"keys": {}}'),
    Answer(body=b'{"keys": [7, null, "x"]}'),
    Answer(body=b'{"keys": [], "keys": []}'),
    Answer(body=jwks(*[jwk_of(rsa_key(1), str(n)) for n in range(101)])),
    Answer(body=b" " * (300 * 1024)),
    Answer(body=jwks({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "kid": "one"})),
    Answer(body=jwks({**jwk_of(rsa_key(), "one"), "use": "enc"})),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda answer: f"{answer.status} {answer.body[:24]!r}")
async def test_while_the_issuer_is_away_its_keys_are_used_up_to_their_age(server: Recorder, outage: Answer) -> None:
    setup = Setup(server, jwks_max_age=3600)
    await setup.name(one())
    server.answer = outage
    setup.clock.now += FRESH_SECONDS
    assert await setup.name(one(sub="bob")) == "bob"
    await setup.settled(server, 2)
    setup.clock.now = NOW + 3599
    assert await setup.name(one(sub="carol")) == "carol"
    setup.clock.now = NOW + 3600
    for token in (one(), one(sub="dave")):
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await setup.name(token)
    assert {request.target for request in server.requests} == {"/jwks"}


async def test_without_any_keys_tokens_are_not_believed_and_the_issuer_is_asked_now_and_then(server: Recorder) -> None:
    server.answer = Answer(503)
    setup = Setup(server)
    for _ in range(5):
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await setup.name(one())
    assert len(server.requests) == 1
    server.answer = Answer(body=jwks(jwk_of(rsa_key(), "one")))
    setup.clock.now += PAUSE_SECONDS
    assert await setup.name(one()) == "alice"


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    with Recorder().running() as gone:
        setup = Setup(gone)
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await setup.name(one())


async def test_a_published_secret_is_no_key(server: Recorder) -> None:
    import hashlib
    import hmac

    secret = b"secret-that-everybody-can-fetch-from-there"
    from support.tokens import segment

    server.answer = Answer(body=jwks({"kty": "oct", "k": segment(secret), "kid": "k"}, jwk_of(rsa_key(), "one")))
    setup = Setup(server)
    for kid in ("k", "one"):
        token = forge({"alg": "HS256", "kid": kid}, claims(NOW), lambda s: hmac.digest(secret, s, hashlib.sha256))
        with pytest.raises(TokenError):
            await setup.name(token)


async def test_keys_of_other_kinds_in_a_set_are_left_alone(server: Recorder) -> None:
    server.answer = Answer(
        body=jwks(
            {"kty": "XX"},
            jwk_of(ec_key(), "one"),
            {**jwk_of(rsa_key(1), "one"), "use": "enc"},
            jwk_of(rsa_key(), "one"),
        )
    )
    assert await Setup(server).name(one()) == "alice"


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
async def test_an_attackers_server_is_never_asked(server: Recorder, name: str) -> None:
    """It would say that the attacker's key is the right one."""
    with Recorder().running() as attacker:
        attacker.answer = Answer(body=jwks(jwk_of(rsa_key(1), "one")))
        url = f"http://127.0.0.1:{attacker.port}/jwks"
        value = {"jwk": {**jwk_of(rsa_key(1), "one"), "x5u": url}, "x5c": [url]}.get(name, url)
        setup = Setup(server)
        for key in (rsa_key(), rsa_key(1)):
            for kid in ("one", "two", url):
                token = forge({"alg": "RS256", "kid": kid, name: value}, claims(NOW), signer(key))
                with pytest.raises(TokenError):
                    await setup.name(token)
        said = claims(NOW, iss=url, jku=url, jwks_uri=url)
        with pytest.raises(TokenError):
            await setup.name(forge({"alg": "RS256", "kid": "one"}, said, signer(rsa_key(1))))
        assert attacker.requests == []


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://issuer.example.test/jwks", True),
        ("http://127.0.0.1:8080/jwks", True),
        ("http://[::1]:8080/jwks", True),
        ("http://localhost/jwks", True),
        ("http://issuer.example.test/jwks", False),
        ("http://127.0.0.1.example.test/jwks", False),
        ("http://localhost.example.test/jwks", False),
        ("http://127.0.0.1@example.test/jwks", False),
        ("https://user:fake-password@issuer.example.test/jwks", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/", False),
        ("/jwks", False),
        ("https://", False),
        ("https://issuer.example.test/a b", False),
        ("https://issuer.example.test/#x", False),
        ("https://[", False),
    ],
)
def test_keys_come_over_tls_or_from_this_machine(url: str, allowed: bool) -> None:
    entry = trusting(public_keys=None, jwks_url=url)
    if allowed:
        assert IssuerModel.model_validate(entry).jwks_url == url
    else:
        with pytest.raises(ValueError, match="jwks_url: expected"):
            IssuerModel.model_validate(entry)


def test_plain_http_can_be_allowed() -> None:
    url = "http://issuer.example.test/jwks"
    assert IssuerModel.model_validate(trusting(public_keys=None, jwks_url=url, allow_http=True)).jwks_url == url


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"public_keys": [pem_of(rsa_key())], "secret": "s" * 32},
        {"jwks_url": "https://x.example.test/", "secret": "s" * 32},
    ],
)
def test_keys_come_from_one_place(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected one of jwks_url, public_keys and secret"):
        IssuerModel.model_validate({**trusting(public_keys=None), **keys})


async def test_an_answer_is_read_up_to_its_bound(server: Recorder) -> None:
    server.answer = Answer(body=b"x" * 1001)
    asker = Urllib3Asker()
    url = ServiceUrl(f"http://127.0.0.1:{server.port}/")
    with pytest.raises(OSError, match="longer than 1000"):
        await asker(Question(url, max_octets=1000))
    assert len((await asker(Question(url, max_octets=1001))).body) == 1001


async def test_a_redirect_is_an_answer_like_others(server: Recorder) -> None:
    server.answer = Answer(307, headers=(("Location", f"http://127.0.0.1:{server.port}/elsewhere"),))
    answer = await Urllib3Asker()(
        Question(ServiceUrl(f"http://127.0.0.1:{server.port}/"), {"Authorization": "Bearer fake"})
    )
    assert answer.status == 307
    assert server.only.target == "/"


async def test_a_question_is_posted_as_it_is(server: Recorder) -> None:
    server.answer = Answer(body=b"{}")
    await Urllib3Asker()(
        Question(ServiceUrl(f"http://127.0.0.1:{server.port}/p"), {"X-Fake": "y"}, json.dumps({"a": 1}).encode())
    )
    assert (server.only.method, server.only.body, server.only["x-fake"]) == ("POST", b'{"a": 1}', "y")


async def test_an_answer_that_never_ends_is_given_up() -> None:
    """Each octet comes in time, but there is always one more."""
    gone = threading.Event()

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            with contextlib.suppress(OSError):
                while not gone.wait(0.02):
                    self.request.sendall(b" ")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            with pytest.raises(OSError, match=r"takes too long|Timeout"):
                await Urllib3Asker(timeout=0.3)(Question(ServiceUrl(f"http://127.0.0.1:{server.server_address[1]}/")))
        finally:
            gone.set()
            server.shutdown()
