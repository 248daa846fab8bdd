"""`osp replay` and `osp record`: what is a mistake of use, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from defusedxml.ElementTree import fromstring

from osp_gateway import cli
from osp_gateway.mitm.recording import Recorder
from osp_gateway.replay.run import Replay
from support.flows_recorded import flow_answered, write, written

NOWHERE = "http://127.0.0.1:1"
KEYS = {"AWS_ACCESS_KEY_ID": "fake-key", "AWS_SECRET_ACCESS_KEY": "fake-secret"}


@pytest.fixture
def file(tmp_path) -> Path:
    """A recording of two exchanges: what alice signed, and what nobody has."""
    path = tmp_path / "session.osp"
    recorder = Recorder(path)
    write(
        recorder, headers=(("authorization", "AWS4-HMAC-SHA256 Credential=alice/20260101/us-east-1/s3/aws4_request"),)
    )
    write(recorder)
    recorder.close()
    return path


def osp(*arguments: object, **env: str) -> Result:
    return CliRunner().invoke(cli.main, list(map(str, arguments)), env={**KEYS, **env})


def replay(file: Path, *arguments: object, **env: str) -> Result:
    return osp("replay", file, "--against", NOWHERE, *arguments, **env)


def test_no_answer_is_a_difference(file):
    done = replay(file)
    assert done.exit_code == 1
    assert done.stdout.count("answer: expected 200, found none") == 2


def test_nothing_is_coloured_where_nobody_wants_that(file):
    def shown(**env: str) -> str:
        command = ["replay", str(file), "--against", NOWHERE]
        return CliRunner().invoke(cli.main, command, env={**KEYS, **env}, color=True).output

    assert "\x1b[31m" in shown(NO_COLOR="")
    assert "\x1b" not in shown(NO_COLOR="1")


@pytest.mark.parametrize("option", ["--junit", "--json"])
def test_a_report_that_cannot_be_written_is_told_before_anything_is_sent(file, tmp_path, option, monkeypatch):
    monkeypatch.setattr(Replay, "run", lambda *_, **__: pytest.fail("sent"))
    for place in (tmp_path, tmp_path / "missing" / "report"):
        done = replay(file, option, place)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"osp replay: {option} {place}: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["--junit", "--json"])
def test_a_report_that_could_not_be_written_is_told_after_the_differences(file, option):
    done = replay(file, option, "/dev/full")
    assert done.exit_code == 2
    assert "0 of 2 exchanges as recorded, 2 with differences" in done.stdout
    assert f"osp replay: {option} /dev/full: No space left on device" in done.stderr


def test_where_nothing_is_compared_nothing_is_green(file, tmp_path):
    rules = tmp_path / "tolerances.toml"
    rules.write_text("[[ignore]]\nskip = true")
    done = replay(file, "--tolerances", rules)
    assert done.exit_code == 2
    assert "all exchanges were left out: nothing was compared" in done.stderr


def test_an_identity_for_which_nobody_signs_is_told(file, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text("[p]\naws_access_key_id=fake-key\naws_secret_access_key=fake-secret\n")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    done = replay(file, "--as", "bob=p", **env)
    assert done.exit_code == 2
    assert "--as: nobody signs for alice: expected IDENTITY=PROFILE for each, or PROFILE for all others" in done.stderr
    for profiles in (("--as", "alice=p"), ("--as", "p"), ("--as", "bob=p", "--as", "p")):
        assert replay(file, *profiles, **env).exit_code == 1


def test_what_nobody_has_signed_needs_no_keys(tmp_path):
    file = tmp_path / "anonymous.osp"
    recorder = Recorder(file)
    write(recorder)
    recorder.close()
    nothing = dict.fromkeys(KEYS, "") | {"AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    assert replay(file, **nothing).exit_code == 1


@pytest.mark.parametrize(
    ("option", "needed"),
    [
        (("--junit", "x.xml"), "--against URL"),
        (("--compare", NOWHERE), "--against URL"),
        (("--as", "p"), "--against URL"),
        (("--tolerances", "t.toml"), "--against URL"),
        (("--concurrent",), "--against URL"),
    ],
)
def test_an_option_that_would_do_nothing_is_a_mistake(file, option, needed):
    done = osp("replay", file, "--serve", *option)
    assert done.exit_code == 2
    assert f"{option[0]}: expected {needed}, too" in done.stderr
    assert "--port: expected --serve, too" in replay(file, "--port", "9000").stderr


def test_a_recording_that_is_cut_off_is_told_and_its_beginning_can_be_sent(file):
    cut = file.with_name("cut.osp")
    cut.write_bytes(file.read_bytes()[:-50])
    done = replay(cut)
    assert done.exit_code == 2
    assert "cut off or damaged behind 1 flows" in done.stderr
    assert "--partial sends what is whole" in done.stderr
    done = replay(cut, "--partial", "--json", "-")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["exchanges"] == 1
    assert "cut off or damaged behind 1 flows" in done.stderr


def test_who_interrupts_gets_a_report_of_what_was_done(file, tmp_path, monkeypatch):
    def interrupted(self, exchanges, *, told, **_):
        told(self._again(1, exchanges[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr(Replay, "run", interrupted)
    done = replay(file, "--junit", tmp_path / "report.xml")
    assert done.exit_code == 130
    assert "0 of 1 exchanges as recorded, 1 with differences" in done.stdout
    assert "interrupted: 1 exchanges not compared" in done.stderr
    assert fromstring((tmp_path / "report.xml").read_bytes()).get("tests") == "1"


def test_flows_that_are_none_of_s3s_are_counted(tmp_path):
    foreign = flow_answered()
    foreign.request.method = "PROPFIND"
    file = written(tmp_path / "flows", foreign)
    done = replay(file)
    assert done.exit_code == 2
    assert "no S3 requests with answers in it" in done.stderr


GOOD = """
http_port = 0
[cos_map.demo]
host = "localhost"
access_key = "fake-key"
secret_key = "fake-secret"
[[hmac_keystore]]
access_key = "alice"
secret_key = "fake-secret"
buckets = ["*"]
"""


def test_the_configuration_is_not_recorded_over(tmp_path):
    config = tmp_path / "server.toml"
    config.write_text(GOOD)
    done = osp("record", config, "--output", config)
    assert done.exit_code == 2
    assert "that is the configuration" in done.stderr
    assert config.read_text() == GOOD


def test_a_place_that_cannot_be_recorded_into_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("osp_gateway.mitm.serve.log_to_stderr", lambda: None)  # for the process, not for one call
    config = tmp_path / "server.toml"
    config.write_text(GOOD)
    done = osp("record", config, "--output", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: osp_record: {tmp_path}: ")
