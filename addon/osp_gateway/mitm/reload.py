"""What a running gateway takes from a configuration that is read anew, and what needs a restart."""

from __future__ import annotations

import time
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

from osp_gateway.config import ConfigError, Settings
from osp_gateway.mitm.tls import ClientAuthority, ServerCertificate
from osp_gateway.sharing import SharedCache
from osp_gateway.tallies import CacheTally


def _port(settings: Settings, tls: bool) -> int | None:
    return next((listener.port for listener in settings.listeners if listener.tls is tls), None)


_ADMIN: Final[Mapping[str, Any]] = {"admin_port": attrgetter("admin_port"), "admin_host": attrgetter("admin_host")}
_OPENED_AT_START: Final[Mapping[str, Any]] = {
    "http_port": lambda settings: _port(settings, False),
    "https_port": lambda settings: _port(settings, True),
    "listen_host": attrgetter("listen_host"),
    **_ADMIN,
}


def needs_restart(started: Settings, wanted: Settings, *, serving: bool) -> list[str]:
    """The arguments whose change has no effect on a gateway that has `started`.

    `serving`: it has opened the configuration's ports itself, rather than mitmproxy its `--mode` lines.
    """
    arguments = _OPENED_AT_START if serving else _ADMIN
    return [name for name, value in arguments.items() if value(started) != value(wanted)]


def certificate_of(settings: Settings) -> ServerCertificate | None:
    """The certificate for listeners, read from its files; None where mitmproxy is to make one.

    Raises:
        ConfigError: the files cannot be used.
    """
    if settings.cert_path is None or settings.key_path is None:
        return None
    try:
        clients = None
        if settings.client_ca_path is not None:
            clients = ClientAuthority(settings.client_ca_path, not settings.client_certificates_optional)
        return ServerCertificate(settings.cert_path, settings.key_path, clients)
    except ValueError as error:
        raise ConfigError([str(error)]) from None


def shared_cache(settings: Settings, *, anew: bool, tally: CacheTally | None = None) -> SharedCache | None:
    """What gateways share, where the configuration names a server. `anew`: what they know by now is not wanted.

    Raises:
        ConfigError: the server's URL cannot be used.
    """
    if settings.cache_url is None:
        return None
    from osp_gateway.sharing_redis import RedisStore  # noqa: PLC0415  an extra: there for those who use it

    try:
        store = RedisStore(settings.cache_url)
    except ValueError as error:
        raise ConfigError([f"cache_url: {type(error).__name__}, expected redis://HOST:PORT/DB"]) from None
    not_before = time.time() if anew else 0.0
    return SharedCache(store, settings.cache_secret, settings.cache_namespace, not_before=not_before, tally=tally)
