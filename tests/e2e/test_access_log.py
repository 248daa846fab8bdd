"""The access log of a running gateway: one line for each request, whichever way it ends."""

import json
import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.certificates import certificate
from support.http2 import fields, http2
from support.processes import ADDON, BIN, CLIENT_KEY, CLIENT_SECRET, Running, Store, rclone_server
from support.raw import ask, talk
from support.scrape import after, log_lines, scrape, scrape_when
from support.serving import HERE, PROGRAMS, Serving, configuration, serving
from support.signing import presigned, signed
from support.upstream import Upstream, recording_upstream

LARGE = b"a" * 300_000
BY_KEY = """
import asyncio

async def validator(token, bucket, request):
    if 'thinking' in request.key:
        open(MARK, 'w').close()
        await asyncio.sleep(2)
    return 'denied' not in request.key
"""


@dataclass
class Logged:
    """A gateway with an access log, and the store behind it."""

    osp: Serving
    log: Path
    store: Upstream
    context: object
    mark: Path

    @property
    def port(self):
        return self.osp.port

    def lines(self, count):
        return log_lines(self.log, count)

    def the_line(self, requests=1):
        """The one that there is, once another request has been logged after it."""
        lines = self.lines(requests)
        assert ask(self.port, signed(self.port, "GET", "/demo/the-last-one").octets).status == 200
        lines = self.lines(requests + 1)
        assert lines[-1]["key"] == "the-last-one"
        assert len(lines) == requests + 1
        return lines[0]


def text_of(upstream, folder, extra=""):
    cert = certificate(folder / "cert", "localhost", "127.0.0.1")
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r}, "
    written = configuration(upstream.port, HERE + files + f"access_log={str(folder / 'access.log')!r}, " + extra)
    mark = folder / "thinking"
    return written.replace("config =", f"MARK = {str(mark)!r}\n{BY_KEY}\nconfig =", 1), cert, mark


@pytest.fixture(scope="module")
def upstream():
    with recording_upstream() as running:
        yield running


@pytest.fixture(params=PROGRAMS)
def logged(request, upstream, tmp_path):
    upstream.forget()
    text, cert, mark = text_of(upstream, tmp_path)
    with serving(tmp_path, text, request.param) as osp:
        yield Logged(osp, tmp_path / "access.log", upstream, cert.client_context(["h2"]), mark)


