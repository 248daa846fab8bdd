"""The measure itself: what counts as a regression, and that the table says what was recorded."""

from __future__ import annotations

import json
import runpy
import sys

import pytest

from support.client_steps import NotApplicable, Steps, Target
from support.client_tools import failure
from support.clients import Verdict, gateway_outcome, run_client
from support.processes import REPO

client = Steps("a client")
"""Itself the client of the tests below."""


@client.step
def put(target):
    print("what a client prints is no answer")


@client.step
def get(target):
    raise ValueError(f"{target.url}/{target.bucket}/{target.prefix}: broken") from OSError("the cause")


@client.step
def presigned(target):
    raise NotApplicable("no URLs")


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("OSP_CLIENT_RESULTS", str(tmp_path))
    return tmp_path


class NoStore:
    """A backend that nobody talks to."""

    name, version, gateways = "rclone", "1", {}

    def target(self, way):
        return Target(self.name, way, "http://127.0.0.1:1", "key", "fake-secret", "bucket", "run-1/")

    def clear(self, prefix):
        pass


def test_each_step_is_recorded_with_how_it_went(results):
    result = run_client(client, "1.0", REPO / "tests/clients/test_framework.py", NoStore(), "direct-http")
    assert result["steps"] == {
        "put": {"outcome": "ok", "error": ""},
        "get": {"outcome": "error", "error": "ValueError: http://ENDPOINT/BUCKET/RUN/: broken <- OSError: the cause"},
        "presigned": {"outcome": "not applicable", "error": "no URLs"},
    }
    [file] = results.iterdir()
    assert json.loads(file.read_text()) == result


def test_a_step_that_kills_its_process_does_not_end_the_others(results, tmp_path):
    file = tmp_path / "dying.py"
    file.write_text(
        "import os\n"
        "from support.client_steps import Steps\n"
        "client = Steps('fresh', fresh=True)\n"
        "client.step(lambda target: os.abort())\n"
        "@client.step\n"
        "def get(target):\n"
        "    pass\n"
    )
    result = run_client(Steps("fresh"), "1", file, NoStore(), "direct-http")
    assert [step["outcome"] for step in result["steps"].values()] == ["error", "ok"]


def test_a_client_that_dies_has_failed_in_the_steps_it_did_not_come_to(results):
    dying = Steps("dying", program=lambda _: [sys.executable, "-c", 'print(\'{"step": "put", "outcome": "ok"}\'); 1/0'])
    dying.steps["get"] = get
    steps = run_client(dying, "1", REPO, NoStore(), "direct-http")["steps"]
    assert steps["put"]["outcome"] == "ok"
    assert steps["get"]["outcome"] == "error"
    assert "ZeroDivisionError" in steps["get"]["error"]


def test_a_client_that_hangs_has_failed(results):
    hanging = Steps("hanging", timeout=0.1, program=lambda _: [sys.executable, "-c", "import time; time.sleep(3600)"])
    steps = run_client(hanging, "1", REPO, NoStore(), "direct-http")["steps"]
    assert steps == {"start": {"outcome": "error", "error": "the client came to no end"}}


def test_a_step_that_hangs_does_not_end_the_others_and_says_so_whatever_the_client_makes_of_it(results, tmp_path):
    file = tmp_path / "hanging.py"
    file.write_text(
        "import time\n"
        "from support.client_steps import Steps\n"
        "client = Steps('slow', step_timeout=0.2)\n"
        "@client.step\n"
        "def put(target):\n"
        "    try:\n"
        "        time.sleep(3600)\n"
        "    except OSError:\n"
        "        raise ValueError('something else') from None\n"
        "@client.step\n"
        "def get(target):\n"
        "    pass\n"
    )
    steps = run_client(Steps("slow"), "1", file, NoStore(), "direct-http")["steps"]
    assert "TimeoutError: the step came to no end" in steps["put"]["error"]
    assert steps["get"]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("error", "statuses", "outcome"),
    [
        ("ClientError: NotImplemented", set(), "501"),
        ("Server error 501", set(), "501"),
        ("something that hides the status", {200, 501}, "501"),
        ("is not supported. Please use AWS4-HMAC-SHA256", {400}, "error"),
        (
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            {400},
            "refused",
        ),
        ("AccessDenied", {403}, "error"),
    ],
)
def test_an_error_is_told_from_what_is_not_built_and_from_what_is_refused(error, statuses, outcome):
    assert gateway_outcome(error, statuses) == outcome


