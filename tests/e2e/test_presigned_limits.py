"""`presign`: how long presigned URLs live and how often they are used, over several gateways."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.raw import ask
from support.redis_server import Redis, redis_server
from support.serving import HERE, Gate, configuration, serving
from support.signing import presigned
from support.upstream import recording_upstream

SECRET = "fake-secret-of-the-shared-cache"
HOST = "osp.example.test"
USES = 3


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
def gateways(redis, store, tmp_path):
    """Two gateways behind one name."""
    cache = f"cache_url='unix://{redis.path}', cache_secret={SECRET!r}, presign=dict(max_uses={USES})"
    text = configuration(store.port, HERE + cache)
    with serving(tmp_path / "one", text) as one, serving(tmp_path / "other", text) as other:
        yield one, other


def use(gateway, url):
    return ask(gateway.port, url.octets)


def url_of(key, **options):
    return presigned(0, "GET", f"/demo/{key}", host=HOST, **options)


def test_a_url_is_used_as_often_as_it_may_be_whichever_gateways_are_asked_at_once(gateways, store):
    urls = [url_of(f"key-{number}") for number in range(4)]

    def ask_for(number):
        return number % 4, use(gateways[number // 4 % 2], urls[number % 4]).status

    with ThreadPoolExecutor(8) as clients:
        answers = Counter(clients.map(ask_for, range(48)))
    assert answers == Counter({(n, 200): USES for n in range(4)} | {(n, 403): 12 - USES for n in range(4)})
    assert len(store.requests) == 4 * USES


def test_a_url_that_is_not_allowed_is_not_used_up(gateways):
    url = url_of("key")
    for gateway in gateways:
        gateway.reload(gateway.file.read_text().replace("return True", "return False"))
    assert [use(gateway, url).status for gateway in gateways * 3] == [403] * 6
    for gateway in gateways:
        gateway.reload(gateway.file.read_text().replace("return False", "return True"))
    assert [use(gateway, url).status for gateway in gateways * 2] == [200] * USES + [403]


def test_while_nobody_can_count_urls_wait_and_other_requests_do_not(gateways, redis):
    one, other = gateways
    url = url_of("key")
    assert use(one, url).status == 200
    redis.stop()
    answers = [use(gateway, url) for gateway in gateways * 3]
    assert {answer.status for answer in answers} == {503}
    assert b"<Code>ServiceUnavailable</Code>" in answers[0].body
    assert one.get().status == other.get().status == 200


def test_a_server_that_forgets_does_not_make_a_url_fresh_where_it_was_used(gateways, redis):
    one, _ = gateways
    url = url_of("key")
    assert [use(one, url).status for _ in range(USES)] == [200] * USES
    redis.command("FLUSHALL")
    assert use(one, url).status == 403


def test_a_gateway_that_reads_its_configuration_anew_goes_on_counting(gateways):
    one, other = gateways
    url = url_of("key")
    assert use(one, url).status == 200
    one.reload()
    assert [use(gateway, url).status for gateway in (one, other, one, other)] == [200, 200, 403, 403]


def test_urls_live_as_long_as_they_may(store, tmp_path):
    text = configuration(store.port, HERE + "presign=dict(max_lifetime=300), allow_sigv2=True")
    with serving(tmp_path, text) as gateway:
        assert use(gateway, url_of("key", expires=300)).status == 200
        answer = use(gateway, url_of("key", expires=301))
        assert answer.status == 400
        assert b"<Code>AuthorizationQueryParametersError</Code>" in answer.body
        assert b"300 seconds" in answer.body
        assert gateway.get().status == 200
