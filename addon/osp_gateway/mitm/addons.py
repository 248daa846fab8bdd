"""The addons that make mitmproxy a gateway, in the order in which they must stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from mitmproxy import ctx
from mitmproxy.master import Master

from osp_gateway.config import Settings
from osp_gateway.mitm.addon import OspAddon
from osp_gateway.mitm.client_replay import ClientReplayAddon
from osp_gateway.mitm.commands import CommandsAddon
from osp_gateway.mitm.faults import FaultsAddon
from osp_gateway.mitm.offline import FORWARD, OfflineAddon
from osp_gateway.mitm.recorder import RecorderAddon
from osp_gateway.replay.library import Library


def gateway_addons(
    settings: Settings | None = None,
    source: Path | None = None,
    *,
    library: Library | None = None,
    extra: str = FORWARD,
    faults: bool = False,
) -> list[Any]:
    """The list.

    Args:
        settings: those of a program; else the option `osp_config` names a file.
        source: the file that `settings` are from.
        library: recorded answers, where mitmproxy's own options for server replay are not there.
        extra: what to do with requests that have no recorded answer: mitmproxy's `server_replay_extra`.
        faults: whether requests can be broken on purpose, also where nobody looks at them.

    Raises:
        ConfigError: the settings' certificate cannot be used.
    """
    gateway = OspAddon(settings, source)
    desk = gateway.desk
    looked_at = settings is None
    addons: list[Any] = [RecorderAddon(desk), gateway, OfflineAddon(desk, library, extra)]
    if faults or looked_at:
        addons.append(FaultsAddon(desk))
    addons.append(ClientReplayAddon(desk))
    return [*addons, CommandsAddon(gateway)] if looked_at else addons


_OF_SCRIPTS: Final[WeakKeyDictionary[Master, list[Any]]] = WeakKeyDictionary()


def script_addons() -> list[Any]:
    """The list for a script of mitmproxy's.

    mitmproxy reads a script anew as soon as the file has another date, as it has after an update. Connections that are
    open then, what is cached and a recording that is under way belong to the addons that there are: they stay.
    """
    master = ctx.master
    if master not in _OF_SCRIPTS:
        _OF_SCRIPTS[master] = gateway_addons()
    return _OF_SCRIPTS[master]
