"""The mitmproxy side: hooks, transport, TLS, what people see, and how a gateway is started."""
