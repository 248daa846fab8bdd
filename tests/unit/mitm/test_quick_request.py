"""A request made without mitmproxy's checks is the one that mitmproxy would have made."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.test import tflow

from osp_gateway.mitm.quick_request import quick_request

FIELDS = ((b"Host", b"store"), (b"x-amz-date", b"20261125T000000Z"))


def made_by_mitmproxy(begun: float) -> http.Request:
    return http.Request(
        host="store",
        port=443,
        method=b"PUT",
        scheme=b"https",
        authority=b"",
        path=b"/key?a=b",
        http_version=b"HTTP/1.1",
        headers=http.Headers(FIELDS),
        content=None,
        trailers=None,
        timestamp_start=begun,
        timestamp_end=None,
    )


def quick() -> http.Request:
    return quick_request(method=b"PUT", path=b"/key?a=b", fields=list(FIELDS), host="store", port=443, scheme=b"https")


def test_every_field_is_there_and_of_the_right_type() -> None:
    request = quick()
    request.data.__post_init__()  # mitmproxy's own check
    expected = made_by_mitmproxy(request.timestamp_start)
    assert list(vars(request.data)) and vars(request.data) == vars(expected.data)
    assert vars(request).keys() == vars(expected).keys()


def test_it_can_be_saved_copied_and_changed() -> None:
    flow = tflow.tflow()
    flow.request = quick()
    flow.request.headers["x-amz-meta-a"] = "1"
    again = http.HTTPFlow.from_state(flow.get_state())
    assert again.request.headers["x-amz-meta-a"] == "1"
    assert again.request.data == flow.request.data == flow.request.copy().data
    assert again.request.url == "https://store/key?a=b"
