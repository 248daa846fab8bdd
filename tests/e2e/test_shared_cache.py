"""`cache_url`: several gateways and one Redis server, which may go away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from support.redis_server import Redis, redis_server
from support.serving import HERE, Gate, configuration, serving
from support.upstream import recording_upstream

SECRET = "fake-secret-of-the-shared-cache"
COUNTED = """
import os
def note(what):
    with open({log!r}, "a") as file:
        file.write(what + "\\n")
"""


@pytest.fixture
def redis(tmp_path_factory):
    server = Redis(redis_server(), tmp_path_factory.mktemp("r"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store():
    with recording_upstream(Gate()) as upstream:
        yield upstream


@pytest.fixture
def asked(tmp_path):
    """What the operator's functions of all gateways were asked."""
    log = tmp_path / "asked"
    log.touch()
    return log


@pytest.fixture
def gateways(redis, store, asked, tmp_path):
    """Two gateways with one configuration, whose functions note down what they are asked."""
    text = configuration(
        store.port,
        HERE + f"cache_url='unix://{redis.path}', cache_secret={SECRET!r}",
        allow="note(f'{token} {bucket}') or True",
        before=COUNTED.format(log=str(asked)),
    )
    # Of the request it would see the Host header, which differs: the two are not behind one name here.
    text = text.replace("def validator(token, bucket, request)", "def validator(token, bucket)")
    with serving(tmp_path / "one", text) as one, serving(tmp_path / "other", text) as other:
        yield one, other


def test_what_one_gateway_was_told_the_other_does_not_ask(gateways, asked):
    assert [gateway.get().status for gateway in (*gateways, *gateways)] == [200] * 4
    assert len(asked.read_text().splitlines()) == 1


def test_the_server_gets_to_know_no_secret_and_no_name(gateways, redis):
    assert gateways[0].get().status == 200
    held = redis.octets()
    assert b"osp:decision" in held
    for word in (b"recorder-fake", b"client", b"demo", b"allowed"):
        assert word not in held


def test_what_is_read_anew_is_found_out_anew(gateways, asked):
    one, _ = gateways
    assert one.get().status == 200
    one.reload()
    assert one.get().status == 200
    assert len(asked.read_text().splitlines()) == 2


def test_no_request_is_lost_when_the_server_goes_away_and_comes_back(gateways, redis):
    for gateway in gateways:  # a function that sees the request is asked about every key
        gateway.reload(gateway.file.read_text().replace("(token, bucket):", "(token, bucket, request):"))

    def ask(number):
        return gateways[number % 2].get(f"key-{number}").status

    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(ask, number) for number in range(100)]
        answers[20].result()
        redis.stop()
        answers += [clients.submit(ask, number) for number in range(100, 200)]
        answers[120].result()
        redis.start()
        answers += [clients.submit(ask, number) for number in range(200, 300)]
        assert [answer.result() for answer in answers] == [200] * 300
    assert any("the shared cache cannot be used" in gateway.output() for gateway in gateways)


def test_a_gateway_starts_without_the_server(redis, store, tmp_path):
    redis.stop()
    text = configuration(store.port, HERE + f"cache_url='unix://{redis.path}', cache_secret={SECRET!r}")
    with serving(tmp_path, text) as gateway:
        assert gateway.get().status == 200
