"""Starting a gateway without mitmproxy's tools: an engine with only the addons that a gateway needs."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mitmproxy import exceptions, options
from mitmproxy.addons import core, errorcheck, next_layer, proxyserver, tlsconfig
from mitmproxy.master import Master

from osp_gateway import configfile
from osp_gateway.config import ConfigError, ProxyServerConfig, Settings
from osp_gateway.mitm.addons import gateway_addons
from osp_gateway.mitm.recorder import RecorderAddon
from osp_gateway.replay.library import Library
from osp_gateway.replay.tape import KEPT_OCTETS

log = logging.getLogger(__name__)

UNAVAILABLE: Final = "503"
NO_TARGET: Final = "http://s3.invalid"
"""The reverse target of listeners that have none: buckets name their own hosts."""


class RecordingError(Exception):
    """A recording that cannot be made; the text says why."""


def start_server(
    config: ProxyServerConfig,
    source: Path | None = None,
    *,
    record: Path | None = None,
    record_body: int = KEPT_OCTETS // 1024,
) -> None:
    """Serve until SIGINT or SIGTERM, and then until requests in flight are answered, for `shutdown_grace` at most.

    Args:
        config: the configuration; its `http_port` and `https_port` are listened on.
        source: the file that it is from, which SIGHUP reads anew. Without it, SIGHUP reads the certificates anew.
        record: a flow file that everything is recorded into, without secrets; it is begun anew.
        record_body: bodies of up to so many KiB are recorded whole, larger ones by their digest and length.

    Raises:
        ConfigError: it names no port, or its certificate cannot be used.
        RecordingError: the recording cannot be written, or could not to its end.
        SystemExit: the ports could not be opened.
    """
    configfile.capture(config)
    settings = config.settings
    if not settings.listeners:
        raise ConfigError(["http_port, https_port: both missing, expected at least one"])
    asyncio.run(_serve(settings, gateway_addons(settings, source), _recording(record, record_body)))


def serve_recording(settings: Settings, library: Library) -> None:
    """Answer from a recording, with no store, until SIGINT or SIGTERM. What has no recorded answer gets a 503.

    Args:
        settings: who may ask, and where to listen.
        library: the answers.
    """
    asyncio.run(_serve(settings, gateway_addons(settings, library=library, extra=UNAVAILABLE), {}))


def engine(addons: Sequence[Any], modes: Sequence[str], options_of_ours: Mapping[str, Any]) -> Master:
    """An engine that is yet to be run.

    Args:
        addons: those of `gateway_addons`, and more.
        modes: mitmproxy's reverse modes, one for each listener.
        options_of_ours: values of options that the addons declare.
    """
    master = Master(options.Options())
    master.addons.add(
        core.Core(),
        proxyserver.Proxyserver(),
        *addons,
        next_layer.NextLayer(),
        tlsconfig.TlsConfig(),
        errorcheck.ErrorCheck(),
    )
    master.options.update(
        mode=list(modes),
        keep_host_header=True,
        connection_strategy="lazy",
        osp_preview=0,
        osp_redact=False,  # no flow is shown or kept
        **options_of_ours,
    )
    return master


def _recording(file: Path | None, body: int) -> dict[str, Any]:
    return {} if file is None else {"osp_record": str(file), "osp_record_body": body}


async def _serve(settings: Settings, addons: Sequence[Any], options_of_ours: Mapping[str, Any]) -> None:
    log_to_stderr()
    modes = [_mode(settings, listener.port) for listener in settings.listeners]
    try:
        master = engine(addons, modes, options_of_ours)
    except exceptions.OptionsError as error:
        raise RecordingError(str(error)) from None
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # until the addon is running and takes them over
            asyncio.get_running_loop().add_signal_handler(number, master.shutdown)
    await master.run()
    if any(isinstance(addon, RecorderAddon) and addon.failed for addon in addons):
        raise RecordingError("osp_record: the recording is not complete")


def _mode(settings: Settings, port: int) -> str:
    host = f"{settings.listen_host}:" if settings.listen_host else ""
    return f"reverse:{NO_TARGET}@{host}{port}"


def log_to_stderr() -> None:
    """Our own lines and mitmproxy's warnings, one a line, with the time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for noisy in ("mitmproxy.proxy.server", "hpack", "asyncio", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
