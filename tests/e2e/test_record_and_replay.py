"""A session with a real client is recorded, and sent again: to the gateway, to the store, and to one that has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from support.processes import BACKEND_KEY, BACKEND_SECRET, GatewayProcess, Store
from support.replays import everyday, keys, recording, replay, through

BACKEND = keys(BACKEND_KEY, BACKEND_SECRET)


@dataclass(frozen=True)
class Session:
    """A recording, and what the client saw."""

    file: Path
    seen: list
    exchanges: int


@pytest.fixture(scope="module")
def session(store, tmp_path_factory) -> Session:
    """boto3's everyday calls, recorded by mitmdump."""
    folder = tmp_path_factory.mktemp("everyday")
    with recording(folder, store, osp_record_body="1024") as running:
        seen = everyday(through(running), "recorded/")
    from osp_gateway.mitm.recording import read_recording

    return Session(folder / "session.osp", seen, len(list(read_recording(folder / "session.osp"))))


@pytest.mark.parametrize("more", [(), ("--concurrent",)], ids=["in-order", "concurrent"])
def test_a_session_of_boto3_is_the_same_twice_in_a_row(session: Session, osp: GatewayProcess, store: Store, more):
    assert session.exchanges == 40
    for url, env in 2 * [(osp.url, keys()), (store.url, BACKEND)]:
        done = replay(session.file, url, *more, env=env)
        assert done.is_green(session.exchanges), done.said
