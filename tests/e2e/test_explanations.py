"""A refused signature is explained: in the log, on the flow, and to the client only where the operator wants that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from mitmproxy.contentviews import Metadata
from mitmproxy.io import FlowReader

from osp_gateway.mitm.views import ExplanationView
from support.processes import CLIENT_SECRET, config_for, gateway
from support.raw import Answer, ask
from support.signing import signed


@dataclass
class Session:
    """What was answered, and what a gateway that has ended left behind."""

    explains: bool
    answers: dict[str, Answer]
    flows: list[Any]
    flow_file: bytes
    log: str


@pytest.fixture(scope="module", params=[False, True], ids=["silent", "explaining"])
def session(request, store, tmp_path_factory) -> Session:
    answers = {}
    config = config_for(store, extra=f"explain_errors={request.param}")
    with gateway(tmp_path_factory.mktemp("explained"), config) as front:
        port = front.ports[0]
        moved = signed(port, "GET", "/demo/moved", host=f"bucket.example.test:{port}")
        moved = moved.without("host").plus("Host", "bucket.example.test")
        answers["moved"] = ask(port, moved.octets)
        answers["wrong"] = ask(port, signed(port, "GET", "/demo/wrong", secret="wrong-fake-secret").octets)
        answers["right"] = ask(port, signed(port, "GET", "/demo/no-such-key").octets)
        log = front.output()
    log = front.output() or log
    with front.flow_file.open("rb") as file:
        flows = list(FlowReader(file).stream())
    return Session(request.param, answers, flows, front.flow_file.read_bytes(), log)


def test_the_client_is_told_only_where_the_operator_wants_it(session):
    answer = session.answers["moved"]
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert (b"<StringToSign>AWS4-HMAC-SHA256" in answer.body) == session.explains
    assert (b"<CanonicalRequest>GET\n/demo/moved\n" in answer.body) == session.explains
    assert bool(re.search(rb"<Hint>host-port-[^<]+", answer.body)) == session.explains


def test_the_flow_tells_the_cause_in_its_comment_and_more_in_its_view(session):
    (flow,) = [flow for flow in session.flows if flow.request.path == "/demo/moved"]
    assert "host-port-" in flow.comment
    view, metadata = ExplanationView(), Metadata(flow=flow, http_message=flow.response)
    assert view.render_priority(flow.response.content, metadata) > 10  # before XML's own
    assert view.render_priority(b"", Metadata(flow=flow, http_message=flow.request)) < 0
    shown = view.prettify(flow.response.content, metadata)
    assert "host-port-" in shown
    assert "as received" in shown


def test_the_log_tells_the_cause_in_one_line(session):
    assert len(re.findall(r"host-port-", session.log)) >= 1


def test_a_wrong_secret_is_explained_as_nothing_else(session):
    assert session.answers["wrong"].code == "SignatureDoesNotMatch"
    (flow,) = [flow for flow in session.flows if flow.request.path == "/demo/wrong"]
    assert "no known cause fits" in flow.comment


def test_a_right_signature_needs_no_explanation(session):
    assert session.answers["right"].status == 404
    (flow,) = [flow for flow in session.flows if flow.request.path == "/demo/no-such-key"]
    assert "osp_explanation" not in flow.metadata


def test_no_secret_is_told(session):
    for told in (session.flow_file, session.log.encode(), *(answer.body for answer in session.answers.values())):
        assert CLIENT_SECRET.encode() not in told


def test_however_many_wrong_signatures_come_all_are_refused_and_right_ones_are_served(osp):
    port = osp.ports[0]
    for number in range(60):
        assert ask(port, signed(port, "GET", f"/demo/{number}", secret="wrong-fake-secret").octets).status == 403
    assert ask(port, signed(port, "GET", "/demo/no-such-key").octets).status == 404
