"""What stays of a body with its flow, for people to look at: its first octets, and how many there were."""

from __future__ import annotations

from typing import Final

from mitmproxy import http

CUT: Final = "osp_cut"
"""Where in a flow's metadata it is said how long the bodies (`request`, `response`) were of which not all was kept."""


class Kept:
    """The beginning of a body that goes by."""

    def __init__(self, limit: int, *, whole: bool = False) -> None:
        """Keep up to `limit` octets, or all where it is wanted `whole`."""
        self._limit = limit
        self._whole = whole
        self._pieces: list[bytes] = []
        self._kept = 0
        self._octets = 0
        self._shown = not limit and not whole

    def add(self, data: bytes) -> None:
        """One more piece."""
        self._octets += len(data)
        room = len(data) if self._whole else self._limit - self._kept
        if room > 0:
            piece = data[:room]
            self._pieces.append(piece)
            self._kept += len(piece)

    def show(self, flow: http.HTTPFlow, message: http.Message) -> None:
        """Put it where mitmproxy shows it, once: nothing where nothing is to be kept."""
        if self._shown:
            return
        self._shown = True
        message.data.content = b"".join(self._pieces)
        if self._kept < self._octets:
            side = "request" if message is flow.request else "response"
            flow.metadata[CUT] = {**flow.metadata.get(CUT, {}), side: self._octets}
            flow.comment += f"; the first {self._kept} of {self._octets} octets of the {side} are kept"
        self._pieces.clear()
