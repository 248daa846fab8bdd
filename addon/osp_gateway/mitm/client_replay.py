"""mitmproxy's client replay: recorded requests come in again by the front door, freshly signed.

A replayed flow is sent to one of the gateway's own listeners, signed with the key of the client that it was recorded
from. There it is verified, authorized and forwarded like any other request: replaying is no way around anything.
"""

from __future__ import annotations

import logging
from typing import Any, Final
from weakref import WeakKeyDictionary

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.rereading import exchange_of
from osp_gateway.replay.exchange import Answer, Exchange, Payload
from osp_gateway.replay.names import Names
from osp_gateway.replay.resign import Resigner, Signer
from osp_gateway.s3.errors import S3Error, new_request_id

log = logging.getLogger(__name__)

DEFAULT_REGION: Final = "us-east-1"
MAX_OCTETS: Final = 1024**3
"""Of a body: mitmproxy holds it as a whole."""
_OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})


class ClientReplayAddon:
    """Signs what mitmproxy replays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._names = Names()
        self._listeners: set[tuple[str, int]] = set()
        self._replayed: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()

    def load(self, loader: Loader) -> None:
        """Declare our option."""
        loader.add_option(
            "osp_replay_as",
            str,
            "",
            "The access key that replayed requests are signed with. Without it, each is signed with the key of the "
            "client that it was recorded from.",
        )

    async def request(self, flow: http.HTTPFlow) -> None:
        """The replayed request is complete, and nothing of it has been sent."""
        if flow.is_replay != "request" or flow in self._desk.managed or flow.response is not None:
            return
        original = flow.copy()
        original.revert()
        try:
            await self._prepare(flow, _exchange(original))
        except S3Error as error:
            log.error("replay of %s: %s", flow.request.pretty_url, error.reason)  # noqa: TRY400 - no trace of ours
            flow.response = _refusal(error)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """mitmproxy connects to itself for nobody; for us it must. Requests that are forwarded still cannot."""
        if self._replayed and data.server.address in self._listeners and data.server not in self._desk.trust:
            data.server.error = None

    def response(self, flow: http.HTTPFlow) -> None:
        """What the store calls things this time is put into the requests that follow."""
        exchange = self._replayed.pop(flow, None)
        if exchange is not None and flow.response is not None:
            headers = tuple((name.lower(), value) for name, value in flow.response.headers.items(multi=True))
            answer = Answer(flow.response.status_code, headers, Payload.of(flow.response.raw_content or b""))
            self._names.learn_from(exchange, answer)

    async def _prepare(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        host, port = _listener()
        self._listeners.add((host, port))
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        signers = {}
        if exchange.request.signed:
            pair = await self._desk.client_key(ctx.options.osp_replay_as or exchange.identity)
            signers[""] = Signer(pair, DEFAULT_REGION)
        outgoing = Resigner(shown, signers).outgoing(exchange.request, "", self._names)
        content = b"".join(outgoing.body())
        request = flow.request
        request.host, request.port, request.scheme = host, port, "http"
        request.path = outgoing.target
        request.headers = http.Headers(
            [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in outgoing.headers
                if name not in _OF_THE_CONNECTION
            ]
        )
        request.data.content = content
        self._replayed[flow] = exchange


def _exchange(flow: http.HTTPFlow) -> Exchange:
    try:
        exchange = exchange_of(flow)
    except ValueError as error:
        raise S3Error.invalid_request(f"It cannot be replayed: {error}.") from None
    if exchange is None:
        raise S3Error.invalid_request("The flow holds no S3 request with its answer: it cannot be replayed.")
    if exchange.request.payload.length > MAX_OCTETS:
        raise S3Error(
            "EntityTooLarge",
            f"It cannot be replayed here: a body of {exchange.request.payload.length} octets would have to be held as "
            f"a whole, expected {MAX_OCTETS} at most. osp replay has no limit.",
        )
    return exchange


def _listener() -> tuple[str, int]:
    """Where the gateway itself listens.

    Raises:
        S3Error: ServiceUnavailable where it does not.
    """
    proxyserver: Any = ctx.master.addons.get("proxyserver")
    for instance in proxyserver.servers if proxyserver is not None else ():
        if isinstance(instance.mode, ReverseMode) and instance.mode.scheme in ("http", "https"):
            for address in instance.listen_addrs:
                host, port = address[0], address[1]
                return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host), port  # noqa: S104
    raise S3Error.unavailable("Replaying needs a listener of the gateway: expected --mode reverse:...")


def _refusal(error: S3Error) -> http.Response:
    body = error.document("/", new_request_id())
    return http.Response.make(error.status, body, {"content-type": "application/xml"})
