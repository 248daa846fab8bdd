"""Faults are made of requests that were let pass, and of nothing else: they open no way in, hang nobody but the one
whom they are for, and take no memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from osp_gateway import ProxyServerConfig
from osp_gateway.faults.rules import TYPES
from osp_gateway.mitm.addons import gateway_addons
from osp_gateway.mitm.faults import FaultsAddon
from support.certificates import Certificate, certificate
from support.faults import rules_file
from support.http2 import fields, http2
from support.inside import COUNTS_TASKS, Inside, settled
from support.processes import GatewayProcess, Store, config_for, gateway
from support.raw import ask, talk
from support.signing import Raw, now, presigned, signed
from support.upstream import Peer, Seen, Upstream, recording_upstream, response

MIB = 2**20
HOUR = 3600
ALLOWED_GROWTH = 48 * MIB

VALIDATOR = """
def validator(token, bucket, request):
    return not request.key.startswith("denied/")
"""
NEEDED: dict[str, dict[str, Any]] = {
    "bandwidth": {"rate": 5000},
    "clock_skew": {"offset": 2 * HOUR},
    "error": {"code": "InternalError"},
    "latency": {"latency": 10},
    "limit_data": {"bytes": 10},
    "redirect": {"region": "eu-west-1"},
    "slicer": {"average_size": 7000},
    "slow_close": {"delay": 10},
    "stall": {"bytes": 10, "timeout": 10},
    "throttle": {"rate": 0.001},
    "timeout": {"timeout": 10},
}


@dataclass
class Storage:
    """A store: objects under `endless/` do not end, and it counts what it sent of them."""

    sent: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        if "/endless" in seen.target and seen.method == "GET":
            peer.connection.settimeout(60)
            with contextlib.suppress(OSError):
                peer.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
                for _ in range(500):
                    peer.connection.sendall(bytes(MIB))
                    self.sent += MIB
            self.ended.set()
            return False
        if not peer.read_body(seen):
            return False
        peer.send(response(200, bytes(20_000) if seen.method == "GET" else b"", etag='"0123456789abcdef"'))
        return True


@dataclass
class Front:
    gateway: GatewayProcess
    store: Upstream
    storage: Storage
    cert: Certificate
    inside: Inside
    clock_is_wrong: bool = False

    @property
    def port(self) -> int:
        return self.gateway.ports[0]


def started(folder, rules: dict[str, dict[str, Any]], extra: str = "") -> Any:
    @contextlib.contextmanager
    def running() -> Iterator[Front]:
        storage, cert = Storage(), certificate(folder / "cert", "localhost")
        with recording_upstream(storage) as store:
            tls = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r}, {extra}"
            tasks = folder / "tasks"
            text = config_for(
                Store(store.port, folder), validator=COUNTS_TASKS.format(file=str(tasks)) + VALIDATOR, extra=tls
            )
            options = {"osp_faults": str(rules_file(folder / "rules", rules)), "store_streamed_bodies": "false"}
            with gateway(folder, text, options=options) as process:
                yield Front(process, store, storage, cert, Inside(process.running, tasks))
            for told in ("mitmproxy has crashed", "Addon error", "failed inside the gateway", "connection failed and"):
                assert told not in process.output()

    return running()


# No way in


@pytest.fixture(scope="module", params=sorted(TYPES))
def broken(request, tmp_path_factory) -> Iterator[Front]:
    """Every request has a fault of this type."""
    rule = {"type": request.param, "keys": "*", **NEEDED.get(request.param, {})}
    with started(tmp_path_factory.mktemp("broken"), {"all": rule}) as front:
        front.clock_is_wrong = request.param == "clock_skew"
        yield front


def refused(port: int) -> dict[str, tuple[Raw, str]]:
    """Requests that nobody may let pass, and what they are told."""
    part, body = "/demo/in?partNumber=1&uploadId=u", b"0123456789" * 100
    put = signed(port, "PUT", part, body)
    return {
        "unsigned": (
            Raw("PUT", part, (("Host", f"127.0.0.1:{port}"), ("Content-Length", "1000")), body),
            "AccessDenied",
        ),
        "wrong secret": (signed(port, "PUT", part, body, secret="wrong-fake-secret"), "SignatureDoesNotMatch"),
        "unknown key": (signed(port, "PUT", part, body, key="unknown-fake-key"), "InvalidAccessKeyId"),
        "changed": (put.but(target="/demo/other?partNumber=1&uploadId=u"), "SignatureDoesNotMatch"),
        "denied": (signed(port, "PUT", "/demo/denied/in", body), "AccessDenied"),
        "long ago": (signed(port, "PUT", part, body, at=now(-24 * HOUR)), "RequestTimeTooSkewed"),
        "wrong body": (put.but(body=b"x" * 1000), "XAmzContentSHA256Mismatch"),
        "old link": (presigned(port, "GET", "/demo/in", at=now(-24 * HOUR), expires=60), "AccessDenied"),
    }


def test_what_is_refused_stays_refused_whatever_is_broken(broken):
    for name, (request, code) in refused(broken.port).items():
        with talk(broken.port) as client:
            client.send(request.octets)
            try:
                answer = client.read_answer()
            except ConnectionError:  # a body that is wrong is noticed after its connection was cut
                assert name == "wrong body"
                continue
        # Of a request with a wrong body the head was right: then the fault may come first. So do dates.
        dates = name != "unsigned" and answer.code == "RequestTimeTooSkewed" and broken.clock_is_wrong
        assert answer.code == code or dates or (name == "wrong body" and answer.status != 200), name
    assert all(not seen.complete for seen in broken.store.requests)


def test_a_clock_that_is_off_does_not_take_the_dates_of_another(tmp_path):
    with started(tmp_path, {"ahead": {"type": "clock_skew", "offset": HOUR}}) as front:
        for seconds, code in ((HOUR, ""), (0, "RequestTimeTooSkewed"), (2 * HOUR, "RequestTimeTooSkewed")):
            answer = ask(front.port, signed(front.port, "GET", "/demo/ahead/x", at=now(seconds)).octets)
            assert answer.code == code
        wrong = signed(front.port, "GET", "/demo/ahead/x", at=now(HOUR), secret="wrong-fake-secret")
        assert ask(front.port, wrong.octets).code == "SignatureDoesNotMatch"


def test_a_gateway_that_serves_users_breaks_nothing():
    config = ProxyServerConfig(
        cos_map={"demo": {"host": "127.0.0.1", "port": 9, "access_key": "a", "secret_key": "b"}},
        hmac_keystore=[{"access_key": "k", "secret_key": "fake"}],
        validator=lambda token, bucket: True,
    )

    async def addons() -> list[Any]:
        return gateway_addons(config.settings)

    assert not any(isinstance(addon, FaultsAddon) for addon in asyncio.run(addons()))


# No memory, nothing left behind


@pytest.fixture(scope="module")
def stalling(tmp_path_factory) -> Iterator[Front]:
    rules = {
        "endless-stall": {"type": "stall", "bytes": 1000},
        "endless-slow": {"type": "bandwidth", "rate": 1},
        "endless-late": {"type": "latency", "latency": 600_000},
        "endless-crumbs": {"type": "slicer", "average_size": 1, "delay": 1_000_000},
        "endless-dust": {"type": "slicer", "average_size": 1},
        "up-stall": {"type": "stall", "bytes": 1000, "stream": "upstream"},
        "up-slow": {"type": "bandwidth", "rate": 1, "stream": "upstream"},
        "up-late": {"type": "latency", "latency": 600_000, "stream": "upstream"},
    }
    # A gateway that gives up after a second: not on what stands still on purpose.
    with started(tmp_path_factory.mktemp("stalling"), rules, "read_timeout=1, shutdown_grace=1") as front:
        ask(front.port, signed(front.port, "GET", "/demo/good").octets)
        yield front


@pytest.mark.parametrize("name", ["endless-stall", "endless-slow", "endless-late", "endless-crumbs"])
@pytest.mark.parametrize("way", ["http1", "http2"])
def test_what_a_store_sends_waits_at_the_store(stalling, name, way):
    stalling.storage.sent, before = 0, stalling.inside.forget_peak()
    stalling.storage.ended.clear()
    request = signed(stalling.port, "GET", f"/demo/{name}/x")
    if way == "http1":
        with talk(stalling.port) as client:
            client.send(request.octets)
            still(lambda: stalling.storage.sent)
    else:
        with http2(stalling.port, stalling.cert.client_context(["h2"])) as connection:
            connection.start(fields(request), end=True)
            still(lambda: stalling.storage.sent)
    assert stalling.inside.peak() - before < ALLOWED_GROWTH
    assert stalling.storage.ended.wait(60), "the client is gone, and so is its request"


@pytest.mark.parametrize("name", ["up-stall", "up-slow", "up-late"])
def test_what_a_client_sends_waits_at_the_client(stalling, name):
    size = 200 * MIB
    before, sent = stalling.inside.forget_peak(), 0
    request = signed(stalling.port, "PUT", f"/demo/{name}/x", payload_hash="UNSIGNED-PAYLOAD", length=size)
    with talk(stalling.port) as client:
        client.send(request.head)
        client.socket.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while sent < size:
                sent += client.socket.send(bytes(MIB))
        assert sent < size
    assert stalling.inside.peak() - before < ALLOWED_GROWTH


def still(number: Any) -> int:
    """The number, once it has been the same for a second."""
    last = -1
    while (found := number()) != last:
        last = found
        threading.Event().wait(1.0)
    return found


def test_nothing_is_left_of_clients_that_do_not_wait(stalling):
    ask(stalling.port, signed(stalling.port, "GET", "/demo/good").octets)
    files, tasks = stalling.inside.files(), stalling.inside.tasks()
    for name in ("endless-stall", "endless-late", "up-late", "up-stall"):
        for _ in range(10):
            put = name.startswith("up")
            with talk(stalling.port) as client:
                client.send(signed(stalling.port, "PUT" if put else "GET", f"/demo/{name}/x", b"x" * 5000 * put).octets)
                stalling.store.wait_for_request(name) if not put else None
    assert settled(stalling.inside.files, files) <= files
    assert settled(stalling.inside.tasks, tasks) <= tasks


def test_others_are_served_meanwhile(stalling):
    with contextlib.ExitStack() as stack:
        for name in ("endless-stall", "endless-late", "endless-dust", "endless-dust"):
            client = stack.enter_context(talk(stalling.port))
            client.send(signed(stalling.port, "GET", f"/demo/{name}/x").octets)
        for _ in range(20):
            assert ask(stalling.port, signed(stalling.port, "GET", "/demo/good").octets).status == 200


def test_the_gateway_ends_although_something_is_held(tmp_path):
    rules = {"held": {"type": "latency", "latency": 600_000}}
    with started(tmp_path, rules, "shutdown_grace=1") as front, talk(front.port) as client:
        client.send(signed(front.port, "GET", "/demo/held/x").octets)
        front.store.wait_for_request("/held/")
        assert front.gateway.running.stop() in (0, -15)


# All of them at once


def any_rules(seed: int) -> dict[str, dict[str, Any]]:
    """Some rules at random, for the keys under `seed/`."""
    chance = random.Random(seed)
    rules = {}
    for number in range(chance.randint(1, 4)):
        type_ = chance.choice(sorted(TYPES))
        rule: dict[str, Any] = {"type": type_, **NEEDED.get(type_, {}), "keys": f"{seed}/*", "probability": 0.7}
        if type_ in ("bandwidth", "corrupt", "latency", "limit_data", "reset_peer", "slicer", "stall", "timeout"):
            rule["stream"] = chance.choice(["upstream", "downstream"])
        if type_ == "timeout":
            rule["timeout"] = 10
        rules[f"{seed}-{number}"] = rule
    return rules


SEEDS = range(60)


@pytest.fixture(scope="module")
def chaos(tmp_path_factory) -> Iterator[Front]:
    rules = {name: rule for seed in SEEDS for name, rule in any_rules(seed).items()}
    with started(tmp_path_factory.mktemp("chaos"), rules) as front:
        yield front


def requests(port: int, seed: int) -> list[Raw]:
    body = bytes(15_000)
    return [
        signed(port, "GET", f"/demo/{seed}/x"),
        signed(port, "PUT", f"/demo/{seed}/x", body),
        signed(port, "HEAD", f"/demo/{seed}/x"),
        signed(port, "PUT", f"/demo/{seed}/x?partNumber=1&uploadId=u", body),
        signed(port, "DELETE", f"/demo/{seed}/x"),
        signed(port, "GET", f"/demo/{seed}/x").plus("Connection", "close"),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_request_comes_to_some_end(chaos, seed):
    for request in requests(chaos.port, seed):
        with talk(chaos.port) as client:
            client.send(request.octets)
            with contextlib.suppress(ConnectionError):
                assert client.read_answer(request.method).status >= 200
    with http2(chaos.port, chaos.cert.client_context(["h2"])) as connection:
        numbers = []
        for request in requests(chaos.port, seed)[:5]:
            if connection.closed:
                break
            number = connection.start(fields(request), end=not request.body)
            numbers.append(number)
            if request.body:
                connection.send_body(number, request.body)
        for number in numbers:
            connection.answer(number)
    assert ask(chaos.port, signed(chaos.port, "GET", "/demo/good").octets).status == 200


def test_requests_that_follow_each_other_on_one_connection_are_answered_in_turn(chaos):
    with talk(chaos.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            client.send(signed(chaos.port, "GET", "/demo/good").octets * 3)
            for _ in range(3):
                assert client.read_answer().status == 200
