"""What a person sees, and what is kept in flow files: every verdict, and no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mitmproxy.io import FlowReader

from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET
from support.raw_s3 import presigned_target, send, send_signed
from support.recorder import recorded_gateway
from support.s3 import client

VALIDATOR = """
def validator(token, bucket, request):
    if request.key.startswith("raises/"):
        raise RuntimeError("the operator's code is broken")
    return not request.key.startswith("denied/")
"""


@dataclass
class Session:
    """What a gateway that has ended left behind."""

    flows: dict[str, list[Any]]
    flow_file: bytes
    log: str
    backend_port: int
    backend_signatures: list[str]

    def comment(self, name: str, number: int = 0) -> str:
        return self.flows[name][number].comment


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Session:
    """Requests of several kinds, then the end, then the flows by the last segment of their path."""
    options = {"termlog_verbosity": "debug", "flow_detail": "4"}
    with recorded_gateway(tmp_path_factory.mktemp("flows"), VALIDATOR, options=options) as recorded:
        url, s3 = recorded.url, recorded.s3
        s3.put_object(Bucket="demo", Key="folder/put", Body=b"a body")
        for _ in range(2):
            s3.get_object(Bucket="renamed", Key="twice")
        s3.head_object(Bucket="virtual", Key="virtual")
        send("GET", url, presigned_target("GET", url, "/demo/presigned"))
        send_signed("GET", url, "/demo/line%0Abreak")
        send_signed("GET", url, "/demo/%E6%BC%A2")
        for key in ("denied/denied", "raises/raises"):
            with pytest.raises(ClientError):
                s3.get_object(Bucket="demo", Key=key)
        with pytest.raises(ClientError):
            client(url, secret="wrong-fake-secret").get_object(Bucket="demo", Key="wrong")
        with pytest.raises(ClientError):
            client(url, key="unknown-fake-key").get_object(Bucket="demo", Key="unknown")
        send("GET", url, "/demo/unsigned")
        send_signed("GET", url, "/nowhere/nowhere")
        s3.list_buckets()
        recorded.gateway.running.stop()
        signatures = [r["authorization"].rpartition("Signature=")[2] for r in recorded.recorder.requests]
        flows: dict[str, list[Any]] = {}
        with recorded.gateway.flow_file.open("rb") as file:
            for flow in FlowReader(file).stream():
                path = flow.request.path.partition("?")[0]
                flows.setdefault(path.rpartition("/")[2] or "root", []).append(flow)
        content = recorded.gateway.flow_file.read_bytes()
        yield Session(flows, content, recorded.gateway.output(), recorded.recorder.port, signatures)


ALLOWED = ["put", "twice", "virtual", "presigned", "line%0Abreak", "%E6%BC%A2", "root"]
REFUSED = ["denied", "raises", "wrong", "unknown", "unsigned", "nowhere"]


@pytest.mark.parametrize("name", [*ALLOWED, *REFUSED])
def test_every_request_is_in_the_flow_file_with_its_answer(session, name):
    assert all(flow.response is not None and flow.error is None for flow in session.flows[name])


@pytest.mark.parametrize("name", [*ALLOWED, *REFUSED])
def test_every_flow_has_a_comment_of_one_printable_line(session, name):
    for flow in session.flows[name]:
        assert flow.comment
        assert flow.comment.isprintable()


@pytest.mark.parametrize(
    ("name", "who", "what"),
    [
        ("put", CLIENT_KEY, "PutObject demo/folder/put"),
        ("twice", CLIENT_KEY, "GetObject renamed/twice"),
        ("virtual", CLIENT_KEY, "HeadObject virtual/virtual"),
        ("presigned", CLIENT_KEY, "GetObject demo/presigned"),
        ("%E6%BC%A2", CLIENT_KEY, "GetObject demo/漢"),
        ("root", CLIENT_KEY, "ListBuckets /"),
        ("denied", CLIENT_KEY, "GetObject demo/denied/denied"),
        ("nowhere", CLIENT_KEY, "GetObject nowhere/nowhere"),
        ("unknown", "unknown-fake-key", "demo/unknown"),
        ("wrong", CLIENT_KEY, "demo/wrong"),
    ],
)
def test_a_comment_tells_who_and_what(session, name, who, what):
    comment = session.comment(name)
    assert comment.startswith(f"{who} ")
    assert what in comment


@pytest.mark.parametrize("name", ALLOWED)
def test_a_comment_tells_that_a_request_was_allowed(session, name):
    assert "allowed" in session.comment(name)
    assert "REFUSED" not in session.comment(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("denied", "denied by validator"),
        ("raises", "validator raised RuntimeError"),
        ("wrong", "signature"),
        ("unknown", "access key"),
        ("unsigned", "not signed"),
        ("nowhere", "bucket does not exist"),
    ],
)
def test_a_comment_tells_that_a_request_was_refused_and_why(session, name, why):
    assert "REFUSED" in session.comment(name)
    assert why.lower() in session.comment(name).lower()


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_flow_is_marked(session, name):
    assert all(flow.marked for flow in session.flows[name])


@pytest.mark.parametrize("name", ALLOWED)
def test_an_allowed_flow_is_not_marked(session, name):
    assert not any(flow.marked for flow in session.flows[name])


def test_a_comment_tells_whether_the_answer_was_remembered(session):
    words = [session.comment("twice", number).replace("not from cache", "asked") for number in (0, 1)]
    assert ["cache" in comment for comment in words] == [False, True]


@pytest.mark.parametrize(
    ("name", "where"),
    [("put", "127.0.0.1:{} (demo)"), ("twice", "127.0.0.1:{} (backend-name)"), ("virtual", "virtual.s3.localhost:{}")],
)
def test_a_comment_tells_where_a_request_went(session, name, where):
    assert where.format(session.backend_port) in session.comment(name)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_went_nowhere(session, name):
    assert str(session.backend_port) not in session.comment(name)


@pytest.mark.parametrize("name", [*ALLOWED, *REFUSED])
def test_a_comment_tells_how_long_the_gateway_took(session, name):
    number = session.comment(name).rpartition(" us")[0].split()[-1]
    assert number.isdecimal()


def test_a_flow_shows_the_request_as_the_client_sent_it(session):
    flow = session.flows["put"][0]
    assert flow.request.content == b"a body"
    assert f"Credential={CLIENT_KEY}/" in flow.request.headers["authorization"]


@pytest.mark.parametrize("secret", [CLIENT_SECRET, BACKEND_SECRET, "wrong-fake-secret"])
def test_no_secret_is_in_the_flow_file(session, secret):
    assert secret.encode() not in session.flow_file


@pytest.mark.parametrize("secret", [CLIENT_SECRET, BACKEND_SECRET, "wrong-fake-secret"])
def test_no_secret_is_in_the_log(session, secret):
    assert secret not in session.log


def test_nothing_of_the_backends_credentials_is_in_the_flow_file_or_the_log(session):
    assert len(session.backend_signatures) >= 6
    for credential in (BACKEND_KEY, *session.backend_signatures):
        assert credential.encode() not in session.flow_file
        assert credential not in session.log


def test_no_metadata_is_left_with_a_flow_that_could_hold_a_secret(session):
    for flow in (flow for flows in session.flows.values() for flow in flows):
        assert not any(secret in repr(flow.metadata) for secret in (CLIENT_SECRET, BACKEND_SECRET))
