"""Whatever is raised in our code ends one request with 500 (or cuts its answer off), leaves a trace, and nothing
hangs."""

from __future__ import annotations

import pytest

from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask, talk
from support.signing import signed
from support.upstream import good, recording_upstream

CONFIG = f"""
from dataclasses import replace
from osp_gateway import ProxyServerConfig
from osp_gateway.gateway import Gateway
from osp_gateway.mitm import addon, downstream, layers, pacing, transport, wire

class Fault(Exception):
    pass

def raise_in(owner, name, concerns):
    original = getattr(owner, name)
    def raising(self, *arguments, **options):
        if not concerns(self, *arguments):
            return original(self, *arguments, **options)
        raise Fault(name)
    setattr(owner, name, raising)

def path_of(flow):
    return flow.request.path

class Codec:
    def __init__(self, body, where):
        self.body, self.where = body, where
    def feed(self, data):
        if self.where == "feed":
            raise Fault("feed")
        return self.body.feed(data)
    def finish(self):
        if self.where == "finish":
            raise Fault("finish")
        return self.body.finish()

admit = Gateway.admit
async def admitting(self, arrival):
    path = arrival.head.path
    if path.endswith("/verdict"):
        raise Fault("verdict")
    outcome = await admit(self, arrival)
    where = path.rpartition("/")[2]
    if where in ("feed", "finish"):
        outcome = replace(outcome, plan=replace(outcome.plan, codec=Codec(outcome.body, where)))
    return outcome
Gateway.admit = admitting

raise_in(addon.OspAddon, "_record", lambda self, flow, outcome: path_of(flow).endswith("/record"))
raise_in(addon.OspAddon, "responseheaders", lambda self, flow: path_of(flow).endswith("/response-hook"))
raise_in(transport.GatewayStream, "decided", lambda self: path_of(self.flow).endswith("/layer"))
raise_in(transport.GatewayStream, "send_rest", lambda self, rest: path_of(self.flow).endswith("/sending"))
raise_in(wire.Preview, "__call__", lambda self, data: path_of(self._flow).endswith("/stream"))
raise_in(pacing.PacedStream, "stalled", lambda self, now: path_of(self.flow).endswith("/tick-stalls"))
raise_in(downstream.ClientHttp1, "begin", lambda self, head: head.target.endswith(b"/begin"))
raise_in(downstream.ClientHttp1, "look_at_the_clock",
         lambda self: self.request is not None and self.request.path.endswith("/tick-connection-stalls"))

config = ProxyServerConfig(
    cos_map={{{{'demo': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True, limits=dict(head_timeout=1),
)
"""


def behaves(upstream, peer, seen):
    """`...stalls` is answered by nobody: only the clock of the gateway can end it."""
    if seen.target.endswith("stalls"):
        peer.read_body(seen)
        peer.wait_for_the_end()
        return False
    return good(upstream, peer, seen)


@pytest.fixture(scope="module")
def recorder():
    with recording_upstream(behaves) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def faulty(recorder, tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("faulty"), CONFIG.format(port=recorder.port)) as running:
        yield running


def assert_serves_on(faulty, place):
    """Others, and with a trace of what happened."""
    assert ask(faulty.ports[0], signed(faulty.ports[0], "GET", "/demo/good").octets).status == 200
    faulty.running.wait_for(rf"Fault: {place}")
    assert "mitmproxy has crashed" not in faulty.output()


BEFORE_THE_ANSWER = {
    "verdict": "verdict",
    "record": "_record",
    "feed": "feed",
    "finish": "finish",
    "layer": "decided",
    "sending": "send_rest",
    "response-hook": "responseheaders",
    "tick-stalls": "stalled",
}


@pytest.mark.parametrize("place", BEFORE_THE_ANSWER)
def test_a_fault_before_the_answer_is_an_internal_error(faulty, recorder, prefix, place):
    port = faulty.ports[0]
    answer = ask(port, signed(port, "PUT", f"/demo/{prefix}{place}", b"a body").octets)
    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"Fault" not in answer.body
    if place not in ("response-hook", "tick-stalls"):
        assert not [seen for seen in recorder.requests if prefix in seen.target and seen.complete]
    assert_serves_on(faulty, BEFORE_THE_ANSWER[place])


def test_a_fault_in_an_answer_under_way_cuts_it_off(faulty, prefix):
    port = faulty.ports[0]
    with talk(port) as connection:
        connection.send(signed(port, "GET", f"/demo/{prefix}stream").octets)
        with pytest.raises(ConnectionError):
            connection.read_answer()
    assert_serves_on(faulty, "__call__")


def test_a_fault_in_a_connection_closes_it(faulty, prefix):
    port = faulty.ports[0]
    with talk(port) as connection:
        connection.send(signed(port, "GET", f"/demo/{prefix}tick-connection-stalls").octets)
        assert connection.closed_by_peer()
    assert_serves_on(faulty, "look_at_the_clock")


def test_a_fault_where_a_request_begins_is_answered_and_ends_the_connection(faulty, prefix):
    port = faulty.ports[0]
    with talk(port) as connection:
        connection.send(signed(port, "GET", f"/demo/{prefix}begin").octets)
        answer = connection.read_answer()
        assert (answer.status, answer.code) == (500, "InternalError")
        assert connection.closed_by_peer()
    assert_serves_on(faulty, "begin")
