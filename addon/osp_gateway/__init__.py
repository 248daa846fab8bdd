"""OSP: an S3 gateway you can see through.

The public API: `ProxyServerConfig`, `start_server`, `ConfigError`, request counting, and what authorizers need: what
they are asked (`AccessRequest`, with its `Identity`), what they answer (`Decision`, with `Constraints`), and `all_of`,
`any_of`, `first_decisive` and `unanimous` to join them. Hooks are given `BackendRequest` and `BackendResponse`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from osp_gateway.version import __version__

if TYPE_CHECKING:
    from osp_gateway.access.authorizer import AccessRequest, Authorizer, Constraints, Decision, abstain
    from osp_gateway.access.compose import all_of, any_of, first_decisive, unanimous
    from osp_gateway.access.identity import Identity
    from osp_gateway.config import ConfigError, ProxyServerConfig
    from osp_gateway.hooks import BackendRequest, BackendResponse
    from osp_gateway.mitm.serve import start_server
    from osp_gateway.observe.counting import (
        disable_request_counting,
        enable_request_counting,
        get_request_count,
    )

__all__ = [
    "AccessRequest",
    "Authorizer",
    "BackendRequest",
    "BackendResponse",
    "ConfigError",
    "Constraints",
    "Decision",
    "Identity",
    "ProxyServerConfig",
    "__version__",
    "abstain",
    "all_of",
    "any_of",
    "disable_request_counting",
    "enable_request_counting",
    "first_decisive",
    "get_request_count",
    "start_server",
    "unanimous",
]

_HOME: Final = {
    "AccessRequest": "access.authorizer",
    "Authorizer": "access.authorizer",
    "BackendRequest": "hooks",
    "BackendResponse": "hooks",
    "ConfigError": "config",
    "Constraints": "access.authorizer",
    "Decision": "access.authorizer",
    "Identity": "access.identity",
    "ProxyServerConfig": "config",
    "abstain": "access.authorizer",
    "all_of": "access.compose",
    "any_of": "access.compose",
    "disable_request_counting": "observe.counting",
    "enable_request_counting": "observe.counting",
    "first_decisive": "access.compose",
    "get_request_count": "observe.counting",
    "start_server": "mitm.serve",
    "unanimous": "access.compose",
}


def __getattr__(name: str) -> Any:
    """Fetch a name when it is first used: all of it takes a second, and a test suite's plugin needs none."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
