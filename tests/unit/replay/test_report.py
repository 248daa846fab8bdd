"""Reports for people, for CI and for programs."""

from __future__ import annotations

import json

import pytest
from defusedxml.ElementTree import fromstring

from osp_gateway.replay import report
from osp_gateway.replay.compare import Difference
from osp_gateway.replay.run import Outcome
from support.exchanges_made import exchange, request

HOSTILE = "\x1b[2J\x00<&>\u202e"
OUTCOMES = [
    Outcome(1, exchange()),
    Outcome(2, exchange(), (Difference("status", "200", "404"), Difference("header etag", HOSTILE, "b"))),
    Outcome(3, exchange("PostObject"), skipped="not sent"),
    Outcome(4, exchange("PutObject", request("PUT", f"a{HOSTILE}b")), (Difference("body", "1", "2"),)),
]


def test_a_person_reads_what_differs_and_how_many():
    lines = list(report.lines(OUTCOMES))
    assert lines[:2] == ["#2 GetObject demo/key", "    status: expected 200, found 404"]
    assert len(lines) == 5
    assert report.summary(OUTCOMES) == "1 of 4 exchanges as recorded, 2 with differences, 1 left out"
    assert report.summary(OUTCOMES[:1]) == "1 of 1 exchanges as recorded, 0 with differences"


def test_nothing_reaches_the_terminal_that_it_would_obey():
    assert all(line.isprintable() for line in report.lines(OUTCOMES))


def test_ci_servers_read_a_case_for_each_exchange():
    suite = fromstring(report.as_junit(OUTCOMES, f"session{HOSTILE}.osp"))
    assert suite.tag == "testsuite"
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4",
        "failures": "2",
        "skipped": "1",
        "errors": "0",
    }
    cases = list(suite)
    assert [case.get("name") for case in cases][:2] == ["#1 GetObject demo/key", "#2 GetObject demo/key"]
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["skipped"], ["failure"]]
    assert cases[1][0].get("message") == "status: expected 200, found 404"
    assert "header etag" in cases[1][0].text
    assert len({case.get("name") for case in cases}) == 4


def test_programs_read_everything():
    found = json.loads(report.as_json(OUTCOMES))
    assert {name: found[name] for name in ("exchanges", "same", "different", "skipped")} == {
        "exchanges": 4,
        "same": 1,
        "different": 2,
        "skipped": 1,
    }
    assert found["differences"][0] == {
        "number": 2,
        "operation": "GetObject",
        "bucket": "demo",
        "key": "key",
        "identity": "client-fake-key",
        "found": [
            {"where": "status", "expected": "200", "found": "404"},
            {"where": "header etag", "expected": HOSTILE, "found": "b"},
        ],
    }


@pytest.mark.parametrize("outcomes", [[], OUTCOMES[:1]])
def test_a_run_without_differences_has_no_failures(outcomes):
    assert fromstring(report.as_junit(outcomes, "x")).get("failures") == "0"
    assert json.loads(report.as_json(outcomes))["differences"] == []
    assert list(report.lines(outcomes)) == []