def reset(connection):
    """Close as a killed client does."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.close()


def get(logged, key="key", **more):
    return signed(logged.port, "GET", f"/demo/{key}", **more)


# The ways in which a request can end. Each sends one request and says what its line must hold.


def answered(logged):
    assert ask(logged.port, get(logged).octets).status == 200
    return {
        "http_status": 200,
        "verdict": "allowed",
        "complete": True,
        "bytes_sent": 14,
        "operation": "REST.GET.OBJECT",
    }


def refused_on_its_head(logged):
    request = signed(logged.port, "PUT", "/demo/denied", LARGE).plus("Expect", "100-continue")
    with talk(logged.port) as client:
        client.send(request.head)
        assert client.read_answer().status == 403
    return {"http_status": 403, "error_code": "AccessDenied", "verdict": "refused", "reason_class": "authorization"}


def refused_with_its_body_on_the_way(logged):
    request = signed(logged.port, "PUT", "/demo/denied", LARGE)
    assert ask(logged.port, request.octets).status == 403
    return {"http_status": 403, "verdict": "refused", "complete": True}


def broken_off_for_a_wrong_body(logged):
    request = signed(logged.port, "PUT", "/demo/key", LARGE).but(body=b"b" * len(LARGE))
    assert ask(logged.port, request.octets).code == "XAmzContentSHA256Mismatch"
    return {"http_status": 400, "error_code": "XAmzContentSHA256Mismatch", "bytes_received": len(LARGE)}


def chunks_that_are_none(logged):
    headers = (("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", "5"))
    mode = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    request = signed(logged.port, "PUT", "/demo/key", headers=headers, payload_hash=mode)
    request = request.without("content-length").plus("Transfer-Encoding", "chunked")
    with talk(logged.port) as client:
        client.send(request.head + b"no chunk size\r\n")
        assert client.read_answer().status == 400
    return {"http_status": 400, "verdict": "refused"}


def given_up_in_the_middle_of_its_body(logged):
    with talk(logged.port) as client:
        client.send(signed(logged.port, "PUT", "/demo/key", LARGE).head + LARGE[:100_000])
        logged.store.wait_for_request("/demo/key")
        reset(client)
    return {"http_status": None, "complete": False, "verdict": "allowed", "operation_name": "PutObject"}


def given_up_in_the_middle_of_its_answer(logged):
    with talk(logged.port) as client:
        client.send(get(logged, "stalls").octets)
        client._until(b"first")
        reset(client)
    return {"http_status": 200, "complete": False, "bytes_sent": 5}


def given_up_while_it_is_decided(logged):
    with talk(logged.port) as client:
        client.send(get(logged, "thinking").octets)
        while not logged.mark.exists():
            time.sleep(0.01)
        reset(client)
    return {"http_status": None, "complete": False, "operation_name": "GetObject"}


def cut_off_by_the_backend(logged):
    with talk(logged.port) as client:
        client.send(get(logged, "cut").octets)
        client._until(b"first")
        assert client.closed_by_peer()
    return {"http_status": 200, "complete": False, "bytes_sent": 5}


def never_answered_by_the_backend(logged):
    assert ask(logged.port, get(logged, "closes-at-once").octets).status == 503
    return {"http_status": 503, "error_code": "ServiceUnavailable", "reason_class": "backend"}


def an_error_of_the_backends(logged):
    assert ask(logged.port, get(logged, "answers-503").octets).code == "SlowDown"
    return {"http_status": 503, "error_code": "SlowDown", "verdict": "allowed", "request_id": "STORE"}


def the_gateways_own_answer(logged):
    assert ask(logged.port, signed(logged.port, "GET", "/").octets).status == 200
    return {"http_status": 200, "operation": "REST.GET.SERVICE", "upstream": "answered here", "bucket": None}


def a_head_that_is_none(logged):
    assert ask(logged.port, b"GET /demo/key\r\n\r\n").status == 400
    return {"http_status": 400, "request_uri": None, "verdict": "refused", "error_code": "InvalidRequest"}


def a_head_that_is_too_long(logged):
    assert ask(logged.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n").status == 400
    return {"http_status": 400, "error_code": "RequestHeaderSectionTooLarge", "reason_class": "limits"}


def not_signed(logged):
    assert ask(logged.port, b"GET /demo/key HTTP/1.1\r\nHost: h\r\n\r\n").status == 403
    return {"error_code": "AccessDenied", "reason_class": "identity", "authentication_type": None}


def a_url(logged):
    assert ask(logged.port, presigned(logged.port, "GET", "/demo/key").octets).status == 200
    return {"authentication_type": "QueryString", "signature_version": "SigV4", "requester": CLIENT_KEY}


def a_batch_that_is_denied(logged):
    body = b"<Delete><Object><Key>denied</Key></Object></Delete>"
    assert ask(logged.port, signed(logged.port, "POST", "/demo?delete", body).octets).status == 200
    return {"operation": "REST.POST.MULTI_OBJECT_DELETE", "verdict": "refused", "bytes_received": len(body)}


def over_http2(logged):
    with http2(logged.port, logged.context) as client:
        assert client.ask(get(logged, scheme="https")).status == 200
    return {"http_status": 200, "tls_version": "TLSv1.3", "request_uri": "GET /demo/key HTTP/2.0"}


def refused_over_http2(logged):
    with http2(logged.port, logged.context) as client:
        assert client.ask(signed(logged.port, "PUT", "/demo/denied", LARGE, scheme="https")).status == 403
    return {"http_status": 403, "verdict": "refused"}


def reset_over_http2(logged):
    with http2(logged.port, logged.context) as client:
        number = client.start(fields(get(logged, "stalls", scheme="https")), end=True)
        while not client.streams[number].body:
            client._receive()
        client.h2.reset_stream(number)
        client._flush()
        logged.lines(1)
    return {"http_status": 200, "complete": False, "bytes_sent": 5}


def cut_off_by_the_backend_over_http2(logged):
    with http2(logged.port, logged.context) as client:
        assert client.ask(get(logged, "cut", scheme="https")) is not None
        logged.lines(1)
    return {"http_status": 200, "complete": False}


def a_head_over_http2_that_is_none(logged):
    with http2(logged.port, logged.context) as client:
        assert client.ask(get(logged, scheme="https"), extra=[("x-a", "a" * 70_000)]).status == 400
    return {"http_status": 400, "request_uri": None, "verdict": "refused"}


ENDS = [
    answered,
    refused_on_its_head,
    refused_with_its_body_on_the_way,
    broken_off_for_a_wrong_body,
    chunks_that_are_none,
    given_up_in_the_middle_of_its_body,
    given_up_in_the_middle_of_its_answer,
    given_up_while_it_is_decided,
    cut_off_by_the_backend,
    never_answered_by_the_backend,
    an_error_of_the_backends,
    the_gateways_own_answer,
    a_head_that_is_none,
    a_head_that_is_too_long,
    not_signed,
    a_url,
    a_batch_that_is_denied,
    over_http2,
    refused_over_http2,
    reset_over_http2,
    cut_off_by_the_backend_over_http2,
    a_head_over_http2_that_is_none,
]


@pytest.fixture(scope="module", params=PROGRAMS)
def shared_gateway(request, upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    text, cert, mark = text_of(upstream, folder)
    with serving(folder, text, request.param) as osp:
        yield Logged(osp, folder / "access.log", upstream, cert.client_context(["h2"]), mark)


@pytest.mark.parametrize("end", ENDS)
def test_a_request_has_one_line_however_it_ends(shared_gateway, end):
    logged = shared_gateway
    logged.store.forget()
    logged.mark.unlink(missing_ok=True)
    logged.log.write_bytes(b"")
    expected = end(logged)
    line = logged.the_line()
    assert {name: line[name] for name in expected} == expected


def test_requests_on_one_connection_have_a_line_each(logged):
    with talk(logged.port) as client:
        client.send(b"".join(get(logged, f"key{number}").octets for number in range(20)))
        for _ in range(20):
            assert client.read_answer().status == 200
    assert [line["key"] for line in logged.lines(20)] == [f"key{number}" for number in range(20)]


def test_lines_and_counts_agree(logged):
    for end in (answered, refused_on_its_head, a_head_that_is_none, cut_off_by_the_backend, not_signed):
        end(logged)
    lines = logged.lines(5)
    found = after(logged.osp.admin_port, 5)
    assert len(lines) == found.value("osp_requests_total") == 5
    written = scrape_when(
        logged.osp.admin_port, lambda now: now.value("osp_access_log_lines_total", result="written") >= 5
    )
    assert written.value("osp_access_log_lines_total", result="written") == 5
    assert found.value("osp_requests_broken_off_total") == sum(not line["complete"] for line in lines) == 1


def test_what_is_under_way_at_the_end_has_its_line(upstream, tmp_path):
    text, _, _ = text_of(upstream, tmp_path, "shutdown_grace=0,")
    with serving(tmp_path, text) as osp, talk(osp.port) as client:
        client.send(signed(osp.port, "GET", "/demo/stalls").octets)
        client._until(b"first")
        osp.signal()
        assert osp.status() == 0
    (line,) = log_lines(tmp_path / "access.log", 1)
    assert (line["complete"], line["http_status"], line["key"]) == (False, 200, "stalls")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_is_given_up_while_a_backend_is_silent_has_its_line(upstream, tmp_path, method):
    """The backend takes the connection, and says nothing in the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        written = configuration(upstream.port, HERE + f"access_log={str(tmp_path / 'access.log')!r},")
        with serving(
            tmp_path,
            written.replace("is_tls_enabled=False", f"is_tls_enabled=port == {port}").replace(
                "cos_map={", f"cos_map={{'silent': bucket({port}), "
            ),
        ) as osp:
            with talk(osp.port) as client:
                client.send(signed(osp.port, method, "/silent/key", b"body" if method == "PUT" else b"").octets)
                connection, _ = silent.accept()
                reset(client)
            (line,) = log_lines(tmp_path / "access.log", 1)
            assert scrape(osp.admin_port).value("osp_requests_in_flight") == 0
            connection.close()
    assert (line["complete"], line["http_status"], line["bucket"]) == (False, None, "silent")


