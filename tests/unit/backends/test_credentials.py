from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.credentials import EXPIRY_MARGIN_SECONDS, BackendCredentials, read_credentials
from osp_gateway.backends.routes import ApiKey, BucketRoute
from osp_gateway.callables import CallableRunner
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair
from support.heads import NOW, Clock

PAIR = KeyPair("fake-access", "fake-secret")
WITH_TOKEN = KeyPair("fake-access", "fake-secret", "fake-token")
ROUTE = BucketRoute("demo", ttl=300)

FORMS: Mapping[str, tuple[object, object]] = {
    "an API key": ("fake-api-key", ApiKey("fake-api-key")),
    "an API key with a line end": ("fake-api-key\n", ApiKey("fake-api-key")),
    "a pair": (("fake-access", "fake-secret"), PAIR),
    "a list": (["fake-access", "fake-secret"], PAIR),
    "a triple": (("fake-access", "fake-secret", "fake-token"), WITH_TOKEN),
    "snake case": ({"access_key": "fake-access", "secret_key": "fake-secret"}, PAIR),
    "camel case": ({"accessKey": "fake-access", "secretKey": "fake-secret"}, PAIR),
    "AWS's names": (
        {"AccessKeyId": "fake-access", "SecretAccessKey": "fake-secret", "SessionToken": "fake-token"},
        WITH_TOKEN,
    ),
    "botocore's names": (
        {
            "aws_access_key_id": "fake-access",
            "aws_secret_access_key": "fake-secret",
            "aws_session_token": "fake-token",
        },
        WITH_TOKEN,
    ),
    "a null session token": ({"access_key": "fake-access", "secret_key": "fake-secret", "session_token": None}, PAIR),
    "a mapping that is no dict": (
        MappingProxyType({"access_key": "fake-access", "secret_key": "fake-secret"}),
        PAIR,
    ),
    "a dict with an API key": ({"apikey": "fake-api-key"}, ApiKey("fake-api-key")),
    "a dict with an api_key": ({"api_key": "fake-api-key"}, ApiKey("fake-api-key")),
    "JSON": (' {"access_key": "fake-access", "secret_key": "fake-secret"}\n', PAIR),
    "JSON with an API key": ('{"apiKey": "fake-api-key"}', ApiKey("fake-api-key")),
    "a JSON pair": ('["fake-access", "fake-secret"]', PAIR),
}


@pytest.mark.parametrize(("answer", "expected"), FORMS.values(), ids=FORMS.keys())
def test_credentials_are_read_from(answer: object, expected: object) -> None:
    assert read_credentials(answer) == (expected, None)


KEYS = {"access_key": "fake-access", "secret_key": "fake-secret"}


@pytest.mark.parametrize("name", ["expiration", "Expiration", "expiry", "expires_at"])
@pytest.mark.parametrize(
    "value",
    [
        NOW,
        int(NOW),
        "2026-01-01T12:00:00Z",
        "2026-01-01T12:00:00+00:00",
        "2026-01-01T14:00:00+02:00",
        "2026-01-01T12:00:00",
        datetime(2026, 1, 1, 12, tzinfo=UTC),
        datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 1, 1, 12),
    ],
    ids=repr,
)
def test_an_expiry_is_read(name: str, value: object) -> None:
    assert read_credentials({**KEYS, name: value}) == (PAIR, NOW)


