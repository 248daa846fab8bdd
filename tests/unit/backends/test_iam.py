from __future__ import annotations

import asyncio
import logging

import pytest

from osp_gateway.backends.iam import ATTEMPTS, GRANT, HttpReply, IamTokens, token_url
from osp_gateway.s3.errors import S3Error
from support.heads import Clock, Iam, token_reply

KEY = "fake-api-key"


def tokens(iam: Iam, clock: Clock | None = None) -> IamTokens:
    return IamTokens(iam, "https://iam.example.test", clock or Clock(0), first_pause=0)


async def _refused(subject: IamTokens, key: str = KEY) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await subject.token(key)
    assert caught.value.code == "ServiceUnavailable"
    return caught.value


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_api_key_is_exchanged_for_a_token() -> None:
    iam = Iam()
    assert await tokens(iam).token(KEY) == "fake-iam-token"
    assert iam.asked == [("https://iam.example.test/identity/token", {"grant_type": GRANT, "apikey": KEY})]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://iam.example.test", "https://iam.example.test/identity/token"),
        ("https://iam.example.test/", "https://iam.example.test/identity/token"),
        ("https://iam.example.test/identity/token", "https://iam.example.test/identity/token"),
        ("http://127.0.0.1:8080/oidc/token", "http://127.0.0.1:8080/oidc/token"),
    ],
)
def test_the_address_may_be_a_base_or_the_whole(url: str, expected: str) -> None:
    assert token_url(url) == expected


async def test_a_token_is_used_again() -> None:
    iam = Iam()
    subject = tokens(iam)
    assert [await subject.token(KEY) for _ in range(3)] == ["fake-iam-token"] * 3
    assert len(iam.asked) == 1


async def test_one_exchange_is_under_way_however_many_wait_for_it() -> None:
    iam = Iam()
    iam.gate = asyncio.Event()
    subject = tokens(iam)
    waiting = [asyncio.create_task(subject.token(KEY)) for _ in range(30)]
    await _settle()
    iam.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"fake-iam-token"}
    assert len(iam.asked) == 1


async def test_one_who_gives_up_waiting_does_not_take_the_others_with_it() -> None:
    iam = Iam()
    iam.gate = asyncio.Event()
    subject = tokens(iam)
    first, second = (asyncio.create_task(subject.token(KEY)) for _ in range(2))
    await _settle()
    first.cancel()
    await asyncio.wait([first])
    iam.gate.set()
    assert await second == "fake-iam-token"


async def test_each_api_key_has_a_token_of_its_own() -> None:
    async def post(_url: str, form: dict[str, str]) -> HttpReply:
        await asyncio.sleep(0)
        return token_reply(f"token-of-{form['apikey']}")

    subject = IamTokens(post, first_pause=0)  # type: ignore[arg-type]
    keys = [f"key-{number % 5}" for number in range(50)]
    assert await asyncio.gather(*(subject.token(key) for key in keys)) == [f"token-of-{key}" for key in keys]


@pytest.mark.parametrize(("later", "asked"), [(799, 1), (801, 2), (1001, 2)])
async def test_a_token_is_renewed_after_four_fifths_of_its_life(later: float, asked: int) -> None:
    iam, clock = Iam(token_reply("first", 1000), token_reply("second", 1000)), Clock(0)
    subject = tokens(iam, clock)
    await subject.token(KEY)
    clock.now = later
    await subject.token(KEY)
    await _settle()
    assert len(iam.asked) == asked


async def test_while_a_token_is_renewed_the_old_one_is_used() -> None:
    iam, clock = Iam(token_reply("first", 1000), token_reply("second", 1000)), Clock(0)
    subject = tokens(iam, clock)
    await subject.token(KEY)
    clock.now = 900
    iam.gate = asyncio.Event()
    assert [await subject.token(KEY) for _ in range(3)] == ["first"] * 3
    iam.gate.set()
    await _settle()
    assert await subject.token(KEY) == "second"
    assert len(iam.asked) == 2


async def test_an_expired_token_is_never_used() -> None:
    iam, clock = Iam(token_reply("first", 1000), token_reply("second", 1000)), Clock(0)
    subject = tokens(iam, clock)
    await subject.token(KEY)
    clock.now = 1000
    assert await subject.token(KEY) == "second"


async def test_a_renewal_that_fails_does_not_harm_while_the_old_token_lives() -> None:
    iam, clock = Iam(token_reply("first", 1000), HttpReply(400, b"")), Clock(0)
    subject = tokens(iam, clock)
    await subject.token(KEY)
    clock.now = 900
    assert await subject.token(KEY) == "first"
    await _settle()
    assert await subject.token(KEY) == "first"
    await _settle()
    clock.now = 1001
    await _refused(subject)


