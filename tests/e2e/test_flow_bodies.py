"""What a person sees of bodies and of requests that could not be read, as it is in flow files."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from mitmproxy.io import FlowReader

from support.raw import ask, talk
from support.recorder import Answer, recorded_gateway
from support.signing import signed

KIB = 1024
SMALL, LARGE = b"s" * KIB, b"l" * (5 * KIB)


@contextmanager
def session(folder, options=None):
    """A gateway, and a function that ends it and gives its flows by the last segment of their paths."""
    with recorded_gateway(folder, options=options) as recorded:

        def end():
            recorded.gateway.running.stop()
            assert "Traceback" not in recorded.gateway.output()
            with recorded.gateway.flow_file.open("rb") as file:
                return {flow.request.path.rpartition("/")[2]: flow for flow in FlowReader(file).stream()}

        yield recorded, end


def put_and_get(recorded):
    """Objects whose content comes back as it was sent, more or less."""
    recorded.recorder.answer = lambda request: Answer(body=LARGE if "large" in request.target else SMALL)
    port = recorded.gateway.ports[0]
    for name, body in (("small", SMALL), ("large", LARGE)):
        answer = ask(port, signed(port, "PUT", f"/demo/{name}", body).octets)
        assert (answer.status, answer.body) == (200, body)
    assert [request.body for request in recorded.recorder.requests] == [SMALL, LARGE]


def test_the_beginning_of_each_body_is_kept(tmp_path):
    with session(tmp_path, {"osp_preview": "2"}) as (recorded, end):
        put_and_get(recorded)
        flows = end()
    small, large = flows["small"], flows["large"]
    assert (small.request.raw_content, small.response.raw_content) == (SMALL, SMALL)
    assert (large.request.raw_content, large.response.raw_content) == (LARGE[: 2 * KIB], LARGE[: 2 * KIB])
    assert large.comment.endswith(
        ", request body: the first 2048 of 5120 octets, response body: the first 2048 of 5120 octets"
    )
    cut = {name: value for name, value in large.metadata.items() if name.endswith("_cut")}
    assert cut == {"osp_request_cut": 5120, "osp_response_cut": 5120}
    assert "octets" not in small.comment
    assert not any(name.endswith("_cut") for name in small.metadata)


def test_nothing_is_kept_where_nothing_is_wanted(tmp_path):
    with session(tmp_path, {"osp_preview": "0"}) as (recorded, end):
        put_and_get(recorded)
        flows = end()
    assert [flow.request.raw_content for flow in flows.values()] == [None, None]
    assert [flow.response.raw_content for flow in flows.values()] == [None, None]


OPTIONS = {
    "store_streamed_bodies": ({"store_streamed_bodies": "true", "osp_preview": "0"}, LARGE),
    "stream_large_bodies": ({"stream_large_bodies": "1", "osp_preview": "2"}, LARGE[: 2 * KIB]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_mitmproxy_do_what_they_say(tmp_path, name):
    options, kept = OPTIONS[name]
    with session(tmp_path, options) as (recorded, end):
        put_and_get(recorded)
        large = end()["large"]
    assert (large.request.raw_content, large.response.raw_content) == (kept, kept)


def test_a_limit_on_bodies_is_an_s3_error(tmp_path):
    with session(tmp_path, {"body_size_limit": "2k"}) as (recorded, end):
        port = recorded.gateway.ports[0]
        recorded.recorder.answer = Answer(body=LARGE)
        answer = ask(port, signed(port, "PUT", "/demo/upload", LARGE).octets)
        assert (answer.status, answer.code) == (400, "EntityTooLarge")
        assert not recorded.recorder.requests
        answer = ask(port, signed(port, "GET", "/demo/download").octets)
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        recorded.recorder.answer = Answer(body=SMALL)
        assert ask(port, signed(port, "PUT", "/demo/good", SMALL).octets).body == SMALL
        flows = end()
    assert "body_size_limit" in flows["upload"].comment
    assert "body_size_limit" in flows["download"].comment


UNREADABLE = {
    "bare-lf": (b"GET /demo/bare-lf HTTP/1.1\nHost: h\n\n", "ends in LF or CR alone"),
    "blank": (b"PUT /demo/blank HTTP/1.1\r\nHost : h\r\n\r\n", "REFUSED, the request cannot be read"),
    "two-lengths": (
        b"PUT /demo/two-lengths HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "th",
    ),
    "version": (b"GET /demo/version HTTP/3.0\r\nHost: h\r\n\r\n", "REFUSED, the request cannot be read"),
}


def test_requests_that_cannot_be_read_are_flows_as_well(tmp_path):
    with session(tmp_path) as (recorded, end):
        port = recorded.gateway.ports[0]
        for octets, _ in UNREADABLE.values():
            with talk(port) as connection:
                connection.send(octets)
                assert connection.read_answer().status in (400, 505)
        with talk(port) as connection:
            connection.send(b"\x00\xff\x1b[31m nonsense")
            assert connection.read_answer().status == 400
        assert ask(port, signed(port, "GET", "/demo/good").octets).status == 200
        flows = end()
    for name, (octets, why) in UNREADABLE.items():
        flow = flows[name]
        assert why in flow.comment
        assert flow.comment.isprintable()
        assert flow.marked
        assert flow.response.status_code in (400, 505)
        assert flow.request.raw_content == octets
    assert len(flows) == len(UNREADABLE) + 2
    assert len(recorded.recorder.requests) == 1