MARKER = "MARKER-fake-secret"
BAD: Mapping[str, object] = {
    "nothing": None,
    "an empty string": "",
    "blanks": "  ",
    "a number": 7,
    "a bool": True,
    "octets": MARKER.encode(),
    "a single": (MARKER,),
    "four": (MARKER,) * 4,
    "a pair of a number": ("fake-access", 12345678),
    "a pair with an empty one": ("fake-access", ""),
    "a pair with None": (MARKER, None),
    "an empty dict": {},
    "a dict without secret": {"access_key": MARKER},
    "a dict without access key": {"secret_key": MARKER},
    "a dict with a list": {"access_key": "a", "secret_key": [MARKER]},
    "an unknown name": {"password": MARKER},
    "a line break": {"access_key": "a", "secret_key": f"{MARKER}\r\nhost: evil.example.test"},
    "not ASCII": {"access_key": "a", "secret_key": f"{MARKER}ä"},
    "a bad session token": {**KEYS, "session_token": f"{MARKER}\n"},
    "an API key with a line break": f"{MARKER}\nx",
    "broken JSON": '{"secret_key": "' + MARKER,
    "a bad expiry": {**KEYS, "expiration": MARKER},
    "an expiry of another type": {**KEYS, "expiration": [MARKER]},
    "a bool as expiry": {**KEYS, "expiration": True},
    "an expiry that is no number": {**KEYS, "expiration": float("nan")},
    "an expiry beyond all numbers": {**KEYS, "expiration": 10**400},
    "a set": {MARKER, "b"},
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_what_is_not_credentials_is_refused_without_telling_what_it_was(answer: object) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        read_credentials(answer)
    assert "MARKER" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.just(MARKER) | st.binary(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["access_key", "secretKey", "expiry", "apikey", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_a_fetcher_gives_a_refusal_never_shows_it(answer: object) -> None:
    for form in (answer, json.dumps(answer, default=str)):
        try:
            credentials, _ = read_credentials(form)
        except ValueError as error:
            assert "MARKER" not in str(error)
        else:
            assert "MARKER" not in repr(credentials) or isinstance(credentials, KeyPair)
            assert "secret_key" not in repr(credentials)


class Fetcher:
    def __init__(self, answer: Any = ("fake-access", "fake-secret")) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def __call__(self, token: str, bucket: str) -> Any:
        self.asked.append((token, bucket))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def backend(fetcher: Any, patience: float = 30) -> BackendCredentials:
    return BackendCredentials(fetcher, CallableRunner(patience), Clock())


async def test_a_routes_own_credentials_come_first() -> None:
    fetcher = Fetcher()
    assert await backend(fetcher).get(BucketRoute("demo", credentials=WITH_TOKEN), "token", "demo") == WITH_TOKEN
    assert fetcher.asked == []


async def test_the_fetcher_is_asked_for_token_and_bucket() -> None:
    fetcher = Fetcher()
    assert await backend(fetcher).get(ROUTE, "token", "demo") == PAIR
    assert fetcher.asked == [("token", "demo")]


async def test_fetched_credentials_are_kept() -> None:
    fetcher = Fetcher()
    subject = backend(fetcher)
    await asyncio.gather(*(subject.get(ROUTE, "token", "demo") for _ in range(10)))
    await subject.get(ROUTE, "token", "demo")
    assert len(fetcher.asked) == 1


async def test_with_a_time_to_live_of_zero_the_fetcher_is_asked_each_time() -> None:
    fetcher = Fetcher()
    subject = backend(fetcher)
    for _ in range(3):
        await subject.get(BucketRoute("demo", ttl=0), "token", "demo")
    assert len(fetcher.asked) == 3


@pytest.mark.parametrize("left", [1, EXPIRY_MARGIN_SECONDS - 1])
async def test_credentials_that_expire_soon_are_used_but_not_kept(left: float) -> None:
    fetcher = Fetcher({**KEYS, "expiry": NOW + left})
    subject = backend(fetcher)
    assert [await subject.get(ROUTE, "token", "demo") for _ in range(2)] == [PAIR, PAIR]
    assert len(fetcher.asked) == 2


async def test_credentials_are_not_kept_beyond_their_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    timer = Clock()
    monkeypatch.setattr("osp_gateway.cache.SingleFlightCache.__init__.__defaults__", (timer, None))
    fetcher = Fetcher({**KEYS, "expiry": NOW + 100})
    subject = backend(fetcher)
    for moment in (0, 39, 41):
        timer.now = NOW + moment
        await subject.get(ROUTE, "token", "demo")
    assert len(fetcher.asked) == 2


@pytest.mark.parametrize("left", [0, -1, -3600])
async def test_credentials_that_have_expired_are_refused(left: float) -> None:
    await _unavailable(Fetcher({**KEYS, "expiry": NOW + left}), "expired")


async def _unavailable(fetcher: Any, reason: str, patience: float = 30) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await backend(fetcher, patience).get(ROUTE, "token", "demo")
    assert caught.value.code == "ServiceUnavailable"
    assert reason in caught.value.reason
    assert reason not in caught.value.message
    return caught.value


async def test_without_a_fetcher_a_bucket_without_credentials_is_unavailable() -> None:
    await _unavailable(None, "no credentials")


async def test_a_fetcher_that_hangs_makes_the_bucket_unavailable() -> None:
    async def hangs(_token: str, _bucket: str) -> None:
        await asyncio.Event().wait()

    await _unavailable(hangs, "took longer", patience=0.02)


@pytest.mark.parametrize("error", [LookupError(MARKER), SystemExit(MARKER), TimeoutError(MARKER)], ids=repr)
async def test_a_fetcher_that_raises_makes_the_bucket_unavailable(error: BaseException) -> None:
    refusal = await _unavailable(Fetcher(error), "raised")
    assert MARKER not in f"{refusal} {refusal.reason}"


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
async def test_a_fetcher_that_gives_something_unusable_makes_the_bucket_unavailable(answer: object) -> None:
    refusal = await _unavailable(Fetcher(answer), "unusable")
    assert "MARKER" not in f"{refusal} {refusal.reason}"


async def test_a_failure_is_not_kept() -> None:
    fetcher = Fetcher(LookupError())
    subject = backend(fetcher)
    with pytest.raises(S3Error):
        await subject.get(ROUTE, "token", "demo")
    fetcher.answer = ("fake-access", "fake-secret")
    assert await subject.get(ROUTE, "token", "demo") == PAIR


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ab", ""]), st.sampled_from(["a", "b", "ba", "bb"])), max_size=40))
def test_no_credential_crosses_from_one_token_or_bucket_to_another(asked: list[tuple[str, str]]) -> None:
    async def fetch(token: str, bucket: str) -> tuple[str, str]:
        for _ in range(len(token) + 2 * len(bucket)):
            await asyncio.sleep(0)
        return (f"key of ({token}) in ({bucket})", f"fake-secret of ({token}) in ({bucket})")

    async def run() -> list[object]:
        subject = backend(fetch)
        return await asyncio.gather(*(subject.get(ROUTE, token, bucket) for token, bucket in asked * 2))

    expected = [KeyPair(f"key of ({t}) in ({b})", f"fake-secret of ({t}) in ({b})") for t, b in asked * 2]
    assert asyncio.run(run()) == expected
