"""What an operator writes, checked: `ProxyServerConfig` in, immutable `Settings` out.

All mistakes are reported at once, one line each, naming the bucket and the field, the type of what was found
(never the value: it may be a secret) and what was expected.
"""

from osp_gateway.config.mistakes import ConfigError
from osp_gateway.config.server import ProxyServerConfig
from osp_gateway.config.settings import Listener, Settings

__all__ = ["ConfigError", "Listener", "ProxyServerConfig", "Settings"]