def test_a_copy_through_a_real_store_says_what_went_over_the_wire(tmp_path):
    with rclone_server(tmp_path / "store") as store:
        store.make_bucket("demo")
        with serving(tmp_path / "osp", real_text(store, tmp_path)) as osp:
            assert ask(osp.port, signed(osp.port, "PUT", "/demo/a%20key", LARGE).octets).status == 200
            assert ask(osp.port, signed(osp.port, "GET", "/demo/a%20key").octets).body == LARGE
            part = signed(osp.port, "GET", "/demo/a%20key", headers=(("Range", "bytes=0-9"),))
            answer = ask(osp.port, part.octets)
            assert answer.body == LARGE[:10]
            upload, whole, piece = log_lines(tmp_path / "access.log", 3)
    assert (upload["bytes_received"], upload["object_size"], upload["key"]) == (len(LARGE), len(LARGE), "a key")
    assert (whole["bytes_sent"], whole["object_size"], whole["http_status"]) == (len(LARGE), len(LARGE), 200)
    assert (piece["bytes_sent"], piece["object_size"], piece["http_status"]) == (10, len(LARGE), answer.status)
    for line in (upload, whole, piece):
        assert line["cache"] in ("hit", "miss")
        assert 0 <= line["admit_ms"] <= line["total_ms"]
        assert 0 < line["upstream_first_byte_ms"] <= line["total_ms"]
        assert line["upstream"].startswith("127.0.0.1:")


