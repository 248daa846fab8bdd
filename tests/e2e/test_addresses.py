"""Names with several addresses: one that is out of order costs nothing but a moment."""

from __future__ import annotations

import socket
import time

import pytest

from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask
from support.signing import signed
from support.upstream import recording_upstream

CONFIG = f"""
import socket
from osp_gateway import ProxyServerConfig
NAMES = {{{{
    'closed-first.test': ['127.0.0.2', '127.0.0.1'],
    'silent-first.test': ['127.0.0.3', '127.0.0.1'],
    'all-closed.test': ['127.0.0.2', '127.0.0.4'],
}}}}
resolve = socket.getaddrinfo
def known(host, port, *rest, **named):
    if host not in NAMES:
        return resolve(host, port, *rest, **named)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, port)) for address in NAMES[host]]
socket.getaddrinfo = known
STORE = dict(port={{port}}, is_tls_enabled=False, addressing_style='path', access_key='a', secret_key='b')
config = ProxyServerConfig(
    cos_map={{{{name.removesuffix('.test'): {{{{**STORE, 'host': name}}}} for name in (*NAMES, 'a' * 64 + '.test')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
)
"""


@pytest.fixture(scope="module")
def recorder():
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def silent(recorder):
    """An address of which nothing is heard: its queue of connections is full."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.3", recorder.port))
        listener.listen(0)
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.3", recorder.port))
            waiting.append(client)
        yield
        for client in waiting:
            client.close()


@pytest.fixture(scope="module")
def port(recorder, silent, tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("addresses"), CONFIG.format(port=recorder.port)) as running:
        yield running


@pytest.mark.parametrize("bucket", ["closed-first", "silent-first"])
def test_the_next_address_is_tried(port, recorder, prefix, bucket):
    recorder.forget()
    answer = ask(port.ports[0], signed(port.ports[0], "GET", f"/{bucket}/{prefix}key").octets)
    assert (answer.status, answer.body) == (200, b"from the store")
    assert len(recorder.requests) == 1


def test_where_no_address_answers_the_operator_learns_of_each_and_the_client_of_none(port):
    answer = ask(port.ports[0], signed(port.ports[0], "GET", "/all-closed/key").octets)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert b"127.0.0" not in answer.body
    deadline = time.monotonic() + 30
    while "REFUSED" not in port.output() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert any("127.0.0.2" in line and "127.0.0.4" in line for line in port.output().splitlines() if "REFUSED" in line)


def test_a_name_that_cannot_be_one_is_a_503(port):
    answer = ask(port.ports[0], signed(port.ports[0], "GET", f"/{'a' * 64}/key").octets)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
