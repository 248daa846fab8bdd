from __future__ import annotations

import asyncio
from typing import Any

import pytest

from osp_gateway.access.keystore import FOUND_TTL, UNKNOWN_TTL, Keystore
from osp_gateway.callables import CallableRunner
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair
from support.heads import Clock


class Fetcher:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, access_key: str) -> Any:
        self.asked.append(access_key)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def keystore(static: dict[str, str] | None = None, fetcher: Any = None, timeout: float = 30) -> Keystore:
    listed = {key: KeyPair(key, secret) for key, secret in (static or {}).items()}
    return Keystore(listed, fetcher, CallableRunner(timeout))


async def _code(store: Keystore, access_key: str) -> str:
    with pytest.raises(S3Error) as caught:
        await store.secret(access_key)
    return caught.value.code


async def test_a_listed_key_has_its_secret() -> None:
    assert await keystore({"key": "fake-secret"}).secret("key") == "fake-secret"


async def test_a_listed_key_is_not_asked_for() -> None:
    fetcher = Fetcher("other-fake-secret")
    assert await keystore({"key": "fake-secret"}, fetcher).secret("key") == "fake-secret"
    assert fetcher.asked == []


async def test_a_key_that_is_not_listed_is_fetched() -> None:
    assert await keystore({"key": "fake-secret"}, Fetcher("fetched-fake-secret")).secret("other") == (
        "fetched-fake-secret"
    )


async def test_an_async_fetcher_is_awaited() -> None:
    async def fetch(access_key: str) -> str:
        return f"fake-secret-of-{access_key}"

    assert await keystore(fetcher=fetch).secret("key") == "fake-secret-of-key"


async def test_an_unknown_key_is_refused_as_aws_refuses_it() -> None:
    with pytest.raises(S3Error) as caught:
        await keystore({"key": "fake-secret"}).secret("other")
    assert (caught.value.code, caught.value.status) == ("InvalidAccessKeyId", 403)
    assert caught.value.details == {"AWSAccessKeyId": "other"}


@pytest.mark.parametrize("answer", [None, ""])
async def test_a_key_that_the_fetcher_does_not_know_is_refused(answer: str | None) -> None:
    assert await _code(keystore(fetcher=Fetcher(answer)), "other") == "InvalidAccessKeyId"


@pytest.mark.parametrize("listed", ["", "key ", " key", "KEY", "ke"])
async def test_a_key_is_compared_exactly(listed: str) -> None:
    assert await _code(keystore({listed: "fake-secret"}), "key") == "InvalidAccessKeyId"


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(1), TimeoutError("x")], ids=lambda e: type(e).__name__)
async def test_a_fetcher_that_raises_makes_the_key_unavailable_for_now(error: BaseException) -> None:
    assert await _code(keystore(fetcher=Fetcher(error)), "key") == "ServiceUnavailable"


async def test_a_fetcher_that_hangs_makes_the_key_unavailable_for_now() -> None:
    async def hangs(_: str) -> str:
        await asyncio.Event().wait()
        return "never"

    assert await _code(keystore(fetcher=hangs, timeout=0.02), "key") == "ServiceUnavailable"


@pytest.mark.parametrize("answer", [True, 7, b"fake-secret", ("fake-secret",)], ids=lambda a: type(a).__name__)
async def test_a_secret_of_another_type_is_no_secret(answer: object) -> None:
    assert await _code(keystore(fetcher=Fetcher(answer)), "key") == "InternalError"


async def test_a_fetched_secret_is_asked_for_once_by_however_many() -> None:
    fetcher = Fetcher("fake-secret")
    store = keystore(fetcher=fetcher)
    assert set(await asyncio.gather(*(store.secret("key") for _ in range(20)))) == {"fake-secret"}
    assert fetcher.asked == ["key"]


async def test_a_failure_is_not_remembered() -> None:
    fetcher = Fetcher(LookupError("x"))
    store = keystore(fetcher=fetcher)
    assert await _code(store, "key") == "ServiceUnavailable"
    fetcher.answer = "fake-secret"
    assert await store.secret("key") == "fake-secret"


