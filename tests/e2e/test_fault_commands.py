"""Faults at run time, from a command line; and faults of a store that is not even there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from mitmproxy.test import taddons

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.faults import FaultsAddon
from support.faults import rules_file
from support.mitmweb import CommandFailed, Web, mitmweb
from support.processes import config_for, gateway
from support.replays import error_of, recording, through
from support.s3 import client

COMMANDS = {"osp.faults.add", "osp.faults.clear", "osp.faults.load", "osp.faults.show"}


@pytest.fixture(scope="module")
def web(store, tmp_path_factory) -> Iterator[Web]:
    with mitmweb(tmp_path_factory.mktemp("web"), config_for(store)) as running:
        client(store.url, store.access_key, store.secret_key).put_object(Bucket="demo", Key="broken", Body=b"whole")
        yield running


@pytest.fixture(autouse=True)
def none_before(web) -> None:
    web.command("osp.faults.clear")


def get(web: Web) -> str:
    """What is got, or the error's code."""
    try:
        return client(web.gateway.url).get_object(Bucket="demo", Key="broken")["Body"].read().decode()
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_every_command_has_a_help_text_and_types() -> None:
    desk: Any = type("Desk", (), {})()
    with taddons.context(FaultsAddon(desk)) as context:
        commands = context.master.commands.commands
        assert {name for name in commands if name.startswith("osp.")} == COMMANDS
        for name in COMMANDS:
            assert commands[name].help
            assert "..." not in commands[name].signature_help()
    assert Desk.clock_offset is not None


def test_a_fault_is_added_shown_and_cleared(web) -> None:
    assert get(web) == "whole"
    shown = web.command(
        "osp.faults.add", "type=error", "code=AccessDenied", "operations=GetObject,HeadObject", "nth=1,3"
    )
    assert shown == "type=error operations=GetObject,HeadObject nth=1,3 code=AccessDenied"
    assert web.command("osp.faults.show") == shown
    assert [get(web) for _ in range(4)] == ["AccessDenied", "whole", "AccessDenied", "whole"]
    web.command("osp.faults.clear")
    assert web.command("osp.faults.show") == "There are no faults."
    assert get(web) == "whole"


def test_commas_make_lists_unless_they_are_quoted(web) -> None:
    shown = web.command("osp.faults.add", "type=error", "code=AccessDenied", 'message="not now, later"', "keys=a,b")
    assert shown == "type=error keys=a,b code=AccessDenied message=not now, later"


def test_names_that_look_like_numbers_or_dates_are_names(web) -> None:
    shown = web.command("osp.faults.add", "type=error", "code=AccessDenied", "buckets=2026", "keys=2026-01-01,b")
    assert shown == "type=error buckets=2026 keys=2026-01-01,b code=AccessDenied"


def test_one_too_many_is_said_and_changes_nothing(web, tmp_path) -> None:
    rules = {f"none-{number}": {"type": "wrong_etag"} for number in range(999)}
    web.command(
        "osp.faults.load",
        str(rules_file(tmp_path, {"all": {"type": "error", "code": "NoSuchKey", "keys": "*"}} | rules)),
    )
    with pytest.raises(CommandFailed, match=r"^osp\.faults\.add: expected 1000 faults at most, these would be 1001"):
        web.command("osp.faults.add", "type=wrong_etag")
    assert get(web) == "NoSuchKey"


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 5000])
def test_a_file_that_nobody_can_read_is_said_to_be_so(web, tmp_path, text) -> None:
    (tmp_path / "faults.toml").write_text(text)
    with pytest.raises(CommandFailed, match=r"^osp\.faults\.load: .*too (many|deeply)"):
        web.command("osp.faults.load", str(tmp_path / "faults.toml"))


