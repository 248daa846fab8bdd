"""A gateway before a server that records every octet it gets: what must not leave is seen if it does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, Store, gateway
from support.raw import Answer, ask
from support.signing import Raw, signed
from support.upstream import Upstream, recording_upstream

CONFIG = """
from osp_gateway import ProxyServerConfig

RECORDER = dict(host='127.0.0.1', port={recorder}, is_tls_enabled=False,
    access_key='recorder-fake-key', secret_key='recorder-fake-secret')
STORE = dict(host='127.0.0.1', port={store.port}, is_tls_enabled=False,
    access_key={store.access_key!r}, secret_key={store.secret_key!r})

def validator(token, bucket, request):
    return token == {key!r} and bucket != 'forbidden' and not request.key.startswith('denied/')

config = ProxyServerConfig(
    cos_map={{
        'demo': RECORDER,
        'other': RECORDER,
        'forbidden': RECORDER,
        'stored': {{**STORE, 'bucket': 'demo'}},
    }},
    hmac_keystore=[
        dict(access_key={key!r}, secret_key={secret!r}),
        dict(access_key='second-fake-key', secret_key='second-fake-secret'),
    ],
    validator=validator,
)
"""


@dataclass
class Target:
    """The gateway under attack, the recorder behind it, and a key prefix of the test's own."""

    gateway: GatewayProcess
    recorder: Upstream
    prefix: str

    @property
    def port(self) -> int:
        return self.gateway.ports[0]

    @property
    def path(self) -> str:
        return f"/demo/{self.prefix}key"

    def ask(self, request: Raw) -> Answer:
        return ask(self.port, request.octets)

    def assert_nothing_left(self) -> None:
        """Of all that this test sent, nothing reached the store: a request sent now is the first it sees."""
        last = f"/demo/{self.prefix}the-last-one"
        assert self.ask(signed(self.port, "GET", last)).status == 200
        assert [seen.target for seen in self.recorder.requests] == [last]

    def only_request(self) -> str:
        """The target of the one request that the store saw."""
        (seen,) = self.recorder.requests
        return seen.target


@pytest.fixture(scope="session")
def recorder() -> Iterator[Upstream]:
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def attacked_gateway(
    recorder: Upstream, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = CONFIG.format(recorder=recorder.port, store=store, key=CLIENT_KEY, secret=CLIENT_SECRET)
    with gateway(tmp_path_factory.mktemp("attacked"), config) as running:
        yield running


@pytest.fixture
def target(attacked_gateway: GatewayProcess, recorder: Upstream) -> Target:
    recorder.forget()
    return Target(attacked_gateway, recorder, f"{uuid.uuid4().hex}/")
