"""`osp stats`, asking a running gateway."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from support.processes import BIN, START_SECONDS
from support.raw import ask
from support.scrape import after
from support.serving import HERE, Gate, configuration, serving
from support.signing import signed
from support.upstream import recording_upstream, response


@pytest.fixture(scope="module")
def store():
    with recording_upstream(Gate()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def osp(store, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("stats"), configuration(store.port, HERE)) as running:
        for _ in range(3):
            assert running.get().status == 200
        assert ask(running.port, signed(running.port, "GET", "/nowhere/key").octets).status == 404
        after(running.admin_port, 4)
        yield running


def stats(*arguments, env=None):
    return subprocess.run(
        [str(BIN / "osp"), "stats", *arguments],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
        env={**os.environ, "COLUMNS": "80", **(env or {})},
    )


def at(port):
    return ("--admin", f"127.0.0.1:{port}")


def test_one_page(osp):
    shown = stats(*at(osp.admin_port))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"^GetObject +demo +3 +3 +0 +0 +0$", shown.stdout, re.MULTILINE)
    assert re.search(r"^GetObject +other +1 +0 +1 +0 +1$", shown.stdout, re.MULTILINE)
    assert "\x1b" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_by_the_configuration(osp, tmp_path):
    file = tmp_path / "server.py"
    file.write_text(osp.file.read_text().replace("admin_port=0", f"admin_port={osp.admin_port}"))
    assert "GetObject" in stats(str(file)).stdout


def test_for_programs(osp):
    document = json.loads(stats(*at(osp.admin_port), "--json").stdout)
    series = document["metrics"]["osp_requests_total"]
    assert sum(one["value"] for one in series) == 4
    assert {one["labels"]["bucket"] for one in series} == {"demo", "other"}


MINDS_SIGINT = [
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
]
"""Before a command: where tests run in the background, programs are started with SIGINT ignored."""


def test_watching_a_terminal_redraws_in_colour_until_interrupted(osp):
    parent, child = pty.openpty()
    command = [str(BIN / "osp"), "stats", *at(osp.admin_port), "--watch", "0.2"]
    running = subprocess.Popen(
        [*MINDS_SIGINT, *command], stdin=child, stdout=child, stderr=child, start_new_session=True
    )
    os.close(child)
    try:
        shown = b""
        while shown.count(b"\x1b[2J") < 3:
            shown += os.read(parent, 65536)
        assert b"\x1b[1m" in shown
        assert b"/s)" in shown
        running.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # its end: until then a terminal takes what is written to it
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline:
                os.read(parent, 65536)
        assert running.wait(START_SECONDS) == 0
    finally:
        running.kill()
        running.wait()
        os.close(parent)


def test_nothing_answers():
    shown = stats("--admin", "127.0.0.1:9")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "127.0.0.1:9: nothing answers there: Connection refused\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (response(404, b"no"), "status 404"),
        (response(200, b"<html>"), "does not speak of metrics"),
        (response(200, b"up 1\n"), "no gateway of this kind"),
        (b"no HTTP\r\n\r\n", "nothing answers there"),
    ],
)
def test_something_else_answers(answer, told):
    def handler(upstream, peer, seen):
        peer.send(answer)
        return False

    with recording_upstream(handler) as other:
        shown = stats(*at(other.port))
    assert shown.returncode == 1
    assert told in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--admin", "localhost"),
        ("--admin", "localhost:http"),
        ("--admin", ":1"),
        ("--admin", "h:70000"),
        ("--admin", "[::1"),
        ("--admin", "[::1:9180"),
        ("--admin", "h/x:1"),
        ("--admin", f"h:{'1' * 5000}"),
        ("no-such-file.py",),
        (__file__, "--admin", "h:1"),
    ],
)
def test_wrong_usage(arguments):
    shown = stats(*arguments)
    assert shown.returncode == 2
    assert "Error: " in shown.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("admin_port=0, ", ""), "admin_port: missing"),
        (("nothing", "nothing"), "0 lets the kernel choose"),
        (("admin_port=0", "admin_port='x'"), "admin_port: expected"),
    ],
)
def test_a_configuration_that_names_no_port(store, tmp_path, change, told):
    file = tmp_path / "server.py"
    file.write_text(configuration(store.port, HERE).replace(*change))
    shown = stats(str(file))
    assert shown.returncode == 1
    assert told in shown.stderr


def test_its_help_has_examples():
    shown = stats("--help")
    assert "osp stats my_server.py --watch 2" in shown.stdout
