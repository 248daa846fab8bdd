"""Whatever breaks in the gateway's own code ends that request, and nothing else: no hang, no other client's loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.certificates import Certificate, certificate
from support.http2 import http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, gateway
from support.raw import ask, talk
from support.signing import Raw, signed
from support.upstream import Upstream, recording_upstream

CONFIG = """
import importlib, os
from osp_gateway import ProxyServerConfig

def sabotage(name, module, path):
    '''While a file of this name is there, this function raises.'''
    *owners, last = path.split('.')
    owner = importlib.import_module('osp_gateway.' + module)
    for each in owners:
        owner = getattr(owner, each)
    real = getattr(owner, last)
    def broken(*args, **more):
        if os.path.exists(os.path.join({folder!r}, name)):
            raise RuntimeError('sabotage of ' + name)
        return real(*args, **more)
    setattr(owner, last, broken)

for each in {places!r}:
    sabotage(*each)

config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={port}, is_tls_enabled=False, access_key='a', secret_key='b')}},
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=lambda token, bucket: True, read_timeout=30,
    cert_path={chain!r}, key_path={private!r},
)
"""
BODY = b"b" * 100_000
BATCH = b"<Delete><Object><Key>one</Key></Object></Delete>"


@dataclass(frozen=True)
class Place:
    """What is sabotaged, the request that meets it, and whether the client can still be told."""

    module: str
    path: str
    method: str = "PUT"
    target: str = "/demo/key"
    body: bytes = BODY
    told: bool = True


PLACES = {
    "decision": Place("gateway", "Gateway._decide"),
    "admission": Place("gateway", "Gateway.admit"),
    "batch": Place("gateway", "Gateway.judge_batch", "POST", "/demo?delete", BATCH),
    "arrival": Place("mitm.addon", "arrival_of"),
    "codec-feed": Place("sigv4.payload", "Sha256Body.feed"),
    "codec-finish": Place("sigv4.payload", "Sha256Body.finish"),
    "upstream-head": Place("mitm.sending", "upstream_request"),
    "body-event": Place("mitm.transport", "GatewayStream.body_event"),
    "verdict-acted-on": Place("mitm.transport", "GatewayStream.decided"),
    "form-of-the-head": Place("mitm.downstream", "quick_request"),
    "response-read": Place("mitm.upstream", "UpstreamHttp1.read_headers", "GET", body=b""),
    "response-hook": Place("mitm.addon", "adapt_response", "GET", body=b""),
    "response-head": Place("mitm.transport", "GatewayStream.state_wait_for_response_headers", "GET", body=b""),
    "response-stream": Place("mitm.wire", "Preview.__call__", "GET", body=b"", told=False),
    "end-hook": Place("mitm.desk", "Desk.forget", "GET", body=b"", told=False),
}


@dataclass
class Front:
    gateway: GatewayProcess
    store: Upstream
    cert: Certificate
    folder: Path

    @property
    def port(self) -> int:
        return self.gateway.ports[0]

    def request(self, place: Place) -> Raw:
        return signed(self.port, place.method, place.target, place.body)

    def good(self) -> None:
        assert ask(self.port, signed(self.port, "PUT", "/demo/good", BODY).octets).status == 200


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("sabotage")
    cert = certificate(folder / "cert", "localhost")
    with recording_upstream() as store:
        config = CONFIG.format(
            folder=str(folder),
            places=[(name, place.module, place.path) for name, place in PLACES.items()],
            port=store.port,
            key=CLIENT_KEY,
            secret=CLIENT_SECRET,
            chain=str(cert.chain),
            private=str(cert.key),
        )
        with gateway(folder, config) as running:
            yield Front(running, store, cert, folder)


@pytest.fixture
def broken(front, request) -> Iterator[Place]:
    switch = front.folder / request.param
    switch.touch()
    yield PLACES[request.param]
    switch.unlink()
    front.good()


def traces(front: Front) -> int:
    return front.gateway.output().count("RuntimeError: sabotage of ")


TOLD = [name for name, place in PLACES.items() if place.told]
NOT_TOLD = [name for name, place in PLACES.items() if not place.told]


@pytest.mark.parametrize("broken", TOLD, indirect=True)
def test_the_client_gets_an_internal_error_and_the_operator_a_trace(front, broken):
    before = traces(front)
    with talk(front.port) as other:
        other.send(signed(front.port, "PUT", "/demo/other", BODY).octets[:50_000])  # of somebody else, under way
        answer = ask(front.port, front.request(broken).octets)
    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"sabotage" not in answer.body
    assert traces(front) > before
    assert "mitmproxy has crashed" not in front.gateway.output()


@pytest.mark.parametrize("broken", NOT_TOLD, indirect=True)
def test_where_the_answer_has_begun_it_ends(front, broken):
    before = traces(front)
    with talk(front.port) as client:
        client.send(front.request(broken).octets)
        try:
            client.read_answer()
        except ConnectionError:
            assert client.closed_by_peer()
    front.gateway.running.wait_for("RuntimeError: sabotage of ", before + 1)
    assert "mitmproxy has crashed" not in front.gateway.output()


@pytest.mark.parametrize("broken", [name for name in TOLD if name != "form-of-the-head"], indirect=True)
def test_an_http2_client_keeps_its_connection(front, broken):
    with http2(front.port, front.cert.client_context(["h2"])) as connection:
        answer = connection.ask(front.request(broken))
        assert answer is not None
        assert (answer.status, answer.code) == (500, "InternalError")
        assert not connection.closed
