"""What stays of bodies with their flows, and what mitmproxy's own options about bodies do."""

from __future__ import annotations

import pytest
from mitmproxy.io import FlowReader

from osp_gateway.mitm.kept import CUT
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask
from support.signing import signed
from support.upstream import Peer, Seen, Upstream, recording_upstream, response

CONFIG = f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{{{'demo': dict(host='127.0.0.1', port={{port}}, is_tls_enabled=False, access_key='a', secret_key='b')}}}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
)
"""
LARGE = bytes(range(256)) * 512  # 128 KiB


def echo(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    if not peer.read_body(seen):
        return False
    peer.send(response(200, bytes(seen.body) or (LARGE if seen.target.endswith("/large") else b"small")))
    return True


@pytest.fixture(scope="module")
def store():
    with recording_upstream(echo) as upstream:
        yield upstream


def flows_of(folder, store, options, *asked):
    """Status of each request, and the flows that are saved."""
    with gateway(folder, CONFIG.format(port=store.port), options=options) as running:
        statuses = [
            ask(running.ports[0], signed(running.ports[0], method, f"/demo/{key}", body).octets).status
            for method, key, body in asked
        ]
        running.running.stop()
        with running.flow_file.open("rb") as file:
            return statuses, list(FlowReader(file).stream())


@pytest.mark.parametrize(("kib", "kept"), [("64", 65_536), ("1", 1024), ("0", None), ("128", len(LARGE))])
def test_the_beginning_of_a_long_body_is_kept(tmp_path, store, kib, kept):
    statuses, (put, get) = flows_of(tmp_path, store, {"osp_preview": kib}, ("PUT", "k", LARGE), ("GET", "large", b""))
    assert statuses == [200, 200]
    expected = None if kept is None else LARGE[:kept]
    assert put.request.raw_content == expected
    assert put.response.raw_content == get.response.raw_content == expected
    cut = kept is not None and kept < len(LARGE)
    assert put.metadata.get(CUT) == ({"request": len(LARGE), "response": len(LARGE)} if cut else None)
    assert (f"the first {kept} of {len(LARGE)} octets of the request are kept" in put.comment) == cut


def test_small_bodies_are_kept_whole(tmp_path, store):
    _, (put, get) = flows_of(tmp_path, store, {}, ("PUT", "k", b"a body"), ("GET", "k", b""))
    assert (put.request.content, get.request.content, get.response.content) == (b"a body", b"", b"small")
    assert CUT not in put.metadata


def test_who_wants_streamed_bodies_stored_has_them_whole(tmp_path, store):
    options = {"store_streamed_bodies": "true", "osp_preview": "0", "stream_large_bodies": "1"}
    statuses, (put, get) = flows_of(tmp_path, store, options, ("PUT", "k", LARGE), ("GET", "large", b""))
    assert statuses == [200, 200]
    assert put.request.content == get.response.content == LARGE


def test_a_limit_on_bodies_is_kept_to_in_both_directions(tmp_path, store):
    store.forget()
    statuses, (put, get, small) = flows_of(
        tmp_path, store, {"body_size_limit": "100k"}, ("PUT", "k", LARGE), ("GET", "large", b""), ("GET", "k", b"")
    )
    assert statuses == [400, 502, 200]
    assert put.response.status_code == 400
    assert "body_size_limit" in put.comment
    assert "body_size_limit" in get.error.msg
    assert small.response.content == b"small"
    assert not any(seen.complete and seen.method == "PUT" for seen in store.requests)
