"""OSP: an S3 gateway you can see through.

The public API: `ProxyServerConfig`, `start_server`, `ConfigError`, request counting, and what authorizers need: what
they are asked (`AccessRequest`, with its `Identity`), what they answer (`Decision`, with `Constraints`), and `all_of`,
`any_of`, `first_decisive` and `unanimous` to join them. Hooks are given `BackendRequest` and `BackendResponse`.
"""

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
from osp_gateway.version import __version__

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
