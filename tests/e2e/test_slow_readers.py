"""Clients that take a download slowly, or not at all, hold their store back and cost next to no memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.certificates import certificate
from support.http2 import fields, http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import talk
from support.signing import signed
from support.upstream import Peer, Seen, Upstream, by_path, recording_upstream

GROWTH_ALLOWED_KIB = 32 * 1024
MIB = 2**20
CONTENT = bytes(range(256)) * 4096 * 20

CONFIG = f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{{{'demo': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
    cert_path={{chain!r}}, key_path={{key!r}},
)
"""


def twenty_mib(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    if not seen.target.endswith("/twenty-mib"):
        return by_path(upstream, peer, seen)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT)
    return True


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("cert"), "localhost")


@pytest.fixture(scope="module")
def recorder():
    with recording_upstream(twenty_mib) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(recorder, cert, tmp_path_factory):
    config = CONFIG.format(port=recorder.port, chain=str(cert.chain), key=str(cert.key))
    with gateway(tmp_path_factory.mktemp("slow"), config, options={"osp_preview": "0"}) as process:
        yield process


@pytest.fixture
def h2(running, cert):
    with http2(running.ports[0], cert.client_context(["h2"])) as connection:
        yield connection


def peak_kib(running) -> int:
    status = Path(f"/proc/{running.running.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def get(running, target):
    return signed(running.ports[0], "GET", target)


def warm(running, cert) -> None:
    """What an exchange takes the first time is not counted."""
    with http2(running.ports[0], cert.client_context(["h2"])) as connection:
        assert connection.ask(get(running, "/demo/good")).status == 200


def test_an_http2_client_that_gives_no_window_holds_the_store_back(running, recorder, cert, h2, prefix):
    warm(running, cert)
    before = peak_kib(running)
    for number in range(4):
        h2.start(fields(get(running, f"/demo/{prefix}{number}/sends-much")), end=True)
    for number in range(4):
        assert recorder.wait_for_request(f"{prefix}{number}/").stuck.wait(60)
    assert peak_kib(running) - before < GROWTH_ALLOWED_KIB


def test_an_http1_client_that_does_not_read_holds_the_store_back(running, recorder, cert, prefix):
    warm(running, cert)
    before = peak_kib(running)
    with talk(running.ports[0]) as connection:
        connection.send(get(running, f"/demo/{prefix}sends-much").octets)
        assert recorder.wait_for_request(prefix).stuck.wait(60)
        assert peak_kib(running) - before < GROWTH_ALLOWED_KIB


def test_others_on_the_connection_are_served_while_one_stream_is_stuck(running, recorder, h2, prefix):
    h2.h2.increment_flow_control_window(64 * MIB)
    h2.start(fields(get(running, f"/demo/{prefix}sends-much")), end=True)
    assert recorder.wait_for_request(prefix).stuck.wait(60)
    assert h2.ask(get(running, "/demo/good")).body == b"from the store"


def test_a_download_that_is_slower_than_its_store_is_whole(running, h2, prefix):
    answer = h2.ask(get(running, f"/demo/{prefix}twenty-mib"))
    assert answer.status == 200
    assert answer.body == CONTENT


def test_a_client_that_begins_to_read_late_gets_all_of_it(running, recorder, h2, prefix):
    number = h2.start(fields(get(running, f"/demo/{prefix}twenty-mib")), end=True)
    recorder.wait_for_request(prefix)
    assert h2.ask(get(running, "/demo/good")).status == 200
    assert h2.answer(number).body == CONTENT
