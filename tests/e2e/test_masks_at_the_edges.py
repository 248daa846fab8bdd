"""Secrets where nobody looks for them: other listeners, broken HTTP/2, stores that repeat what they were sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from support.certificates import Certificate, certificate
from support.http2 import fields, http2
from support.leaks import leaks
from support.processes import ADDON, BACKEND_KEY, BACKEND_SECRET, BIN, Running, Store, config_for, gateway
from support.raw import Answer as Received
from support.raw import ask
from support.recorder import Answer, Recorded, Recorder
from support.signing import signed

TICKET = "fake-ticket-of-somebody"
SESSION_TOKEN = "fake-backend/session+token=of-its-own"
PROXIED = ("fake-cookie-for-a-proxy", "fake-bearer-for-a-proxy", "fake-signature-for-a-proxy")
IN_HTTP2 = "fake-cookie-in-http2"
XML = (("Content-Type", "application/xml"),)
DOCUMENTS = {
    "json": '{{"error": "no", "got": "{}", "token": "{}"}}',
    "html": "<html><body>bad {} {}</body></html>",
    "text": "bad: {}\n{}",
    "message": "<Error><Code>AccessDenied</Code><Message>bad {} {}</Message></Error>",
    "attribute": "<Error got='{}' token='{}'><Code>AccessDenied</Code></Error>",
}
OTHERS = ("header", "redirect")


def answer(request: Recorded) -> Answer:
    """A store that repeats what it was sent, in its own words."""
    kind = request.path.rpartition("/")[2]
    authorization, token = request.get("authorization") or "", request.get("x-amz-security-token") or ""
    signature = authorization.rpartition("Signature=")[2]
    if kind in DOCUMENTS:
        return Answer(403, XML, DOCUMENTS[kind].format(authorization, token).encode())
    if kind == "header":
        return Answer(200, (("X-Debug", authorization), ("X-Token", token)), b"")
    if kind == "redirect":
        target = f"http://elsewhere.test/?X-Amz-Signature={signature}&X-Amz-Security-Token={token.replace('/', '%2F')}"
        return Answer(307, (("Location", target),), b"")
    return Answer()


@dataclass
class Left:
    """What the run has left behind, what clients got, and what must be in neither."""

    files: dict[str, bytes]
    answers: dict[str, Received]
    secrets: list[str]
    of_store: list[str]
    har: Path
    flows: list[http.HTTPFlow]


def ask_regularly(port: int) -> None:
    """As a client that takes the gateway for an ordinary proxy."""
    cookie, bearer, signature = PROXIED
    target = f"http://elsewhere.test/a?X-Amz-Signature={signature}"
    head = f"Host: elsewhere.test\r\nCookie: a={cookie}\r\nAuthorization: Bearer {bearer}\r\n"
    form = f"password={cookie}"
    body = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n{form}"
    for method, rest in (("GET", "\r\n"), ("POST", body)):
        assert ask(port, f"{method} {target} HTTP/1.1\r\n{head}{rest}".encode()).status == 501


def break_http2(port: int, context: Certificate) -> None:
    for name, value in (("cookie", f"a={IN_HTTP2} "), ("te", IN_HTTP2), ("content-length", IN_HTTP2)):
        with http2(port, context.client_context(("h2",))) as connection:
            request = signed(port, "GET", "/demo/http2", host=f"localhost:{port}", scheme="https")
            connection.answer(connection.start([*fields(request), (name, value)], end=True))


UNREADABLE = (
    "CONNECT elsewhere.test:443 HTTP/1.1\r\nHost: elsewhere.test:443\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /demo/x HTTP/1.1\r\nHost: [::1]:99\r\nHost: two\r\n\r\n",
    "GET /demo/x HTTP/1.1\r\n\r\n",
    "GET demo HTTP/1.1\r\nHost: a:99999\r\n\r\n",
    "NONSENSE\r\n\r\n",
)


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("edges")
    pair = certificate(folder / "certificate", "localhost")
    har = folder / "flows.har"
    with Recorder().running() as recorder:
        recorder.answer = answer
        extra = (
            f"backend_credentials=dict(n=dict(access_key={BACKEND_KEY!r}, secret_key={BACKEND_SECRET!r},"
            f" session_token={SESSION_TOKEN!r})), cert_path={str(pair.chain)!r}, key_path={str(pair.key)!r},"
        )
        config = config_for(Store(recorder.port, folder), extra=extra).replace(
            f"access_key={BACKEND_KEY!r}, secret_key={BACKEND_SECRET!r})\n", "credentials='n')\n", 1
        )
        modes = ("reverse:http://s3.invalid@127.0.0.1:0", "regular@localhost:0")
        options = {"hardump": str(har), "flow_detail": "4", "osp_redact_headers": "x-ticket"}
        with gateway(folder, config, modes=modes, options=options) as front:
            plain, regular = front.ports[:2]
            answers = {kind: ask(plain, signed(plain, "GET", f"/demo/{kind}").octets) for kind in (*DOCUMENTS, *OTHERS)}
            assert ask(plain, signed(plain, "GET", f"/demo/ticket?x-ticket={TICKET}").octets).status == 200
            ask_regularly(regular)
            for octets in UNREADABLE:
                assert ask(plain, octets.encode()).status >= 400
        modes = ("reverse:https://s3.invalid@127.0.0.1:0",)
        with gateway(folder / "tls", config, modes=modes, options={"flow_detail": "4"}) as tls:
            break_http2(tls.ports[0], pair)
        upstream = [request["authorization"].rpartition("Signature=")[2] for request in recorder.requests]
        asked = [request.target for request in recorder.requests]
    assert any(TICKET in target for target in asked)
    with front.flow_file.open("rb") as file:
        flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    files = {
        "flow file": front.flow_file.read_bytes(),
        "HAR": har.read_bytes(),
        "log": (front.output() + tls.output()).encode(),
    }
    of_store = [SESSION_TOKEN, *upstream]
    yield Left(files, answers, [TICKET, *PROXIED, IN_HTTP2, *of_store], of_store, har, flows)


@pytest.mark.parametrize("file", ["flow file", "HAR", "log"])
def test_no_secret_is_left_behind(left, file):
    assert len(left.files[file]) > 1000
    assert leaks({secret.encode() for secret in left.secrets}, left.files[file]) == []


@pytest.mark.parametrize("kind", [*DOCUMENTS, *OTHERS])
def test_the_client_is_not_told_what_the_gateway_has_sent(left, kind):
    got = left.answers[kind]
    assert leaks({secret.encode() for secret in left.of_store}, got.head + got.body) == []
    assert b"****" in got.head + got.body


def test_what_is_broken_in_http2_is_told_without_its_value(left):
    assert b"HTTP/2 protocol error: Received header value surrounded by whitespace" in left.files["log"]


def test_a_request_that_cannot_be_read_leaves_a_har_file_that_can_be(left):
    assert len(json.loads(left.files["HAR"])["log"]["entries"]) == len(left.flows)
    with left.har.open("rb") as file:
        assert len(list(FlowReader(file).stream())) == len(left.flows)
    assert sum("cannot be read" in flow.comment for flow in left.flows) >= len(UNREADABLE) - 2


def test_who_looks_at_saved_flows_needs_no_configuration(left, tmp_path):
    flow_file = tmp_path / "flows.mitm"
    flow_file.write_bytes(left.files["flow file"])
    command = [str(BIN / "mitmdump"), "-n", "-r", str(flow_file), "-s", str(ADDON), "--set", f"confdir={tmp_path}"]
    running = Running([*command, "--set", "flow_detail=1"], tmp_path / "log")
    assert running.process.wait(60) == 0, running.output()
    assert "/demo/ticket" in running.output()
    assert "osp_config is not set" in running.output()


def test_what_listens_without_a_configuration_ends_at_once(tmp_path):
    mode = "reverse:http://s3.invalid@127.0.0.1:0"
    command = [str(BIN / "mitmdump"), "-s", str(ADDON), "--mode", mode, "--set", f"confdir={tmp_path}"]
    running = Running(command, tmp_path / "log")
    assert running.process.wait(60) == 1, running.output()
    assert "osp_config is not set" in running.output()
