"""A session of deltalake's, whose commits are conditional requests, is recorded and sent again."""

from __future__ import annotations

import pytest

from osp_gateway.mitm.rereading import read_recording
from support.processes import BACKEND_KEY, BACKEND_SECRET
from support.replays import keys, recording, replay
from support.sessions import Place, deltalake

pytest.importorskip("deltalake")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize("more", [(), ("--concurrent",)], ids=["in-order", "concurrent"])
def test_a_table_that_grows_is_green_before_gateway_and_store_twice_in_a_row(store, osp, tmp_path, more):
    with recording(tmp_path, store) as running:
        deltalake(Place(running.url), tmp_path)
    exchanges = list(read_recording(tmp_path / "session.osp").exchanges)
    assert any(exchange.request.header("if-none-match") for exchange in exchanges)
    for url, env in 2 * [(osp.url, keys()), (store.url, keys(BACKEND_KEY, BACKEND_SECRET))]:
        done = replay(tmp_path / "session.osp", url, *more, env=env)
        assert done.is_green(len(exchanges)), done.said