def test_another_one_comes_after_those_that_are_there(web) -> None:
    web.command("osp.faults.add", "type=latency", "latency=1", "name=slow down")
    web.command("osp.faults.add", "type=error", "code=NoSuchKey")
    assert [line.split()[0] for line in web.command("osp.faults.show").splitlines()] == ["type=latency", "type=error"]
    assert get(web) == "NoSuchKey"
    comment = web.flows()[-1]["comment"]
    assert "fault slow down: 1 ms of latency" in comment
    assert "REFUSED: fault faults[1]: 404 NoSuchKey" in comment


def test_a_file_takes_the_place_of_what_is_there(web, tmp_path) -> None:
    web.command("osp.faults.add", "type=error", "code=NoSuchKey")
    rules = {"one": {"type": "error", "code": "AccessDenied", "keys": "*"}}
    web.command("osp.faults.load", str(rules_file(tmp_path, rules)))
    assert get(web) == "AccessDenied"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["type=latency"], "latency: missing, expected a value"),
        (["type=latency", "latency=-1"], "latency: Input should be greater than or equal to 0, got '-1'"),
        (["latency"], "expected name=value, got 'latency'"),
        (["type=toxic"], "type: expected one of bandwidth, clock_skew"),
        ([], "type: expected one of bandwidth, clock_skew"),
        (
            ["type=stall", "bytes=" + "9" * 5000],
            "bytes: Unable to parse input string as an integer, exceeded maximum size",
        ),
        (["type=latency", "latency=1", "tail=0.001"], "tail: Input should be greater than"),
    ],
)
def test_a_mistake_is_said_and_changes_nothing(web, words, said) -> None:
    web.command("osp.faults.add", "type=error", "code=AccessDenied")
    with pytest.raises(CommandFailed, match=r"^osp\.faults\.add: ") as caught:
        web.command("osp.faults.add", *words)
    assert said in str(caught.value)
    assert get(web) == "AccessDenied"


def test_a_file_that_is_not_there_is_said_to_be_so(web, tmp_path) -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        web.command("osp.faults.load", str(tmp_path / "nothing.toml"))


def test_nobody_lets_pass_what_was_broken_on_purpose(web) -> None:
    web.command("osp.faults.add", "type=error", "code=AccessDenied")
    assert get(web) == "AccessDenied"
    with pytest.raises(CommandFailed, match="broken on purpose"):
        web.command("osp.allow.once", f"@{web.flows()[-1]['id']}")


# Offline


def test_a_recording_can_be_broken_as_well(store, tmp_path) -> None:
    body = b"0123456789" * 2000
    with recording(tmp_path / "recorded", store) as running:
        s3 = through(running)
        s3.put_object(Bucket="demo", Key="offline-faults/a", Body=body)
        for _ in range(3):
            s3.get_object(Bucket="demo", Key="offline-faults/a")["Body"].read()
    rules = {
        "once": {"type": "error", "code": "NoSuchKey", "nth": 1, "operations": "GetObject", "keys": "*"},
        "short": {"type": "limit_data", "bytes": 100, "nth": 2, "operations": "GetObject", "keys": "*"},
        "etag": {"type": "wrong_etag", "operations": "PutObject", "keys": "*"},
    }
    options = {
        "server_replay": str(tmp_path / "recorded" / "session.osp"),
        "server_replay_extra": "404",
        "osp_faults": str(rules_file(tmp_path, rules)),
    }
    with gateway(tmp_path / "offline", config_for(store), options=options) as running:
        s3 = client(running.url, response_checksum_validation="when_required")
        etag = s3.put_object(Bucket="demo", Key="offline-faults/a", Body=body)["ETag"]
        assert error_of(s3.get_object, Bucket="demo", Key="offline-faults/a") == "NoSuchKey"
        found = s3.get_object(Bucket="demo", Key="offline-faults/a")
        assert found["ETag"] != etag
        assert found["Body"].read(100) == body[:100]
        with pytest.raises(ResponseStreamingError):
            found["Body"].read()
        assert s3.get_object(Bucket="demo", Key="offline-faults/a")["Body"].read() == body
