"""OSP: an S3 gateway you can see through.

The public API: `ProxyServerConfig`, `start_server`, what validators are asked (`AccessRequest`), `ConfigError` and
request counting.
"""

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.mitm.serve import start_server
from osp_gateway.observe.counting import (
    disable_request_counting,
    enable_request_counting,
    get_request_count,
)

__version__ = "0.1.0"

__all__ = [
    "AccessRequest",
    "ConfigError",
    "ProxyServerConfig",
    "disable_request_counting",
    "enable_request_counting",
    "get_request_count",
    "start_server",
]
