"""The mitmproxy addon: hooks of a few lines each, the work is elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any, Final

from mitmproxy import contentviews, ctx, exceptions, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Server
from mitmproxy.proxy import layer
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from osp_gateway import configfile
from osp_gateway.backends.http_client import Urllib3Poster
from osp_gateway.config import ConfigError, Settings
from osp_gateway.gateway import Gateway
from osp_gateway.mitm.desk import Desk, Gate, GatedReader
from osp_gateway.mitm.layers import ListenerLayer
from osp_gateway.mitm.tls import ServerCertificate, start_upstream
from osp_gateway.mitm.views import ExplanationView
from osp_gateway.mitm.wire import adapt_response, annotate, arrival_of, response_of
from osp_gateway.observe.counting import request_counter
from osp_gateway.outcomes import Forward, Outcome, PendingForm, Verdict, refuse
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

DEFAULT_PREVIEW_KIB: Final = 64


class OspAddon:
    """The gateway inside mitmproxy.

    Given `settings` (by `start_server`), it uses them; else it reads the file that the option `osp_config` names.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Raise `ConfigError` where the settings' certificate cannot be used."""
        self._gateway: Gateway | None = None
        self._certificate: ServerCertificate | None = None
        self._tls_ports: frozenset[int] = frozenset()
        self._server_name = "osp"
        self._connect_timeout = 10.0
        self._running = False
        self._desk = Desk(refuse=self._refuse)
        if settings is not None:
            self._use(settings)

    # Life

    def load(self, loader: Loader) -> None:
        """Declare our options and views."""
        contentviews.add(ExplanationView)
        loader.add_option(
            "osp_config",
            str,
            "",
            "The gateway's configuration: a .py file that defines `config = ProxyServerConfig(...)` or calls "
            "start_server, or a .toml file. Without it every request is refused.",
        )
        loader.add_option(
            "osp_preview",
            int,
            DEFAULT_PREVIEW_KIB,
            "Bodies of up to this many KiB stay with their flows, to be looked at; 0 keeps none.",
        )

    def configure(self, updated: set[str]) -> None:
        """React to our options, and keep the engine's options at what a gateway needs."""
        self._require_engine_options()  # before anything listens
        if "osp_preview" in updated:
            if ctx.options.osp_preview < 0:
                raise exceptions.OptionsError("osp_preview: expected a number of KiB, 0 or more")
            self._desk.preview = ctx.options.osp_preview * 1024
        if "osp_config" in updated and ctx.options.osp_config:
            self._read_config(Path(ctx.options.osp_config))

    def running(self) -> None:
        """Say so where nothing can work."""
        self._running = True
        if self._gateway is None:
            log.error("osp_config is not set: expected --set osp_config=FILE (.py or .toml)")

    def _require_engine_options(self) -> None:
        """The Host header as it was signed, no connections ahead of a verdict, clients with any address."""
        needed = {"keep_host_header": True, "connection_strategy": "lazy", "block_global": False}
        present = {name: value for name, value in needed.items() if name in ctx.options}
        ctx.options.update(**{name: v for name, v in present.items() if getattr(ctx.options, name) != v})

    def _read_config(self, path: Path) -> None:
        try:
            self._use(configfile.load(path).settings)
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s: %s", path, problem)  # noqa: TRY400 - one line per mistake, no trace
            if self._running:
                raise exceptions.OptionsError(f"{path}: the configuration cannot be used") from None
            # mitmproxy would print a trace with source lines, which may hold secrets, and listen before it ends.
            raise SystemExit(1) from None

    def _use(self, settings: Settings) -> None:
        if settings.cert_path and settings.key_path:
            try:
                self._certificate = ServerCertificate(settings.cert_path, settings.key_path)
            except ValueError as error:
                raise ConfigError([str(error)]) from None
        self._tls_ports = frozenset(listener.port for listener in settings.listeners if listener.tls)
        self._server_name = settings.server_name
        self._connect_timeout = settings.connect_timeout
        self._desk.read_timeout = settings.read_timeout
        self._gateway = Gateway(settings, Urllib3Poster())
        for route in settings.routes:
            if not route.verify:
                log.warning("bucket %s: the backend's certificate is not verified", route.pattern)

    # Connections

    def client_connected(self, client: Client) -> None:
        """Put a gate before the client's stream, so that nothing piles up while a verdict is awaited."""
        handler = self._handler_of(client)
        transport = handler.transports.get(client) if handler else None
        if transport is not None:
            gate = self._desk.gates[client] = Gate(transport.writer)
            transport.reader = GatedReader(transport.reader, gate)

    def client_disconnected(self, client: Client) -> None:
        """The gate knows the stream, whose last error knows the connection: weak keys alone would keep all of it."""
        self._desk.gates.pop(client, None)

    def next_layer(self, data: layer.NextLayer) -> None:
        """Our own layers on reverse-mode HTTP listeners."""
        mode = data.context.client.proxy_mode
        reverse = isinstance(mode, ReverseMode) and mode.scheme in ("http", "https")
        if reverse and data.layer is None and len(data.context.layers) == 1:
            data.layer = ListenerLayer(data.context, self._desk)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Give a connection to a backend up when it, or its TLS handshake, takes too long."""
        if data.server in self._desk.trust:
            loop = asyncio.get_running_loop()
            loop.call_later(self._connect_timeout, self._give_up_connecting, data.client, data.server)

    def _give_up_connecting(self, client: Client, server: Server) -> None:
        if server.timestamp_end or (server.connected and (server.tls_established or not server.tls)):
            return
        handler = self._handler_of(client)
        transport = handler.transports.get(server) if handler else None
        if transport is not None and transport.handler is not None:
            server.error = server.error or "timed out"
            transport.handler.cancel("timed out")

    def _handler_of(self, client: Client) -> Any:
        proxyserver = ctx.master.addons.get("proxyserver")
        return proxyserver.connections.get(client.id) if proxyserver else None

    def tls_start_client(self, data: tls.TlsData) -> None:
        """The operator's certificate, if there is one."""
        if self._certificate is not None and isinstance(data.conn, Client):
            self._certificate.start(data, ctx.options.http2)

    def tls_start_server(self, data: tls.TlsData) -> None:
        """Each bucket's rule for its backend's certificate."""
        if isinstance(data.conn, Server) and (trust := self._desk.trust.get(data.conn)):
            start_upstream(data, trust)

    # Requests

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The verdict falls here, on the head alone."""
        if flow.response is not None or flow.error is not None:
            return
        request_counter.count()
        problem = self._not_ours(flow)
        if problem is not None:
            flow.response = self._refuse(flow, problem)
            return
        assert self._gateway is not None
        self._record(flow, await self._gateway.admit(arrival_of(flow)))

    async def post_form(self, flow: http.HTTPFlow) -> None:
        """The second step for a POST form: its fields are there (`PostFormHook`)."""
        pending = self._desk.outcomes.get(flow)
        if self._gateway is not None and isinstance(pending, PendingForm):
            self._record(flow, await self._gateway.admit_form(pending))

    def _record(self, flow: http.HTTPFlow, outcome: Outcome) -> None:
        self._desk.outcomes[flow] = outcome
        if isinstance(outcome, PendingForm):
            return
        annotate(flow, outcome.verdict)
        if not isinstance(outcome, Forward):
            flow.response = response_of(outcome)

    async def request(self, flow: http.HTTPFlow) -> None:
        """The second step of those few operations whose body must be decided upon."""
        body = self._desk.bodies.pop(flow, None)
        outcome = self._desk.outcomes.get(flow)
        if body is None or not isinstance(outcome, Forward) or self._gateway is None:
            return
        refusal = await self._gateway.judge_batch(outcome, body)
        if refusal is not None:
            annotate(flow, refusal.verdict)
            self._desk.outcomes[flow] = refusal
            flow.response = response_of(refusal)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream, and map the backend's names to the client's."""
        outcome = self._desk.outcomes.get(flow)
        if isinstance(outcome, Forward) and flow.response is not None:
            adapt_response(flow, outcome, self._desk.preview)

    def response(self, flow: http.HTTPFlow) -> None:
        """The flow may be kept for as long as somebody looks at it; what was decided about it need not be."""
        self._desk.forget(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """See `response`."""
        self._desk.forget(flow)

    def _not_ours(self, flow: http.HTTPFlow) -> S3Error | None:
        """Why a request cannot even be judged."""
        if self._gateway is None:
            return S3Error.unavailable("The gateway has no configuration.")
        if flow not in self._desk.managed:
            return S3Error(
                "NotImplemented", "The gateway works on reverse-mode listeners only; replay is not supported yet."
            )
        if flow.client_conn.proxy_mode.custom_listen_port in self._tls_ports and not flow.client_conn.tls_established:
            return S3Error.invalid_request("This port takes TLS only: use https.")
        return None

    def _refuse(self, flow: http.HTTPFlow, error: S3Error) -> http.Response:
        """The response for an error that came up outside of `Gateway.admit`."""
        outcome = self._desk.outcomes.get(flow)
        verdict = outcome.verdict if outcome is not None else _unjudged(error)
        refusal = refuse(verdict, error, arrival_of(flow).head, self._server_name)
        annotate(flow, refusal.verdict)
        self._desk.outcomes[flow] = refusal
        return response_of(refusal)


def _unjudged(error: S3Error) -> Verdict:
    return Verdict(
        request_id=os.urandom(8).hex().upper(),
        who="-",
        operation="-",
        bucket="",
        key="",
        allowed=False,
        reason=error.reason,
        cached=False,
        upstream="-",
        micros=0,
    )
