"""Milliseconds that each content view takes for bodies of 1 MiB, common ones and such as are meant to take long.

Shown are the best and the worst of the rounds, and the aim: mitmproxy's event loop waits for a view, and so does
whoever looks at it.

    .venv/bin/python scripts/bench/views.py
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import click
from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata
from mitmproxy.test import tflow

from osp_gateway.mitm.showing import DETAILS
from osp_gateway.mitm.view_chunked import ChunkedView
from osp_gateway.mitm.view_form import PolicyFormView
from osp_gateway.mitm.view_request import S3RequestView
from osp_gateway.mitm.view_xml import S3XmlView
from osp_gateway.redaction import Redactor
from osp_gateway.s3.head import RequestHead

MIB: Final = 1 << 20
AIM_MS: Final = 100.0
ENTRY: Final = (
    "<Contents><Key>folder/with/a/longer/name/file-{:08}.parquet</Key><LastModified>2026-11-25T00:00:00.000Z"
    "</LastModified><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>{}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
FORM: Final = "multipart/form-data; boundary=edge"


def listing() -> bytes:
    """As stores write it, but longer than they would."""
    entries = "".join(ENTRY.format(n, n * 7919) for n in range(MIB // len(ENTRY)))
    return f"<ListBucketResult><Name>demo</Name>{entries}</ListBucketResult>".encode()[:MIB]


def form() -> bytes:
    """A form whose policy is as long as one may be."""
    conditions = [["starts-with", f"$x-amz-meta-{n}", "a"] for n in range(1000)]
    policy = base64.b64encode(json.dumps({"expiration": "2999-01-01T00:00:00Z", "conditions": conditions}).encode())
    parts = [(b"key", b"x"), (b"policy", policy), (b"file", b"x" * 1000)]
    written = [b'--edge\r\nContent-Disposition: form-data; name="' + n + b'"\r\n\r\n' + v + b"\r\n" for n, v in parts]
    return (b"".join(written) + b"--edge--\r\n")[:MIB]


def cases() -> Iterator[tuple[str, Contentview, bytes, str]]:
    """Name, view, body, content type."""
    signed = b"1;chunk-signature=" + b"a" * 64 + b"\r\nx\r\n"
    yield "text", S3RequestView(), b"a line of text\n" * (MIB // 15), "text/plain"
    yield "binary", S3RequestView(), bytes(range(256)) * (MIB // 256), "application/octet-stream"
    yield "64 KiB chunks", ChunkedView(), (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 16, ""
    yield "chunks of an octet", ChunkedView(), signed * (MIB // len(signed)), ""
    yield "no framing", ChunkedView(), b"5\r\n" * (MIB // 3), ""
    yield "a listing", S3XmlView(), listing(), "application/xml"
    yield "a record of many values", S3XmlView(), b"<r><a>" + b"<b>x</b>" * (MIB // 8) + b"</a></r>", "application/xml"
    yield "many names", S3XmlView(), b"<r>" + b"".join(b"<a%d><b%d/></a%d>" % (n, n, n) for n in range(38_000)), ""
    yield "deep", S3XmlView(), b"<a>" * (MIB // 3), "application/xml"
    yield "a long policy", PolicyFormView(), form(), FORM
    yield "many parts", PolicyFormView(), b'--edge\r\n;name="a"\r\n\r\n' * (MIB // 22), FORM


def flow_with(content_type: str) -> http.HTTPFlow:
    """A flow with what the gateway takes down."""
    flow = tflow.tflow(resp=True)
    flow.request.method = "POST"
    flow.request.headers["content-type"] = content_type
    flow.metadata[DETAILS] = {"operation": "PutObject", "allowed": True, "bucket": "demo", "sent": {"headers": []}}
    return flow


def milliseconds(work: Any) -> float:
    """Of one call."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


@click.command()
@click.option("--rounds", default=5, show_default=True)
def main(rounds: int) -> None:
    """Measure, and end with status 1 where the best round of a view misses the aim."""
    missed = False
    click.echo(f"{'view':16} {'body':26} {'best':>8} {'worst':>8}   aim {AIM_MS:.0f} ms")
    works = [(view.name, name, _work(view, body, flow_with(kind))) for name, view, body, kind in cases()]
    for view, name, work in [*works, *_masking()]:
        taken = [milliseconds(work) for _ in range(rounds)]
        missed |= min(taken) > AIM_MS
        click.echo(f"{view:16} {name:26} {min(taken):8.1f} {max(taken):8.1f}{'   MISSED' * (min(taken) > AIM_MS)}")
    raise SystemExit(int(missed))


def _work(view: Contentview, body: bytes, flow: http.HTTPFlow) -> Any:
    metadata = Metadata(flow=flow, http_message=flow.request)
    return lambda: (view.render_priority(body, metadata), view.prettify(body, metadata))


def _masking() -> Iterator[tuple[str, str, Any]]:
    """Of bodies that are kept with their flows."""
    redactor = Redactor()
    head = RequestHead("POST", "/", "", (("content-type", FORM),))
    plain = RequestHead("POST", "/", "", (("content-type", "application/x-www-form-urlencoded"),))
    chunked = RequestHead("PUT", "/", "", (("content-encoding", "aws-chunked"),))
    signed = b"1;chunk-signature=" + b"a" * 64 + b"\r\nx\r\n"
    yield "masking", "a long policy", lambda: redactor.request_body(head, form())
    yield "masking", "many parameters", lambda: redactor.request_body(plain, b"Signature=x&" * (MIB // 12))
    yield "masking", "chunks of an octet", lambda: redactor.request_body(chunked, signed * (MIB // len(signed)))
    yield "masking", "a listing", lambda: redactor.answer_body(listing(), from_store=True)


if __name__ == "__main__":
    main()