def test_what_a_tool_said_of_its_failure_is_found_beside_colours_and_without_the_mirror(tmp_path):
    script = "import sys; sys.stderr.write('\\033[0m'); print('\\033[1mERROR\\033[m: no http://mirror/x'); sys.exit(1)"
    assert failure([sys.executable, "-c", script], tmp_path) == "ERROR: no URL"


def a_result(way, **outcomes):
    steps = {name: {"outcome": outcome, "error": f"{name} broke"} for name, outcome in outcomes.items()}
    return {
        "client": "a client", "version": "1.0", "backend": "rclone", "backend_version": "2", "way": way,
        "steps": steps, "http_versions": ["HTTP/1.1"], "payloads": ["hash"],
    }  # fmt: skip


def test_what_works_direct_and_fails_through_the_gateway_is_a_regression():
    direct = a_result("direct-http", put="ok", get="ok", list="ok", multipart="error", presigned="ok")
    through = a_result("http", put="ok", get="error", list="501", multipart="ok", presigned="refused")
    verdict = Verdict(direct, through)
    assert verdict.regressions == ["get: works direct, but not through the gateway: get broke"]
    assert verdict.gains == ["multipart"]


@pytest.fixture
def make_table():
    return runpy.run_path(str(REPO / "scripts" / "clients_table.py"))


def test_the_table_says_what_was_recorded(results, make_table):
    (results / "1.json").write_text(json.dumps(a_result("http", put="ok", get="501", list="ok", copy="error")))
    (results / "2.json").write_text(json.dumps(a_result("direct-http", put="error", get="ok", list="ok", copy="error")))
    missing = {"client": "another", "version": "", "backend": "rgw", "way": "http", "missing": "no `such`", "steps": {}}
    (results / "3.json").write_text(json.dumps(missing))
    text = make_table["document"](make_table["read"](results))
    assert "| a client | HTTP (HTTP/1.1) | ✗ → ✓ | ✓ → 501 | ✓ → ✓ |  →  |  →  | ✗ → ✗: copy | hash |" in text
    assert "| a client | 1.0 | 2 → 2 of 4 |" in text
    assert "- a client, rclone, HTTP: put\n" in text
    assert "- a client, rclone: copy (direct, HTTP; gateway, HTTP): `copy broke`" in text
    assert "- another: `no 'such'`" in text


def test_the_same_results_make_the_same_table(results, make_table):
    ways = ["tls", "direct-tls", "http", "direct-http"]
    for order in (ways, ways[::-1]):
        for number, way in enumerate(order):
            (results / f"{number}.json").write_text(json.dumps(a_result(way, put="ok", zip="ok", copy="ok")))
        (results / order[0]).write_text(make_table["document"](make_table["read"](results)))
    assert (results / "tls").read_text() == (results / "direct-http").read_text()


FAILED = {"put": {"outcome": "error", "error": "a wrong path"}}
WORKED = {"put": {"outcome": "ok", "error": ""}}


def verdict_of(direct, through, expected=""):
    told = {"backend": "rclone", "way": "http", "expected_nowhere": expected}
    return Verdict({**told, "steps": direct}, {**told, "steps": through})


def test_a_client_that_works_nowhere_is_named_with_what_it_said():
    assert "a wrong path" in verdict_of(FAILED, FAILED).nowhere


def test_a_client_that_works_nowhere_for_a_reason_is_as_expected():
    assert verdict_of(FAILED, FAILED, "the store has no ranges").nowhere == ""


@pytest.mark.parametrize("steps", [(WORKED, FAILED), (FAILED, WORKED), (WORKED, WORKED)])
def test_a_reason_that_no_longer_holds_is_named(steps):
    assert verdict_of(*steps).nowhere == ""
    assert "the store has no ranges" in verdict_of(*steps, "the store has no ranges").nowhere


def test_the_table_names_what_works_nowhere(results, make_table):
    for way in ("direct-http", "http"):
        told = {"client": "a client", "version": "1", "backend": "rclone", "backend_version": "1", "way": way}
        told |= {"steps": FAILED, "http_versions": [], "payloads": [], "expected_nowhere": "the store has no ranges"}
        (results / f"{way}.json").write_text(json.dumps(told))
    assert "- a client, rclone: nothing at all: the store has no ranges" in make_table["document"](
        make_table["read"](results)
    )
