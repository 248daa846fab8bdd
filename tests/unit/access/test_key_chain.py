"""Who knows a key: the chain, the service at its end, and that nobody can tell which keys there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osp_gateway import identifying
from osp_gateway.access.key_service import MAX_KEY_CHARS, KeyService, KeyServiceAddress
from osp_gateway.asking import Answer, Question, ServiceUrl
from osp_gateway.backends.http_client import Urllib3Asker
from osp_gateway.callables import CircuitBreaker
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.keys import KeyPair
from support.asymmetric import asymmetric_head
from support.heads import STORE, Bench, Validator, presigned_head, signed_head
from support.recorder import Answer as ServedAnswer
from support.recorder import Recorded, Recorder

URL = "https://keys.example.test/lookup"


class Service:
    """Answers as it is told, and remembers its questions."""

    def __init__(self, answer: Answer | Exception | None = None, **known: dict[str, Any]) -> None:
        self.answer = answer
        self.known = known
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        found = self.known.get(json.loads(question.body or b"")["access_key"])
        return Answer(404, b"") if found is None else Answer(200, json.dumps(found).encode())

    @property
    def keys(self) -> list[str]:
        return [json.loads(question.body or b"")["access_key"] for question in self.asked]


def head(access_key: str, secret: str, token: str | None = None) -> Any:
    return signed_head(pair=KeyPair(access_key, secret, token))


async def code_of(running: Bench, asked: Any) -> str | None:
    outcome = await running.admit(asked)
    return getattr(getattr(outcome, "error", None), "code", None)


def keys_file(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "keys.json"
    path.touch(0o600)
    path.write_text(json.dumps({"keys": entries}))
    return path


async def test_the_first_that_knows_a_key_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """static list, environment, file, fetcher, service: the key `k3` is known to the last three, and so on."""
    names = [f"k{number}" for number in range(1, 6)]
    secrets = {
        place: {k: f"fake-{place}-{k}" for k in names[number:]}
        for number, place in enumerate(["list", "env", "file", "fetch", "serve"])
    }
    for key, secret in secrets["env"].items():
        monkeypatch.setenv(f"OSP_KEY_{key}", f"{key}:{secret}")
    fetched: list[str] = []
    service = Service(**{key: {"secret_key": secret} for key, secret in secrets["serve"].items()})
    running = Bench(
        hmac_keystore=[{"access_key": "k1", "secret_key": secrets["list"]["k1"]}],
        keys_env="OSP_KEY_",
        keys_file=keys_file(tmp_path, *({"access_key": k, "secret_key": s} for k, s in secrets["file"].items())),
        hmac_fetcher=lambda key: fetched.append(key) or secrets["fetch"].get(key),
        keys_url=URL,
        ask=service,
    )
    monkeypatch.undo()
    places = dict(zip(names, ["list", "env", "env", "env", "env"], strict=True))
    for key, place in places.items():
        assert await code_of(running, head(key, secrets[place][key])) is None
    assert fetched == service.keys == []


async def test_each_is_asked_where_those_before_do_not_know(tmp_path: Path) -> None:
    fetched: list[str] = []
    service = Service(served={"secret_key": "fake-served"})
    running = Bench(
        keys_file=keys_file(tmp_path, {"access_key": "filed", "secret_key": "fake-filed"}),
        hmac_fetcher=lambda key: fetched.append(key) or ("fake-fetched" if key == "fetched" else None),
        keys_url=URL,
        ask=service,
    )
    for key in ("filed", "fetched", "served"):
        assert await code_of(running, head(key, f"fake-{key}")) is None
        assert await code_of(running, head(key, "wrong")) == "SignatureDoesNotMatch"
    assert await code_of(running, head("nobody", "x")) == "InvalidAccessKeyId"
    assert fetched == ["fetched", "served", "nobody"]
    assert service.keys == ["served", "nobody"]


async def test_a_fetcher_that_fails_refuses_even_where_the_service_would_know() -> None:
    service = Service(key={"secret_key": "fake"})

    def fails(_: str) -> str:
        raise LookupError

    running = Bench(hmac_fetcher=fails, keys_url=URL, ask=service)
    assert await code_of(running, head("key", "fake")) == "ServiceUnavailable"
    assert service.asked == []


# The file


async def test_buckets_listed_in_the_file_are_what_its_keys_may_use(tmp_path: Path) -> None:
    path = keys_file(tmp_path, {"access_key": "filed", "secret_key": "fake", "buckets": ["demo"]})
    running = Bench(cos_map={"demo": STORE, "other": STORE}, validator=None, hmac_keystore=None, keys_file=path)
    pair = KeyPair("filed", "fake")
    assert await code_of(running, signed_head(pair=pair)) is None
    assert await code_of(running, signed_head(target="/other/key", pair=pair)) == "AccessDenied"


async def test_the_list_goes_before_the_file_in_all_that_it_says(tmp_path: Path) -> None:
    path = keys_file(tmp_path, {"access_key": "both", "secret_key": "fake-file", "buckets": ["*"]})
    listed = [
        {"access_key": "both", "secret_key": "fake-list"},
        {"access_key": "x", "secret_key": "y", "buckets": ["x"]},
    ]
    running = Bench(validator=None, hmac_keystore=listed, keys_file=path)
    assert await code_of(running, head("both", "fake-file")) == "SignatureDoesNotMatch"
    assert await code_of(running, head("both", "fake-list")) == "AccessDenied"


# The service


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder().running() as recorder:
        yield recorder


async def test_a_real_service_is_asked_once_with_its_token(server: Recorder) -> None:
    def answer(request: Recorded) -> ServedAnswer:
        assert (request.method, json.loads(request.body)) == ("POST", {"access_key": "served"})
        assert request["authorization"] == "Bearer fake-service-token"
        return ServedAnswer(body=json.dumps({"secret_key": "fake-served", "note": "ignored"}).encode())

    server.answer = answer
    running = Bench(
        hmac_keystore=None,
        keys_url=f"http://127.0.0.1:{server.port}/k",
        keys_url_token="fake-service-token",
        ask=Urllib3Asker(),
    )
    codes = await asyncio.gather(*(code_of(running, head("served", "fake-served")) for _ in range(10)))
    assert set(codes) == {None}
    assert server.only.target == "/k"


WRONG_ANSWERS = [
    Answer(500, b""),
    Answer(200, b""),
    Answer(200, b"[]"),
    Answer(200, b"{}"),
    Answer(200, b'"fake-served"'),
    Answer(200, b'{"secret_key": 7}'),
    Answer(200, b'{"secret_key": ""}'),
    Answer(200, b'{"secret_key": null}'),
    Answer(200, b'{"secret_key": "fake-served\\n"}'),
    Answer(200, b'{"secret_key": "fake-served", "access_key": "other"}'),
    Answer(200, b'{"secret_key": "fake-served", "session_token": 7}'),
    Answer(200, b'{"secret_key": "fake-served", "ttl": -1}'),
    Answer(200, b'{"secret_key": "fake-served", "ttl": true}'),
    Answer(201, b'{"secret_key": "fake-served"}'),
    Answer(302, b'{"secret_key": "fake-served"}'),
    Answer(403, b""),
]


@pytest.mark.parametrize("answer", WRONG_ANSWERS, ids=repr)
async def test_any_other_answer_is_none(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(answer)
    running = Bench(keys_url=URL, ask=service)
    for _ in range(2):
        assert await code_of(running, head("served", "fake-served")) == "ServiceUnavailable"
    assert len(service.asked) == 2
    assert "fake-served" not in caplog.text


async def test_a_service_that_is_away_is_asked_less_often() -> None:
    service = Service(OSError("away"))
    running = KeyService(KeyServiceAddress(ServiceUrl(URL), None), service, breaker=CircuitBreaker(3, 60))
    for number in range(9):
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await running.find(f"key{number}")
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    ("found", "asked"), [({"secret_key": "fake"}, 1), ({"secret_key": "fake", "ttl": 0}, 2), (None, 1)]
)
async def test_what_the_service_says_is_remembered(found: dict[str, Any] | None, asked: int) -> None:
    service = Service(**({} if found is None else {"key": found}))
    running = KeyService(KeyServiceAddress(ServiceUrl(URL), None), service)
    for _ in range(2):
        assert ((await running.find("key")) is None) is (found is None)
    assert len(service.asked) == asked


async def test_a_key_that_is_longer_than_any_is_not_asked_for() -> None:
    service = Service()
    assert await KeyService(KeyServiceAddress(ServiceUrl(URL), None), service).find("k" * (MAX_KEY_CHARS + 1)) is None
    assert service.asked == []


async def test_a_session_token_must_be_the_services() -> None:
    service = Service(temp={"secret_key": "fake", "session_token": "right-fake"}, plain={"secret_key": "fake"})
    for fetcher in (None, lambda key: None):
        running = Bench(keys_url=URL, ask=service, hmac_fetcher=fetcher)
        assert await code_of(running, head("temp", "fake", "right-fake")) is None
        assert await code_of(running, head("temp", "fake", "wrong-fake")) == "InvalidToken"
        assert await code_of(running, head("temp", "fake")) == "InvalidToken"
        assert await code_of(running, head("plain", "fake", "any-fake")) == "InvalidToken"


@pytest.mark.parametrize(
    "url", ["http://keys.example.test/", "keys", "ftp://127.0.0.1/", "https://u:p@keys.example.test/"]
)
def test_the_service_is_reached_over_tls_or_on_this_machine(url: str) -> None:
    with pytest.raises(ConfigError, match="keys_url: expected") as caught:
        ProxyServerConfig({"demo": STORE}, validator=Validator(), keys_url=url)
    assert len(caught.value.problems) == 1


def test_a_token_without_a_service_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="keys_url_token: "):
        ProxyServerConfig({"demo": STORE}, validator=Validator(), keys_url_token="fake", hmac_fetcher=lambda k: None)


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSP_KEY_A", "a:MARKER-fake")
    path = keys_file(tmp_path, {"access_key": "f", "secret_key": "MARKER-fake"})
    settings = ProxyServerConfig(
        {"demo": STORE},
        validator=Validator(),
        keys_env="OSP_KEY_",
        keys_file=path,
        keys_url=URL,
        keys_url_token="MARKER",
    ).settings
    assert "MARKER" not in repr(settings)


# Nobody can tell


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The secrets that signatures were verified with."""
    secrets: list[str] = []
    verify = identifying.verify
    monkeypatch.setattr(identifying, "verify", lambda *args: secrets.append(args[3]) or verify(*args))
    yield secrets