def real_text(store: Store, folder: Path) -> str:
    return f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={store.port}, is_tls_enabled=False,
                           access_key={store.access_key!r}, secret_key={store.secret_key!r})}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True, admin_port=0, {HERE}
    access_log={str(folder / "access.log")!r},
)
"""


# Files that move, fill up, or do not read


def test_a_file_that_was_moved_away_is_left_behind_at_a_hang_up(logged, tmp_path):
    assert ask(logged.port, get(logged, "one").octets).status == 200
    logged.lines(1)
    logged.log.rename(tmp_path / "access.log.1")
    assert ask(logged.port, get(logged, "two").octets).status == 200
    log_lines(tmp_path / "access.log.1", 2)
    logged.osp.reload()
    assert ask(logged.port, get(logged, "three").octets).status == 200
    assert [line["key"] for line in logged.lines(1)] == ["three"]
    assert [line["key"] for line in log_lines(tmp_path / "access.log.1", 2)] == ["one", "two"]


def test_a_hang_up_opens_it_anew_also_where_the_configuration_is_wrong(logged, tmp_path):
    logged.log.rename(tmp_path / "access.log.1")
    logged.osp.reload("nonsense", says="stays what it was")
    assert ask(logged.port, get(logged, "one").octets).status == 200
    assert [line["key"] for line in logged.lines(1)] == ["one"]


def test_it_can_be_turned_off_on_and_elsewhere(upstream, tmp_path):
    text = configuration(upstream.port, HERE)
    files = [tmp_path / "one.log", tmp_path / "two.log"]
    with serving(tmp_path, text) as osp:
        ask(osp.port, signed(osp.port, "GET", "/demo/nowhere").octets)
        for file in files:
            osp.reload(configuration(upstream.port, HERE + f"access_log={str(file)!r},"))
            ask(osp.port, signed(osp.port, "GET", f"/demo/{file.stem}").octets)
        osp.reload(text)
        ask(osp.port, signed(osp.port, "GET", "/demo/nowhere").octets)
        after(osp.admin_port, 4)
        for file in files:
            assert [line["key"] for line in log_lines(file, 1)] == [file.stem]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("target", ["no/such/folder/access.log", "."])
def test_a_file_that_cannot_be_opened_fails_the_start_in_one_line(upstream, tmp_path, program, target):
    file = tmp_path / "server.py"
    file.write_text(configuration(upstream.port, HERE + f"access_log={str(tmp_path / target)!r},"))
    mitmdump = [str(BIN / "mitmdump"), "-s", str(ADDON), "--mode", "reverse:http://s3.invalid@127.0.0.1:0"]
    mitmdump += ["--set", f"osp_config={file}", "--set", f"confdir={tmp_path / 'confdir'}"]
    running = Running([str(BIN / "osp"), "serve", str(file)] if program == "osp" else mitmdump, tmp_path / "log")
    try:
        assert running.process.wait(60) == 1
        assert "access_log: cannot be opened: " in running.output()
        assert "Traceback" not in running.output()
    finally:
        running.stop()


def test_a_file_that_cannot_be_opened_later_changes_nothing(logged, upstream):
    logged.osp.reload(
        configuration(upstream.port, HERE + "access_log='/no/such/folder/log',"), says="stays what it was"
    )
    assert ask(logged.port, get(logged, "one").octets).status == 200
    assert [line["key"] for line in logged.lines(1)] == ["one"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_full_disk_loses_lines_and_nothing_else(upstream, tmp_path, program):
    with serving(tmp_path, configuration(upstream.port, HERE + "access_log='/dev/full',"), program) as osp:
        for _ in range(30):
            assert osp.get().status == 200
        found = scrape_when(osp.admin_port, lambda now: now.value("osp_access_log_lines_total", result="dropped") >= 30)
        assert found.value("osp_access_log_lines_total", result="dropped") == 30
        assert found.value("osp_access_log_lines_total", result="written") == 0
        assert found.value("osp_requests_total", status="200") == 30
        assert osp.output().count("the access log loses lines") == 1


@pytest.mark.parametrize("goes", [True, False])
def test_a_pipe_whose_reader_goes_or_sleeps_loses_lines_and_nothing_else(upstream, tmp_path, goes):
    """A pipe holds 64 KiB; the gateway holds 10,000 lines besides, and serves on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with serving(tmp_path, configuration(upstream.port, HERE + f"access_log={str(pipe)!r},")) as osp:
        assert osp.get().status == 200
        if goes:
            os.close(end)
        with talk(osp.port) as client:
            for _ in range(200):
                client.send(signed(osp.port, "GET", "/demo/key").octets)
                assert client.read_answer().status == 200
        found = after(osp.admin_port, 201)
        assert found.value("osp_requests_total", status="200") == 201
        if goes:
            dropped = scrape_when(
                osp.admin_port, lambda now: now.value("osp_access_log_lines_total", result="dropped") >= 200
            )
            assert dropped.value("osp_access_log_lines_total", result="dropped") >= 200
            assert osp.output().count("the access log loses lines") == 1
        osp.signal()
        assert osp.status() == 0
    if not goes:
        os.close(end)