async def test_an_unknown_key_is_remembered_for_a_short_time() -> None:
    fetcher = Fetcher(None)
    store = keystore(fetcher=fetcher)
    assert [await _code(store, "key") for _ in range(2)] == ["InvalidAccessKeyId"] * 2
    assert fetcher.asked == ["key"]
    assert UNKNOWN_TTL < FOUND_TTL


@pytest.mark.parametrize(
    ("answer", "later", "asked"),
    [
        ("fake-secret", FOUND_TTL - 1, 1),
        ("fake-secret", FOUND_TTL + 1, 2),
        (None, UNKNOWN_TTL - 1, 1),
        (None, UNKNOWN_TTL + 1, 2),
    ],
)
async def test_a_key_is_asked_for_again_when_its_time_is_over(
    answer: str | None, later: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = Clock()
    monkeypatch.setattr("osp_gateway.cache.SingleFlightCache.__init__.__defaults__", (timer, None))
    fetcher = Fetcher(answer)
    store = keystore(fetcher=fetcher)
    for _ in range(2):
        await asyncio.gather(store.secret("key"), return_exceptions=True)
        timer.now += later
    assert len(fetcher.asked) == asked


async def test_keys_that_are_fetched_at_the_same_time_do_not_get_each_others_secrets() -> None:
    async def fetch(access_key: str) -> str:
        await asyncio.sleep(0)
        return f"fake-secret-of-{access_key}"

    store = keystore(fetcher=fetch)
    keys = [f"key-{number % 7}" for number in range(70)]
    secrets = await asyncio.gather(*(store.secret(key) for key in keys))
    assert secrets == [f"fake-secret-of-{key}" for key in keys]


@pytest.mark.parametrize("answer", ["fake-marker", LookupError("fake-marker"), ["fake-marker"]], ids=str)
async def test_a_refusal_says_nothing_of_what_the_fetcher_gave(answer: object) -> None:
    store = keystore({"known": "fake-marker"}, Fetcher(answer if answer != "fake-marker" else None))
    with pytest.raises(S3Error) as caught:
        await store.secret("other")
    told = f"{caught.value} {caught.value.reason} {caught.value.details} {caught.value.document('/', 'id')!r}"
    assert "fake-marker" not in told


TEMPORARY = {"key": KeyPair("key", "fake-secret", "fake-token")}


async def _token_code(store: Keystore, access_key: str, token: str | None) -> str:
    with pytest.raises(S3Error) as caught:
        await store.secret(access_key, token)
    return caught.value.code


async def test_a_listed_key_with_a_session_token_goes_with_that_token() -> None:
    assert await Keystore(TEMPORARY, None, CallableRunner()).secret("key", "fake-token") == "fake-secret"


@pytest.mark.parametrize("token", [None, "", "fake-toke", "fake-tokens", "FAKE-TOKEN", "\u00e9"])
async def test_a_listed_key_does_not_go_with_another_token_or_none(token: str | None) -> None:
    assert await _token_code(Keystore(TEMPORARY, None, CallableRunner()), "key", token) == "InvalidToken"


@pytest.mark.parametrize("token", ["", "fake-token"])
async def test_a_lasting_key_does_not_go_with_a_token(token: str) -> None:
    assert await _token_code(keystore({"key": "fake-secret"}), "key", token) == "InvalidToken"


async def test_a_fetcher_that_knows_no_tokens_is_not_asked_about_one() -> None:
    fetcher = Fetcher("fake-secret")
    assert await _token_code(keystore(fetcher=fetcher), "key", "fake-token") == "InvalidToken"
    assert fetcher.asked == []


async def test_a_fetcher_that_knows_tokens_is_asked_about_each_of_them() -> None:
    asked = []

    def fetch(access_key: str, session_token: str | None) -> str | None:
        asked.append((access_key, session_token))
        return "fake-secret" if session_token == "fake-token" else None

    store = Keystore({}, fetch, CallableRunner(), tokens=True)
    for _ in range(2):
        assert await store.secret("key", "fake-token") == "fake-secret"
        assert await _token_code(store, "key", "other-token") == "InvalidAccessKeyId"
        assert await _token_code(store, "key", None) == "InvalidAccessKeyId"
    assert asked == [("key", "fake-token"), ("key", "other-token"), ("key", None)]
