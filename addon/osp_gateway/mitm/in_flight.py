"""Which requests are under way: on each client connection, and in all."""

from __future__ import annotations

from osp_gateway.limits import Limits


class InFlight:
    """Counts requests from their head to their answer's end. All of it is forgotten with the connection."""

    def __init__(self) -> None:
        self.total = 0
        self._streams: dict[str, set[int]] = {}

    def enter(self, client_id: str, stream_id: int) -> None:
        """A request's head has come."""
        streams = self._streams.setdefault(client_id, set())
        self.total += stream_id not in streams
        streams.add(stream_id)

    def leave(self, client_id: str, stream_id: int) -> None:
        """It has been answered, or given up; that may be said more than once."""
        streams = self._streams.get(client_id)
        if streams is None or stream_id not in streams:
            return
        streams.remove(stream_id)
        self.total -= 1
        if not streams:
            del self._streams[client_id]

    def gone(self, client_id: str) -> None:
        """The connection has ended, and with it whatever was under way on it."""
        self.total -= len(self._streams.pop(client_id, ()))

    def excess(self, client_id: str, limits: Limits) -> str | None:
        """Which limit the request that entered last has broken, for the operator; None where there is room for it."""
        here = len(self._streams.get(client_id, ()))
        if limits.requests_per_connection and here > limits.requests_per_connection:
            return f"{here} requests in flight on one connection"
        if limits.requests_in_flight and self.total > limits.requests_in_flight:
            return f"{self.total} requests in flight"
        return None