def test_standard_output_takes_it_while_the_log_goes_elsewhere(upstream, tmp_path):
    text = configuration(upstream.port, HERE + "access_log='-',")
    out = tmp_path / "out"

    def wrap(command):
        return ["/bin/sh", "-c", f'exec "$@" > {out}', "sh", *command]

    with serving(tmp_path, text, wrap=wrap) as osp:
        assert osp.get("one").status == 200
        assert [line["key"] for line in log_lines(out, 1)] == ["one"]
        assert '"key":"one"' not in osp.output()


def test_by_default_there_is_none(upstream, tmp_path):
    with serving(tmp_path, configuration(upstream.port, HERE)) as osp:
        assert osp.get().status == 200
        assert scrape(osp.admin_port).value("osp_access_log_lines_total", result="written") == 0
        assert "request_uri" not in osp.output()


@pytest.mark.parametrize(("written", "told"), [("access_log=5", "access_log: "), ("access_log=''", "access_log: ")])
def test_a_wrong_option_is_told(upstream, tmp_path, written, told):
    file = tmp_path / "server.py"
    file.write_text(configuration(upstream.port, f"{HERE} {written},"))
    running = Running([str(BIN / "osp"), "check", str(file)], tmp_path / "log")
    assert running.process.wait(60) == 1
    running.stop()
    assert told in running.output()


def test_each_line_is_json(logged):
    good_one = get(logged)
    for target in ("/demo/%00%0a%0d%7f%e2%80%a8", "/demo/%22%5c", "/demo/%f0%9f%a6%8a", "/demo/a?versionId=%0a"):
        ask(logged.port, signed(logged.port, "GET", target).octets)
    ask(logged.port, good_one.plus("User-Agent", '"}\\ \xff\x80').octets)
    assert len(logged.lines(5)) == 5
    for line in logged.log.read_bytes().splitlines():
        assert line.isascii()
        json.loads(line)