async def test_the_life_of_a_token_begins_when_it_was_asked_for() -> None:
    clock = Clock(0)

    async def slow(_url: str, _form: object) -> HttpReply:
        clock.now += 600
        return token_reply(f"asked until {clock.now:g}", 1000)

    subject = IamTokens(slow, clock=clock, first_pause=0)
    await subject.token(KEY)
    clock.now = 1000
    assert await subject.token(KEY) == "asked until 1600"


@pytest.mark.parametrize(
    "failure",
    [*(HttpReply(status, b"") for status in (408, 429, 500, 502, 503, 504)), OSError("refused"), TimeoutError()],
    ids=lambda failure: str(failure.status) if isinstance(failure, HttpReply) else type(failure).__name__,
)
async def test_a_passing_failure_is_tried_again(failure: HttpReply | Exception) -> None:
    iam = Iam(failure, failure, token_reply("fake-iam-token"))
    assert await tokens(iam).token(KEY) == "fake-iam-token"
    assert len(iam.asked) == 3


@pytest.mark.parametrize("failure", [HttpReply(500, b""), OSError("refused")], ids=["500", "OSError"])
async def test_it_gives_up_after_some_attempts(failure: HttpReply | Exception) -> None:
    iam = Iam(failure)
    await _refused(tokens(iam))
    assert len(iam.asked) == ATTEMPTS


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404])
async def test_a_refusal_is_not_tried_again(status: int) -> None:
    iam = Iam(HttpReply(status, b"{}"))
    refusal = await _refused(tokens(iam))
    assert len(iam.asked) == 1
    assert str(status) in refusal.reason


async def test_a_refusal_is_not_kept() -> None:
    iam = Iam(HttpReply(400, b""), token_reply("fake-iam-token"))
    subject = tokens(iam)
    await _refused(subject)
    assert await subject.token(KEY) == "fake-iam-token"


async def test_a_failure_reaches_all_who_wait() -> None:
    iam = Iam(HttpReply(400, b""))
    iam.gate = asyncio.Event()
    subject = tokens(iam)
    waiting = [asyncio.create_task(subject.token(KEY)) for _ in range(3)]
    await _settle()
    iam.gate.set()
    assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [S3Error] * 3
    assert len(iam.asked) == 1


MALFORMED = [
    b"",
    b"not json",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'"fake-iam-token"',
    b"{}",
    b'{"access_token": "fake-iam-token"}',
    b'{"expires_in": 3600}',
    b'{"access_token": null, "expires_in": 3600}',
    b'{"access_token": 7, "expires_in": 3600}',
    b'{"access_token": "", "expires_in": 3600}',
    b'{"access_token": "fake-iam-token", "expires_in": null}',
    b'{"access_token": "fake-iam-token", "expires_in": "soon"}',
    b'{"access_token": "fake-iam-token", "expires_in": 0}',
    b'{"access_token": "fake-iam-token", "expires_in": -1}',
    b'{"access_token": "fake-iam-token\\r\\nhost: evil.example.test", "expires_in": 3600}',
    b'{"access_token": "fake-iam-token\\u00e4", "expires_in": 3600}',
    b'{"access_token": "fake-iam-token", "expires_in": ' + b"9" * 400 + b"}",
]


@pytest.mark.parametrize("body", MALFORMED, ids=[body[:60].decode("latin-1") for body in MALFORMED])
async def test_an_answer_without_a_usable_token_is_a_failure(body: bytes) -> None:
    refusal = await _refused(tokens(Iam(HttpReply(200, body))))
    assert "fake-iam-token" not in f"{refusal} {refusal.reason}"


async def test_neither_token_nor_api_key_is_shown_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    iam = Iam(token_reply("fake-iam-token"), HttpReply(500, b'{"apikey": "fake-api-key"}'))
    clock = Clock(0)
    subject = tokens(iam, clock)
    await subject.token(KEY)
    clock.now = 10_000
    refusal = await _refused(subject)
    told = f"{caplog.text} {refusal} {refusal.reason} {refusal!r} {subject!r} {subject._tokens!r} {iam.answers!r}"
    values = [repr(value) for value in subject._tokens.values()]
    assert "IBM IAM" in caplog.text
    assert "fake-iam-token" not in told
    assert KEY not in f"{caplog.text} {refusal} {refusal.reason} {refusal!r} {values}"
