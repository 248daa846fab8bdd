"""Requests that have come to their end, for tests."""

from osp_gateway.observe.exchange import Answer, Caller, Exchange, Timings
from osp_gateway.outcomes import Verdict
from osp_gateway.s3.head import RequestHead

HEAD = RequestHead("GET", "/demo/key", "", (("Host", "localhost:6190"), ("User-Agent", "boto")))


def verdict(**changes):
    fields = {
        "request_id": "0123456789ABCDEF",
        "who": "reader",
        "operation": "GetObject",
        "bucket": "demo",
        "key": "key",
        "allowed": True,
        "reason": "allowed by may",
        "cached": True,
        "upstream": "store:443 (demo)",
        "micros": 150,
    }
    return Verdict(**(fields | changes))


def exchange(**changes):
    fields = {
        "arrived": 1_700_000_000.25,
        "caller": Caller("192.0.2.7"),
        "timings": Timings(0.012, 0.004, 0.003),
        "complete": True,
        "verdict": verdict(),
        "answer": Answer(200, request_id="STORE", size=14),
        "received": 0,
        "sent": 14,
        "head": HEAD,
        "http_version": "HTTP/1.1",
    }
    return Exchange(**(fields | changes))
