"""The option `osp_config` set again while mitmproxy runs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from mitmproxy import exceptions
from mitmproxy.test import taddons

from osp_gateway.mitm.addon import OspAddon
from osp_gateway.mitm.life import Life

TEXT = """
[cos_map.demo]
host = "store.example.test"
access_key = "fake-key"
secret_key = "fake-secret"
[[hmac_keystore]]
access_key = "c"
secret_key = "fake-secret"
buckets = ["*"]
"""


@pytest.fixture(autouse=True)
def _signals_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Life, "start", lambda self: None)


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(TEXT)
    return path


async def test_setting_it_again_reads_the_file_anew(file: Path) -> None:
    addon = OspAddon()
    with taddons.context(addon) as context:
        context.configure(addon, osp_config=str(file))
        addon.running()
        first = addon._gateway
        write(file, TEXT.replace("demo", "other"))
        context.configure(addon, osp_config=str(file))
        assert addon._gateway is not first
        assert addon._settings is not None
        assert [route.pattern for route in addon._settings.routes] == ["other"]


@pytest.mark.parametrize("same", [True, False])
async def test_a_wrong_file_leaves_everything_as_it_was_and_is_told_in_one_line(
    file: Path, tmp_path: Path, same: bool, caplog: pytest.LogCaptureFixture
) -> None:
    addon = OspAddon()
    wrong = file if same else tmp_path / "wrong.toml"
    with taddons.context(addon) as context:
        context.configure(addon, osp_config=str(file))
        addon.running()
        gateway = addon._gateway
        write(wrong, "threads = 0\n" + TEXT)
        with caplog.at_level(logging.ERROR), pytest.raises(exceptions.OptionsError):
            context.options.update(osp_config=str(wrong))
        assert len(caplog.records) == 1
        assert addon._gateway is gateway
        assert context.options.osp_config == str(file)
        write(file, TEXT.replace("demo", "other"))
        context.options.update(osp_config=str(file))
        assert addon._gateway is not gateway
