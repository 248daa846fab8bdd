"""Where a request goes and with whose credentials; rewriting of requests and responses."""
