"""The addon that records: when a file is begun, and when it goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import ctx, exceptions, http
from mitmproxy.test import taddons

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.recorder import RecorderAddon
from osp_gateway.mitm.rereading import read_recording
from osp_gateway.outcomes import ALLOWED, DENIED, NOT_ASKED, Reply, Verdict
from osp_gateway.replay.tape import Tape
from osp_gateway.s3.head import RequestHead
from support.flows_recorded import flow_answered, verdict


def _nobody_refuses(*_: Any) -> Any:
    raise AssertionError("nothing is refused here")


class Bench:
    """The addon with a desk of its own."""

    def __init__(self, context: taddons.context, addon: RecorderAddon, desk: Desk) -> None:
        self.context, self.addon, self.desk = context, addon, desk

    def options(self, **values: Any) -> None:
        self.context.configure(self.addon, **values)

    def serve(self, decided: Verdict | None = None, status: int = 200, *, by_store: bool = False) -> http.HTTPFlow:
        flow = flow_answered(status)
        self.desk.outcomes[flow] = Reply(decided or verdict(), status, (), b"")
        self.desk.tapes[flow] = Tape(RequestHead("GET", "/demo/key", "", ()))
        if by_store:
            self.desk.adapted.add(flow)
        self.addon.response(flow)
        return flow


@pytest.fixture
def bench() -> Iterator[Bench]:
    desk = Desk(refuse=_nobody_refuses)
    addon = RecorderAddon(desk)
    with taddons.context(addon) as context:
        yield Bench(context, addon, desk)
        addon.done()


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "session.osp"


def test_another_limit_goes_on_with_the_recording(bench, file):
    bench.options(osp_record=str(file))
    bench.serve()
    bench.options(osp_record_body=2048)
    bench.serve()
    assert len(read_recording(file).exchanges) == 2


def test_the_same_script_read_anew_goes_on_with_the_recording(bench, file):
    bench.options(osp_record=str(file))
    bench.serve()
    bench.addon.done()
    bench.addon.configure(set(ctx.options.keys()))
    bench.serve()
    assert len(read_recording(file).exchanges) == 2
    assert bench.addon.written == 2


def test_where_it_goes_on_what_stands_for_a_customers_key_stands_for_it_still(bench, file):
    bench.options(osp_record=str(file))
    pair = ("x-amz-server-side-encryption-customer-key", "ZmFrZQ==")
    assert bench.addon._recorder is not None
    before = bench.addon._recorder.sanitizer.of_request([pair])
    bench.serve()
    bench.addon.done()
    bench.addon.configure(set(ctx.options.keys()))
    assert bench.addon._recorder.sanitizer.of_request([pair]) == before
    bench.options(osp_record="")
    bench.options(osp_record=str(file))
    assert bench.addon._recorder.sanitizer.of_request([pair]) != before


def test_the_file_that_mitmproxy_saves_its_flows_in_is_another_one(bench, file):
    bench.context.options.add_option("save_stream_file", str, "", "")
    bench.context.options.save_stream_file = f"+{file}"
    with pytest.raises(exceptions.OptionsError, match="mitmproxy itself saves its flows there"):
        bench.options(osp_record=str(file))


def test_a_recording_that_was_ended_begins_anew(bench, file):
    for _ in range(2):
        bench.options(osp_record=str(file))
        bench.serve()
        bench.options(osp_record="")
    assert len(read_recording(file).exchanges) == 1


def test_another_file_is_another_recording(bench, file):
    bench.options(osp_record=str(file))
    bench.serve()
    other = file.with_name("other.osp")
    bench.options(osp_record=str(other))
    bench.serve()
    bench.serve()
    assert [len(read_recording(one).exchanges) for one in (file, other)] == [1, 2]


def test_a_change_that_is_refused_goes_on_with_the_recording(bench, file, tmp_path):
    bench.options(osp_record=str(file))
    bench.serve()
    with pytest.raises(exceptions.OptionsError):
        bench.options(osp_record=str(tmp_path / "missing" / "session.osp"))
    bench.options(osp_record=str(file))
    bench.serve()
    assert len(read_recording(file).exchanges) == 2


@pytest.mark.parametrize("other", ["", "other.osp"])
async def test_a_change_that_another_addon_refuses_goes_on_with_the_recording(bench, file, tmp_path, other):
    bench.options(osp_record=str(file))
    bench.serve()
    bench.options(osp_record=str(tmp_path / other) if other else "")
    bench.options(osp_record=str(file))  # as mitmproxy does it, before anything else happens
    bench.serve()
    assert len(read_recording(file).exchanges) == 2
    assert not other or not (tmp_path / other).exists()


async def test_what_somebody_sets_again_later_begins_anew(bench, file):
    bench.options(osp_record=str(file))
    bench.serve()
    bench.options(osp_record="")
    await asyncio.sleep(0)
    bench.options(osp_record=str(file))
    bench.serve()
    assert len(read_recording(file).exchanges) == 1


@pytest.mark.parametrize("place", ["", "missing/session.osp"])
def test_a_file_that_cannot_be_recorded_into_is_an_error_of_the_option(bench, tmp_path, place):
    with pytest.raises(exceptions.OptionsError, match="osp_record: "):
        bench.options(osp_record=str(tmp_path / place))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_recording_and_nothing_else(bench, caplog):
    bench.options(osp_record="/dev/full")
    with caplog.at_level(logging.ERROR):
        bench.serve()
        flow = bench.serve()
    assert [record.getMessage() for record in caplog.records if record.name.endswith("recorder")] == [
        "osp_record: No space left on device; the recording ends here, with 0 exchanges in it"
    ]
    assert bench.addon.failed
    assert flow not in bench.desk.tapes


def test_a_mistake_of_the_recorder_is_told_and_ends_nothing(bench, file, caplog, monkeypatch):
    bench.options(osp_record=str(file))
    monkeypatch.setattr("osp_gateway.mitm.recording._recorded", _nobody_refuses)
    bench.serve()
    assert "an exchange could not be recorded" in caplog.text
    monkeypatch.undo()
    bench.serve()
    assert len(read_recording(file).exchanges) == 1


@pytest.mark.parametrize(
    ("authorizer", "status", "by_store", "recorded"),
    [
        (NOT_ASKED, 403, False, 0),
        (ALLOWED, 400, False, 0),
        (DENIED, 403, False, 1),
        (ALLOWED, 403, True, 1),
        (ALLOWED, 204, True, 1),
    ],
    ids=["policy", "too-large", "denied", "by-the-store", "good"],
)
def test_a_form_that_its_own_policy_did_not_allow_is_not_recorded(bench, file, authorizer, status, by_store, recorded):
    bench.options(osp_record=str(file))
    decided = replace(verdict("PostObject"), authorizer=authorizer)
    bench.serve(decided, status, by_store=by_store)
    bench.serve()
    assert len(read_recording(file).exchanges) == 1 + recorded


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_gone_at_the_end_is_told(bench, file, caplog, replaced):
    bench.options(osp_record=str(file))
    bench.serve()
    file.unlink()
    if replaced:
        file.write_bytes(b"precious")
    bench.options(osp_record="")
    assert "the file has been removed or replaced" in caplog.text
    assert bench.addon.failed


def test_a_recording_behind_a_link_is_not_told_to_be_gone(bench, file, caplog):
    file.symlink_to(file.with_name("elsewhere"))
    bench.options(osp_record=str(file))
    bench.serve()
    bench.options(osp_record="")
    assert caplog.text == ""
    assert not bench.addon.failed
