"""Faults on purpose: what a client and a store get to see of each, octet by octet, and what a person does."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.contentviews import Metadata
from mitmproxy.io import FlowReader

from osp_gateway.mitm.view_request import S3RequestView
from support import forms
from support.aws_chunked import HMAC
from support.certificates import Certificate, certificate
from support.chunked_requests import Upload
from support.faults import rules_file
from support.http2 import fields, http2
from support.processes import CLIENT_KEY, CLIENT_SECRET, GatewayProcess, Store, config_for, gateway
from support.raw import Answer, Talk, ask, talk
from support.signing import Raw, now, signed
from support.upstream import Peer, Seen, Upstream, recording_upstream, response

BODY = bytes(range(256)) * 400
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'
AT = 1000
HOUR = 3600

FAULTS: dict[str, dict[str, Any]] = {
    "slow-down": {"type": "error", "code": "SlowDown", "retry_after": 3},
    "internal": {"type": "error", "code": "InternalError"},
    "expired": {"type": "error", "code": "ExpiredToken", "status": 403, "message": "The token is too old & <gone>."},
    "own": {"type": "error", "code": "MadeUp", "status": 499},
    "second": {"type": "error", "code": "SlowDown", "nth": 2},
    "puts": {"type": "error", "code": "SlowDown", "operations": ["Put*", "UploadPart"]},
    "others": {"type": "error", "code": "SlowDown", "identities": "somebody-else"},
    "late": {"type": "latency", "latency": 50},
    "late-error": {"type": "latency", "latency": 50, "jitter": 10},
    "slow": {"type": "bandwidth", "rate": 2000},
    "slow-up": {"type": "bandwidth", "rate": 2000, "stream": "upstream"},
    "sliced": {"type": "slicer", "average_size": 999, "size_variation": 500, "delay": 10},
    "sliced-up": {"type": "slicer", "average_size": 999, "stream": "upstream"},
    "closes-late": {"type": "slow_close", "delay": 20},
    "timeout": {"type": "timeout", "timeout": 20},
    "timeout-up": {"type": "timeout", "timeout": 20, "stream": "upstream"},
    "reset": {"type": "reset_peer"},
    "reset-later": {"type": "reset_peer", "bytes": AT, "timeout": 20},
    "reset-up": {"type": "reset_peer", "bytes": AT, "stream": "upstream"},
    "limit": {"type": "limit_data", "bytes": AT},
    "limit-none": {"type": "limit_data", "bytes": 0},
    "limit-not-reached": {"type": "limit_data", "bytes": len(BODY)},
    "limit-up": {"type": "limit_data", "bytes": AT, "stream": "upstream"},
    "stall": {"type": "stall", "bytes": AT, "timeout": 20},
    "stall-up": {"type": "stall", "bytes": AT, "timeout": 20, "stream": "upstream"},
    "corrupt": {"type": "corrupt", "at": AT},
    "corrupt-up": {"type": "corrupt", "at": AT, "stream": "upstream"},
    "corrupt-up-large": {"type": "corrupt", "at": AT, "stream": "upstream"},
    "corrupt-up-none": {"type": "corrupt", "at": AT, "stream": "upstream"},
    "etag": {"type": "wrong_etag"},
    "lost": {"type": "lost_part"},
    "duplicate": {"type": "duplicate_part", "times": 1},
    "ahead": {"type": "clock_skew", "offset": HOUR},
    "throttled": {"type": "throttle", "rate": 0.0001, "burst": 2},
    "buckets": {"type": "error", "code": "SlowDown", "operations": "ListBuckets", "keys": "*"},
    "forms": {"type": "error", "code": "SlowDown", "operations": "PostObject"},
    "forms-cut": {"type": "limit_data", "bytes": AT, "stream": "upstream"},
    "batches": {"type": "error", "code": "InternalError", "operations": "DeleteObjects", "keys": "*"},
    "moved": {"type": "redirect", "region": "eu-west-1"},
    "moved-307": {"type": "redirect", "region": "eu-west-1", "status": 307},
}
ENDS = ["timeout", "timeout-up", "reset"]
CUTS = ["limit", "stall", "reset-later"]
CUTS_UP = ["limit-up", "stall-up", "reset-up"]


def behaves(_upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    """A store that has one object everywhere."""
    if not peer.read_body(seen):
        return False
    peer.send(response(200, BODY if seen.method == "GET" else b"", etag=ETAG))
    return True


@dataclass
class Front:
    gateway: GatewayProcess
    store: Upstream
    cert: Certificate

    @property
    def port(self) -> int:
        return self.gateway.ports[0]

    def request(self, method: str, name: str, body: bytes = b"", query: str = "", **options: Any) -> Raw:
        return signed(self.port, method, f"/demo/{name}/object{query}", body, **options)

    def ask(self, method: str, name: str, body: bytes = b"", query: str = "", **options: Any) -> Answer:
        return ask(self.port, self.request(method, name, body, query, **options).octets)

    def seen(self, name: str) -> list[Seen]:
        """What has come to the store."""
        return [seen for seen in self.store.requests if f"/{name}/" in seen.target]


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("faults")
    cert = certificate(folder / "cert", "localhost")
    rules = {**FAULTS, "late-error-too": {"type": "error", "code": "SlowDown", "keys": "late-error/*"}}
    with recording_upstream(behaves) as store:
        config = config_for(
            Store(store.port, folder), extra=f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},"
        )
        with gateway(folder, config, options={"osp_faults": str(rules_file(folder, rules))}) as running:
            yield Front(running, store, cert)


def received(connection: Talk) -> tuple[bytes, bool]:
    """All that comes, and whether the connection was reset at its end."""
    octets = b""
    try:
        while data := connection.socket.recv(65536):
            octets += data
    except ConnectionResetError:
        return octets, True
    return octets, False


def body_of(octets: bytes) -> bytes:
    return octets.partition(b"\r\n\r\n")[2]


# Errors


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("slow-down", 503, "SlowDown"),
        ("internal", 500, "InternalError"),
        ("expired", 403, "ExpiredToken"),
        ("own", 499, "MadeUp"),
        ("late-error", 503, "SlowDown"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_an_error_is_the_stores_own_and_the_store_is_not_asked(front, method, name, status, code):
    body = BODY if method == "PUT" else b""
    with talk(front.port) as client:
        client.send(front.request(method, name, body).octets)
        answer = client.read_answer(method)
    assert (answer.status, answer.code) == (status, "" if method == "HEAD" else code)
    assert "x-amz-request-id" in answer.headers
    assert answer.headers.get("retry-after") == ("3" if name == "slow-down" else None)
    assert front.seen(name) == []


def test_its_message_is_the_rules(front):
    assert b"<Message>The token is too old &amp; &lt;gone&gt;.</Message>" in front.ask("GET", "expired").body


def test_only_the_nth(front):
    assert [front.ask("GET", "second").status for _ in range(4)] == [200, 503, 200, 200]


def test_only_these_operations(front):
    assert front.ask("GET", "puts").status == 200
    assert front.ask("PUT", "puts", b"x").status == 503
    assert front.ask("PUT", "puts", b"x", "?partNumber=1&uploadId=u").status == 503


def test_only_these_identities(front):
    assert front.ask("GET", "others").status == 200


def test_what_the_gateway_itself_would_have_answered_too(front):
    assert ask(front.port, signed(front.port, "GET", "/").octets).code == "SlowDown"


def test_a_batch_deletes_nothing(front):
    body = b"<Delete><Object><Key>batches/a</Key></Object></Delete>"
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    request = signed(front.port, "POST", "/demo?delete", body, (("Content-MD5", md5),))
    assert ask(front.port, request.octets).code == "InternalError"
    assert not [seen for seen in front.store.requests if seen.method == "POST" and "delete" in seen.target]


def test_a_form_once_it_is_known_what_it_is_about(front):
    posted = {}
    for name in ("forms", "forms-cut", "no-rule"):
        fields = forms.boto3_fields(f"{name}/object", pair=forms.KeyPair(CLIENT_KEY, CLIENT_SECRET))
        body = forms.form_body(fields, BODY)
        headers = (
            "Host: h",
            f"Content-Type: {forms.CONTENT_TYPE}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        head = "\r\n".join(("POST /demo HTTP/1.1", *headers, "", ""))
        with talk(front.port) as client:
            client.send(head.encode() + body)
            posted[name], _ = received(client)
    assert b"<Code>SlowDown</Code>" in posted["forms"]
    assert posted["forms-cut"] == b""
    assert posted["no-rule"].startswith(b"HTTP/1.1 200")
    seen = [seen for seen in front.store.requests if seen.method == "POST"]
    assert [len(one.body) for one in seen if not one.complete] == [AT]
    assert [one.complete for one in seen].count(True) == 1


# Pace


@pytest.mark.parametrize("name", ["late", "slow", "slow-up", "sliced", "sliced-up", "closes-late", "limit-not-reached"])
def test_what_is_only_slow_arrives_whole_in_both_directions(front, name):
    assert front.ask("PUT", name, BODY).status == 200
    assert front.seen(name)[-1].body == BODY
    answer = front.ask("GET", name)
    assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize("name", ["late", "slow", "sliced"])
def test_a_connection_goes_on_after_that(front, name):
    with talk(front.port) as client:
        for _ in range(3):
            client.send(front.request("GET", name).octets)
            assert client.read_answer().body == BODY


def test_a_connection_that_closes_late_has_its_answer_before(front):
    with talk(front.port) as client:
        client.send(front.request("GET", "closes-late").octets)
        answer = client.read_answer()
        assert answer.body == BODY
        assert answer.headers["connection"] == "close"
        assert client.closed_by_peer()


def test_requests_at_once_on_one_http2_connection_keep_their_own_pace(front):
    with http2(front.port, front.cert.client_context(["h2"])) as client:
        numbers = [client.start(*head_of(front, name)) for name in ("slow", "late", "sliced", "good", "slow-down")]
        answers = [client.answer(number) for number in numbers]
        assert [answer.status for answer in answers] == [200, 200, 200, 200, 503]
        assert [answer.body for answer in answers[:4]] == 4 * [BODY]


def head_of(front: Front, name: str) -> tuple[list[tuple[str, str]], bool]:
    return fields(front.request("GET", name)), True


# Ends


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_nothing_at_all_is_answered(front, method, name):
    with talk(front.port) as client:
        client.send(front.request(method, name, BODY if method == "PUT" else b"").octets)
        assert received(client) == (b"", name == "reset")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_does_not_get_through_upstream_never_reaches_the_store(front, method):
    with talk(front.port) as client:
        client.send(front.request(method, "timeout-up", BODY if method == "PUT" else b"").octets)
        assert received(client) == (b"", False)
    assert front.seen("timeout-up") == []


@pytest.mark.parametrize("name", CUTS)
def test_a_body_is_cut_off_where_the_rule_says_although_its_head_promised_all_of_it(front, name):
    with talk(front.port) as client:
        client.send(front.request("GET", name).octets)
        octets, reset = received(client)
    assert b"Content-Length: %d\r\n" % len(BODY) in octets
    assert body_of(octets) == BODY[:AT]
    assert reset is (name == "reset-later")


def test_even_before_its_first_octet(front):
    with talk(front.port) as client:
        client.send(front.request("GET", "limit-none").octets)
        octets, _ = received(client)
    assert octets.startswith(b"HTTP/1.1 200")
    assert body_of(octets) == b""


@pytest.mark.parametrize("name", CUTS_UP)
def test_an_upload_is_cut_off_and_the_store_never_has_the_whole_of_it(front, name):
    with talk(front.port) as client:
        client.send(front.request("PUT", name, BODY).octets)
        octets, reset = received(client)
    assert octets == b""
    assert reset is (name == "reset-up")
    seen = front.store.wait_for_request(f"/{name}/")
    assert seen.closed.wait(60)
    assert not seen.complete
    assert bytes(seen.body) == BODY[:AT]


@pytest.mark.parametrize("name", [*CUTS, "limit-up", "stall-up", "timeout", "timeout-up"])
def test_over_http2_only_the_stream_ends(front, name):
    put = name.endswith("-up")
    with http2(front.port, front.cert.client_context(["h2"])) as client:
        answer = client.ask(front.request("PUT" if put else "GET", name, BODY if put else b""))
        if name == "reset-later":
            assert client.closed
        else:
            assert client.streams[1].reset
            assert client.ask(front.request("GET", "good")).body == BODY
    if name in CUTS and name != "reset-later":
        assert (answer.status, answer.body) == (200, BODY[:AT])


# What is in it


def test_one_octet_of_a_body_is_another(front):
    answer = front.ask("GET", "corrupt")
    assert answer.headers["etag"] == ETAG
    assert [at for at, octet in enumerate(answer.body) if octet != BODY[at]] == [AT]
    assert len(answer.body) == len(BODY)


def test_one_octet_of_an_upload_is_another_behind_the_gateways_checks(front):
    assert front.ask("PUT", "corrupt-up", BODY).status == 200
    (seen,) = front.seen("corrupt-up")
    assert [at for at, octet in enumerate(seen.body) if octet != BODY[at]] == [AT]
    assert seen.header("x-amz-content-sha256") == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_wrong_etag_is_of_the_same_form(front, method):
    with talk(front.port) as client:
        client.send(front.request(method, "etag", BODY if method == "PUT" else b"").octets)
        etag = client.read_answer(method).headers["etag"]
    assert etag != ETAG
    assert len(etag) == len(ETAG)
    assert set(etag) <= set('0123456789abcdef"')


def parts(front: Front, name: str) -> list[Seen]:
    return [seen for seen in front.seen(name) if "partNumber" in seen.target]


def test_a_lost_part_is_said_to_be_stored(front):
    answer = front.ask("PUT", "lost", BODY, "?partNumber=1&uploadId=u")
    assert (answer.status, answer.headers["etag"], answer.body) == (200, ETAG, b"")
    assert parts(front, "lost") == []


def test_so_is_one_that_comes_in_signed_chunks(front):
    request = Upload(HMAC, BODY).request(front.port, "/demo/lost/object?partNumber=2&uploadId=u")
    answer = ask(front.port, request.octets)
    assert (answer.status, answer.headers["etag"]) == (200, ETAG)
    assert parts(front, "lost") == []


def test_but_not_if_its_body_is_wrong(front):
    request = front.request("PUT", "lost", BODY, "?partNumber=1&uploadId=u")
    answer = ask(front.port, request.but(body=b"x" + BODY[1:]).octets)
    assert answer.code == "XAmzContentSHA256Mismatch"


def test_what_is_no_part_cannot_be_lost(front):
    assert front.ask("PUT", "lost", BODY).status == 200
    assert [bytes(seen.body) for seen in front.seen("lost")] == [BODY]


def test_a_duplicate_part_is_stored_and_its_client_told_that_it_is_not(front):
    query = "?partNumber=1&uploadId=u"
    first = front.ask("PUT", "duplicate", BODY, query)
    assert (first.status, first.code) == (500, "InternalError")
    assert front.ask("PUT", "duplicate", BODY, query).status == 200
    assert [(seen.complete, bytes(seen.body)) for seen in front.seen("duplicate")] == 2 * [(True, BODY)]


# Clocks, rates, regions


def test_a_wrong_clock_refuses_the_right_time_and_tells_its_own(front):
    before = len(front.seen("ahead"))
    answer = front.ask("GET", "ahead")
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    told = parsedate_to_datetime(answer.headers["date"])
    assert abs((told - now(HOUR)).total_seconds()) < 300
    assert len(front.seen("ahead")) == before


def test_a_client_that_corrects_its_clock_gets_through(front):
    answer = front.ask("GET", "ahead", at=now(HOUR))
    assert (answer.status, answer.body) == (200, BODY)
    assert abs((parsedate_to_datetime(answer.headers["date"]) - now(HOUR)).total_seconds()) < 300


def test_the_clock_is_right_for_everybody_else(front):
    assert front.ask("GET", "good", at=now(HOUR)).code == "RequestTimeTooSkewed"
    assert front.ask("GET", "good").status == 200


def test_throttling(front):
    assert [front.ask("GET", "throttled").code for _ in range(4)] == ["", "", "SlowDown", "SlowDown"]


@pytest.mark.parametrize(
    ("name", "status", "code"), [("moved", 301, "PermanentRedirect"), ("moved-307", 307, "TemporaryRedirect")]
)
def test_who_signs_for_another_region_is_told_the_right_one(front, name, status, code):
    answer = front.ask("GET", name)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["x-amz-bucket-region"] == "eu-west-1"
    assert "location" not in answer.headers
    assert front.ask("GET", name, region="eu-west-1").status == 200


# What people see


@pytest.fixture(scope="module")
def flows(tmp_path_factory) -> dict[str, Any]:
    """The flows of some broken requests, from the flow file."""
    folder = tmp_path_factory.mktemp("seen")
    names = ["slow-down", "late", "limit", "timeout", "ahead", "etag", "good"]
    large = bytes(3 * 2**20)
    with recording_upstream(behaves) as store:
        options = {"osp_faults": str(rules_file(folder, FAULTS))}
        with gateway(folder, config_for(Store(store.port, folder)), options=options) as running:
            for name in names:
                with talk(running.ports[0]) as client:
                    client.send(signed(running.ports[0], "GET", f"/demo/{name}/object").octets)
                    received(client) if name in ("limit", "timeout") else client.read_answer()
            for name, body in (("corrupt-up", BODY), ("corrupt-up-large", large)):
                upload = Upload(HMAC, body).request(running.ports[0], f"/demo/{name}/object")
                assert ask(running.ports[0], upload.octets).status == 200
            assert (
                ask(running.ports[0], signed(running.ports[0], "GET", "/demo/corrupt-up-none/object").octets).status
                == 200
            )
    assert "mitmproxy has crashed" not in running.output()
    with running.flow_file.open("rb") as file:
        found = {flow.request.path.split("/")[2]: flow for flow in FlowReader(file).stream()}
    assert sorted(found) == sorted([*names, "corrupt-up", "corrupt-up-large", "corrupt-up-none"])
    return found


@pytest.mark.parametrize(
    ("name", "type_", "text"),
    [
        ("slow-down", "error", "503 SlowDown"),
        ("late", "latency", "50 ms of latency"),
        ("limit", "limit_data", "cut off after 1000 octets downstream"),
        ("timeout", "timeout", "nothing passes downstream"),
        ("ahead", "clock_skew", "the clock is off by +3600 s"),
        ("etag", "wrong_etag", "the ETag is another"),
        ("corrupt-up", "corrupt", "octet 1000 is corrupted upstream"),
        (
            "corrupt-up-large",
            "corrupt",
            "octet 1000 is corrupted upstream; the store cannot tell: no hash or checksum goes with it",
        ),
    ],
)
def test_each_fault_is_visible_on_its_flow(flows, name, type_, text):
    flow = flows[name]
    assert flow.metadata["osp_faults"] == [{"rule": name, "type": type_, "text": text}]
    assert flow.comment.count(f"fault {name}: {text}") == 1
    assert flow.marked == ":boom:"


@pytest.mark.parametrize("name", ["good", "corrupt-up-none"])
def test_and_nothing_on_the_others(flows, name):
    assert "osp_faults" not in flows[name].metadata
    assert "fault" not in flows[name].comment
    assert flows[name].marked == ""


def test_the_view_of_a_request_says_so(flows):
    flow = flows["late"]
    text = S3RequestView().prettify(b"", Metadata(flow=flow, http_message=flow.request))
    assert "FAULT    50 ms of latency (rule late)" in text


# Files that cannot be used


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[faults]]\ntype = "latency"\nlatency = "long"', "faults[0].latency: Input should be a valid number"),
        ('[[faults]]\ntype = "toxic"', "faults[0].type: expected one of bandwidth"),
        ("[[faults]", "not TOML"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_with_mistakes_ends_the_start(tmp_path: Path, text, said):
    file = tmp_path / "broken.toml"
    if text is not None:
        file.write_text(text)
    config = config_for(Store(1, tmp_path))
    with pytest.raises(AssertionError) as caught, gateway(tmp_path / "g", config, options={"osp_faults": str(file)}):
        pass
    assert f"osp_faults: {file}: " in str(caught.value)
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)
