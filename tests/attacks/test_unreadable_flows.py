"""Requests that nobody can read are flows all the same: a person sees what came and why it was refused."""

from __future__ import annotations

import pytest
from mitmproxy.io import FlowReader

from support.certificates import certificate
from support.http2 import http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask
from support.signing import signed
from support.upstream import recording_upstream

CONFIG = f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{{{'demo': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
    cert_path={{chain!r}}, key_path={{key!r}},
)
"""
UNREADABLE = {
    "bare LF": (b"GET /demo/lf?X-Amz-Signature=fake-signature HTTP/1.1\nHost: a\n\n", "GET", "/demo/lf"),
    "blank before a colon": (b"PUT /demo/blank HTTP/1.1\r\nHost : a\r\n\r\n", "PUT", "/demo/blank"),
    "no HTTP at all": (b"\x05\x01\x00 not \xff HTTP\r\n\r\n", "???", "/not"),
    "a terminal's escape": (b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/?[31m"),
    "endless head": (b"GET /demo/long HTTP/1.1\r\nA: " + b"a" * 70_000, "GET", "/demo/long"),
}


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unreadable")
    cert = certificate(folder / "cert", "localhost")
    with recording_upstream() as store:
        config = CONFIG.format(port=store.port, chain=str(cert.chain), key=str(cert.key))
        with gateway(folder, config) as running:
            port = running.ports[0]
            answers = [ask(port, octets) for octets, _, _ in UNREADABLE.values()]
            with http2(port, cert.client_context(["h2"])) as connection:
                request = signed(port, "GET", "/demo/h2?X-Amz-Signature=fake-signature", scheme="https")
                answers.append(connection.ask(request, extra=[("x-a", "b")] * 250))
                good = connection.ask(signed(port, "GET", "/demo/good", scheme="https"))
            running.running.stop()
            with running.flow_file.open("rb") as file:
                found = list(FlowReader(file).stream())
            assert [seen.target for seen in store.requests] == ["/demo/good"]
    assert good.status == 200
    return dict(zip([*UNREADABLE, "HTTP/2"], zip(answers, found, strict=False), strict=True)), found


@pytest.mark.parametrize("name", [*UNREADABLE, "HTTP/2"])
def test_it_is_a_marked_flow_with_the_answer_and_the_reason(flows, name):
    answer, flow = flows[0][name]
    assert answer.status == flow.response.status_code >= 400
    assert flow.response.content == answer.body
    assert flow.marked
    assert flow.comment.startswith("REFUSED, the request cannot be read: ")
    assert b"fake-signature" not in (flow.request.raw_content or b"") + flow.request.path.encode()
    assert flow.comment.isprintable()


@pytest.mark.parametrize("name", UNREADABLE)
def test_method_and_path_are_shown_as_far_as_they_can_be_told(flows, name):
    _, method, path = UNREADABLE[name]
    flow = flows[0][name][1]
    assert (flow.request.method, flow.request.path.partition("?X-Amz")[0]) == (method, path)


def test_other_requests_have_flows_of_their_own(flows):
    assert len(flows[1]) == len(UNREADABLE) + 2
    assert not flows[1][-1].marked