HEADS: list[Callable[[KeyPair], Any]] = [
    lambda pair: signed_head(pair=pair),
    lambda pair: presigned_head(pair=pair),
    lambda pair: asymmetric_head(pair=pair),
]


@pytest.mark.parametrize("make", HEADS)
async def test_an_unknown_key_is_verified_like_others_before_it_is_refused(checked: list[str], make: Any) -> None:
    running = Bench()
    assert await code_of(running, make(KeyPair("client-fake-key", "wrong"))) == "SignatureDoesNotMatch"
    assert await code_of(running, make(KeyPair("nobodys-fake-key", "wrong"))) == "InvalidAccessKeyId"
    assert await code_of(running, make(KeyPair("nobodys-fake-key", "wrong"))) == "InvalidAccessKeyId"
    assert len(checked) == 3
    assert checked[1] == checked[2] != checked[0]
    assert len(checked[1]) == 64


@pytest.mark.parametrize("make", HEADS)
async def test_so_is_a_key_with_another_session_token(checked: list[str], make: Any) -> None:
    running = Bench()
    pair = KeyPair("client-fake-key", "client-fake-secret", "fake-token")
    if make is not HEADS[2]:
        assert await code_of(running, make(pair)) == "InvalidToken"
        assert len(checked) == 1
        assert checked[0] != "client-fake-secret"


async def test_the_right_secret_of_a_decoy_cannot_be_had(checked: list[str]) -> None:
    """Even a request that is signed with it is refused: the key is nobody's."""
    running = Bench()
    await code_of(running, head("nobodys-fake-key", "wrong"))
    assert await code_of(running, head("nobodys-fake-key", checked[0])) == "InvalidAccessKeyId"


async def test_keys_without_bounds_are_not_verified_and_not_kept(checked: list[str]) -> None:
    assert await code_of(Bench(), head("k" * 5000, "wrong")) == "InvalidAccessKeyId"
    assert checked == []
