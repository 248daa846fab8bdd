"""The mitmproxy addon: hooks of a few lines each, the work is elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from mitmproxy import contentviews, ctx, exceptions, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Connection, Server
from mitmproxy.proxy import layer
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from osp_gateway import configfile
from osp_gateway.access.grants import Grants
from osp_gateway.backends.http_client import Urllib3Asker, Urllib3Poster
from osp_gateway.callables import CallableRunner, CallTimeout
from osp_gateway.config import ConfigError, Settings
from osp_gateway.gateway import Gateway
from osp_gateway.mitm.connections import ConnectionCounter
from osp_gateway.mitm.desk import Desk, Gate, GatedReader
from osp_gateway.mitm.dialing import try_addresses_in_turn
from osp_gateway.mitm.ends import PatientWriter
from osp_gateway.mitm.hook_table import HookTable
from osp_gateway.mitm.instruments import Instruments
from osp_gateway.mitm.layers import ListenerLayer
from osp_gateway.mitm.life import Life
from osp_gateway.mitm.reload import certificate_of, needs_restart, shared_cache
from osp_gateway.mitm.showing import Showing
from osp_gateway.mitm.steady import SteadyLock
from osp_gateway.mitm.tls import ClientAuthority, ServerCertificate, chain_of, start_upstream
from osp_gateway.mitm.views import VIEWS
from osp_gateway.mitm.wire import adapt_by_hook, adapt_response, annotate, arrival_of, head_of, response_of
from osp_gateway.observe.admin import AdminServer
from osp_gateway.observe.counting import request_counter
from osp_gateway.outcomes import Forward, Outcome, PendingAction, PendingForm, Reply, Verdict, refuse
from osp_gateway.parameters import folded
from osp_gateway.redaction import Redactor
from osp_gateway.s3.errors import S3Error, new_request_id
from osp_gateway.sharing import SharedCache
from osp_gateway.version import __version__

log = logging.getLogger(__name__)

DEFAULT_PREVIEW_KIB: Final = 64
_MARKS: Final = os.urandom(32)
"""The key of the marks in masked flows: one for the life of the process, kept nowhere else."""
READ_SECONDS: Final = 60.0
"""For a configuration to be read anew."""


class OspAddon:
    """The gateway inside mitmproxy.

    Given `settings` (by `start_server`), it uses them; else it reads the file that the option `osp_config` names.
    """

    def __init__(self, settings: Settings | None = None, source: Path | None = None) -> None:
        """Raise `ConfigError` where the settings' certificate cannot be used. `source` is the file they are from."""
        self._gateway: Gateway | None = None
        self._certificate: ServerCertificate | None = None
        self._settings: Settings | None = None
        self._started: Settings | None = None
        self._serving = settings is not None
        self._source = source
        self.grants = None if self._serving else Grants(time.monotonic)
        self._reader = CallableRunner(READ_SECONDS, max_concurrent=1)
        self._tls_ports: frozenset[int] = frozenset()
        self._server_name = "osp"
        self._connect_timeout = 10.0
        self._shared: SharedCache | None = None
        self._closing: asyncio.Task[None] | None = None
        self._running = False
        self._rolling_back = False
        self._subjects: WeakKeyDictionary[Client, tuple[ClientAuthority, str | None]] = WeakKeyDictionary()
        self._ask = Urllib3Asker()
        self.desk = Desk(refuse=self._refuse, showing=Showing(Redactor(key=_MARKS), details=not self._serving))
        self._life = Life(self.desk, self._reload)
        self._connections = ConnectionCounter()
        self._hook_table: HookTable | None = None
        self._instruments = Instruments(self.desk.watch, self._connections, __version__)
        self._admin = AdminServer(self._life.pages(), self._instruments.documents())
        if settings is not None:
            self.use(settings)

    # For commands

    @property
    def gateway(self) -> Gateway | None:
        """The one that decides about the next request."""
        return self._gateway

    @property
    def settings(self) -> Settings | None:
        """The configuration in use."""
        return self._settings

    def find_out_anew(self) -> None:
        """Forget all that is cached. Requests under way end as they began."""
        if self._settings is not None:
            self.use(self._settings)

    async def reload(self) -> None:
        """See `_reload`."""
        await self._reload()

    # Life

    def load(self, loader: Loader) -> None:
        """Declare our options and views."""
        for view in VIEWS:
            contentviews.add(view)
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
            "So many KiB of each body stay with its flow, to be looked at; 0 keeps none. With store_streamed_bodies "
            "all of it stays.",
        )
        loader.add_option(
            "osp_redact",
            bool,
            True,
            "Mask signatures, tokens, cookies and keys of SSE-C wherever flows are shown, saved or exported. Equal "
            "values get equal marks.",
        )
        loader.add_option(
            "osp_redact_headers",
            Sequence[str],
            [],
            "Names of further headers, and query parameters, that osp_redact masks.",
        )

    def configure(self, updated: set[str]) -> None:
        """React to our options, and keep the engine's options at what a gateway needs."""
        self._require_engine_options()  # before anything listens
        if {"osp_preview", "store_streamed_bodies"} & updated:
            if ctx.options.osp_preview < 0:
                raise exceptions.OptionsError("osp_preview: expected a number of KiB, 0 or more")
            everything = "store_streamed_bodies" in ctx.options and ctx.options.store_streamed_bodies
            self.desk.preview = sys.maxsize if everything else ctx.options.osp_preview * 1024
        if updated & {"osp_redact", "osp_redact_headers"}:
            self.desk.showing.redactor = _redactor(ctx.options.osp_redact, ctx.options.osp_redact_headers)
            self._instruments.masked = frozenset(map(folded, ctx.options.osp_redact_headers))
        if "osp_config" in updated and ctx.options.osp_config:
            self._read_config(Path(ctx.options.osp_config))

    def running(self) -> None:
        """Listen to signals and on the admin port; say so where nothing can work."""
        self._running = True
        self._life.start()
        try_addresses_in_turn(asyncio.get_running_loop())
        if self._settings is None:
            # Who only looks at saved flows needs none; where something listens, an error ends the start.
            level = logging.ERROR if getattr(ctx.options, "server", True) else logging.WARNING
            log.log(level, "osp_config is not set: expected --set osp_config=FILE (.py or .toml)")
        elif self._settings.admin_port is not None:
            self._open_admin(self._settings.admin_host, self._settings.admin_port)

    def done(self) -> None:
        """The end, or the end of this version of the script."""
        self._admin.close()
        self._instruments.close()

    def _open_admin(self, host: str, port: int) -> None:
        try:
            host, port = self._admin.open(host, port)
        except OSError as error:
            log.error("admin_host, admin_port: cannot listen there: %s", error.strerror or type(error).__name__)  # noqa: TRY400
            return
        log.info(
            "health and readiness at http://%s:%d/-/health and /-/ready, metrics at /metrics",
            f"[{host}]" if ":" in host else host,
            port,
        )

    def _require_engine_options(self) -> None:
        """The Host header as it was signed, no connections ahead of a verdict, clients with any address."""
        needed = {"keep_host_header": True, "connection_strategy": "lazy", "block_global": False}
        present = {name: value for name, value in needed.items() if name in ctx.options}
        ctx.options.update(**{name: v for name, v in present.items() if getattr(ctx.options, name) != v})

    def _read_config(self, path: Path) -> None:
        """The file that `osp_config` names. Where it is wrong, the start fails, or the option stays what it was."""
        if self._rolling_back:  # mitmproxy sets the option to what it was: nothing has changed
            self._rolling_back = False
            return
        try:
            self.use(configfile.load(path).settings)
        except ConfigError as error:
            _tell(path, error)
            if self._running:
                self._rolling_back = True
                raise exceptions.OptionsError(f"{path}: the configuration cannot be used") from None
            # mitmproxy would print a trace with source lines, which may hold secrets, and listen before it ends.
            raise SystemExit(1) from None
        self._source = path

    async def _reload(self) -> None:
        """SIGHUP: requests under way end as they began; where the file is wrong, everything stays as it was."""
        self._instruments.reopen()
        outcome = "failed"
        try:
            if self._source is not None:
                # In a thread: it may take its time, and may well run an event loop of its own.
                self.use((await self._reader.call(configfile.load, self._source)).settings)
                log.info("%s: read anew; what was cached is found out anew", self._source)
            elif self._settings is not None:
                self._certificate = certificate_of(self._settings)
                log.info(
                    "certificates read anew; the rest of the configuration is a program's, which has to be restarted"
                )
            outcome = "ok"
        except ConfigError as error:
            _tell(self._source, error)
            log.error("the configuration stays what it was")  # noqa: TRY400
        except CallTimeout:
            log.error("%s: not read in %g s, the configuration stays what it was", self._source, READ_SECONDS)  # noqa: TRY400
        finally:
            self._instruments.reloads[outcome] += 1

    def use(self, settings: Settings) -> None:
        """From the next request on. Raises `ConfigError`, and changes nothing, where files cannot be used."""
        tallies = self._instruments.tallies
        certificate = certificate_of(settings)
        shared = shared_cache(settings, anew=self._gateway is not None, tally=tallies.cache("shared"))
        self._instruments.use(settings)
        self._certificate = certificate
        self._gateway = Gateway(
            settings,
            Urllib3Poster(),
            predecessor=self._gateway,
            shared=shared,
            tallies=tallies,
            ask=self._ask,
            grants=self.grants,
        )
        self._close_shared(shared)
        if self._started is None:
            self._started = settings
            self._tls_ports = frozenset(listener.port for listener in settings.listeners if listener.tls)
        for argument in needs_restart(self._started, settings, serving=self._serving):
            log.warning("%s: a change takes effect with the next start only", argument)
        self._settings = settings
        self._server_name = settings.server_name
        self._connect_timeout = settings.connect_timeout
        self.desk.read_timeout = settings.read_timeout
        self._life.grace = settings.shutdown_grace
        self.desk.learn_region = self._gateway.learn_region
        self.desk.client_key = self._gateway.client_key
        self.desk.limits = settings.limits
        self.desk.domains = settings.domains
        for route in settings.routes:
            if not route.verify:
                log.warning("bucket %s: the backend's certificate is not verified", route.pattern)

    def _close_shared(self, successor: SharedCache | None) -> None:
        """Requests under way that still want the former one open a connection of their own."""
        former, self._shared = self._shared, successor
        if former is not None:
            self._closing = asyncio.get_running_loop().create_task(former.close())

    # Connections

    def client_connected(self, client: Client) -> None:
        """Put a gate before the client's stream, so that nothing piles up while a verdict is awaited."""
        if not self._connections.enter(client.id, client.peername[0], self.desk.limits.connections_per_address):
            client.error = "too many connections from this address"
            return
        self._put_gate(client, client, self.desk.limits.head_timeout)
        handler = self._handler_of(client)
        if handler is not None and _is_ours(client.proxy_mode):
            handler._server_event_lock = SteadyLock()  # before the first event
            self._hook_table = self._hook_table or HookTable(ctx.master.addons)
            handler.handle_hook = self._hook_table.handler(handler)
            self._life.watch(handler)

    def client_disconnected(self, client: Client) -> None:
        """The gate knows the stream, whose last error knows the connection: weak keys alone would keep all of it.

        mitmproxy may leave the stream open when a client hangs up in the very moment in which its handshake fails.
        """
        self._connections.leave(client.id)
        self.desk.in_flight.gone(client.id)
        self.desk.watch.client_gone(client)
        self.desk.gates.pop(client, None)
        handler = self._handler_of(client)
        transport = handler.transports.get(client) if handler else None
        if transport is not None and transport.writer is not None:
            transport.writer.close()

    def next_layer(self, data: layer.NextLayer) -> None:
        """Our own layers on reverse-mode HTTP listeners."""
        client = data.context.client
        if _is_ours(client.proxy_mode) and data.layer is None and len(data.context.layers) == 1:
            data.layer = ListenerLayer(data.context, self.desk)
            if handler := self._handler_of(client):
                self._life.spoke(handler)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Give a connection to a backend up when it, or its TLS handshake, takes too long."""
        if data.server in self.desk.trust:
            loop = asyncio.get_running_loop()
            loop.call_later(self._connect_timeout, self._give_up_connecting, data.client, data.server)

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """A gate before the backend's stream, too: a client may be slower than its backend."""
        if data.server in self.desk.trust:
            self._put_gate(data.client, data.server)

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """See `client_disconnected`."""
        self.desk.gates.pop(data.server, None)

    def _put_gate(self, client: Client, connection: Connection, first_octet: float | None = None) -> None:
        handler = self._handler_of(client)
        transport = handler.transports.get(connection) if handler else None
        if transport is not None:
            gate = self.desk.gates[connection] = Gate(transport.writer)
            transport.reader = GatedReader(transport.reader, gate, first_octet)
            if isinstance(connection, Server):
                transport.writer = PatientWriter(transport.writer)

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
        if isinstance(data.conn, Server) and (trust := self.desk.trust.get(data.conn)):
            start_upstream(data, trust)

    # Requests

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The verdict falls here, on the head alone."""
        if flow.response is not None or flow.error is not None:
            return
        if flow.is_replay == "request" and flow not in self.desk.managed:
            return  # it comes in again, see `client_replay`
        request_counter.count()
        problem = self._not_ours(flow)
        if problem is not None:
            if flow not in self.desk.managed:
                self.desk.showing.request_head(flow)  # it goes nowhere
            flow.response = self._refuse(flow, problem)
            return
        assert self._gateway is not None
        gateway = self.desk.judges[flow] = self._gateway
        head = self.desk.head(flow)
        skew = self.desk.clock_offset(flow)
        self._record(flow, await gateway.admit(arrival_of(flow, self._subject(flow.client_conn), head, skew)))

    async def post_form(self, flow: http.HTTPFlow) -> None:
        """The second step for a POST form, or a call of the token service: what it asks is there (`PostFormHook`)."""
        pending = self.desk.outcomes.get(flow)
        gateway = self.desk.judges.get(flow)
        if gateway is not None and isinstance(pending, PendingForm):
            self._record(flow, await gateway.admit_form(pending))
        elif gateway is not None and isinstance(pending, PendingAction):
            self._record(flow, await gateway.admit_action(pending))

    def _record(self, flow: http.HTTPFlow, outcome: Outcome) -> None:
        self.desk.outcomes[flow] = outcome
        if isinstance(outcome, PendingForm | PendingAction):
            return
        if isinstance(outcome, Reply) and outcome.shown is not None:
            self.desk.unseen[flow] = outcome.body
        self._annotate(flow, outcome.verdict)
        if not isinstance(outcome, Forward):
            flow.response = response_of(outcome)

    async def request(self, flow: http.HTTPFlow) -> None:
        """The second step of those few operations whose body must be decided upon. What goes nowhere is masked."""
        if flow.response is not None and flow not in self.desk.managed and flow.is_replay is None:
            self.desk.showing.request_body(flow, head_of(flow))
            return
        body = self.desk.bodies.get(flow)
        outcome = self.desk.outcomes.get(flow)
        gateway = self.desk.judges.get(flow)
        if body is None or not isinstance(outcome, Forward) or gateway is None:
            return
        judged = await gateway.judge_batch(outcome, body)
        if judged is not outcome:
            self._record(flow, judged)
        del self.desk.bodies[flow]  # last: what is still there has not been judged, and does not leave

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream, and map the backend's names to the client's. What cannot be mapped does not reach the client."""
        outcome = self.desk.outcomes.get(flow)
        if not isinstance(outcome, Forward) or flow.response is None:
            return
        try:
            credentials = self.desk.credentials.get(flow, ())
            adapt_response(flow, outcome, self.desk.preview, self.desk.tapes.get(flow), credentials)
            if outcome.told is not None:
                await adapt_by_hook(flow, outcome, self.desk.judges[flow])
            self.desk.adapted.add(flow)
        except S3Error as error:
            self.desk.unfit[flow] = error
        except Exception as error:
            log.exception("an answer could not be adapted")
            self.desk.unfit[flow] = S3Error.internal(f"{type(error).__name__} in the gateway")

    def response(self, flow: http.HTTPFlow) -> None:
        """The flow may be kept for as long as somebody looks at it; what was decided about it need not be."""
        self.desk.showing.over(flow, self.desk.outcomes.get(flow))
        self.desk.forget(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """See `response`."""
        self.desk.showing.over(flow, self.desk.outcomes.get(flow))
        self.desk.forget(flow)

    def _not_ours(self, flow: http.HTTPFlow) -> S3Error | None:
        """Why a request cannot even be judged."""
        if self._gateway is None:
            return S3Error.unavailable("The gateway has no configuration.")
        if flow not in self.desk.managed:
            return S3Error("NotImplemented", "The gateway works on reverse-mode listeners only.")
        if flow.client_conn.proxy_mode.custom_listen_port in self._tls_ports and not flow.client_conn.tls_established:
            return S3Error.invalid_request("This port takes TLS only: use https.")
        if reason := self.desk.in_flight.excess(flow.client_conn.id, self.desk.limits):
            return S3Error("SlowDown", "Please reduce your request rate.", reason=reason)
        clients = self._certificate.clients if self._certificate else None
        if clients and clients.required and self._subject(flow.client_conn) is None:
            return S3Error.access_denied(
                reason="no client certificate that client_ca_path accepts", message="A client certificate is required."
            )
        return None

    def _subject(self, client: Client) -> str | None:
        """Whom the client's certificate stands for: found out once a connection, and again with new authorities."""
        authority = self._certificate.clients if self._certificate else None
        if authority is None or not client.tls_established:
            return None
        known = self._subjects.get(client)
        if known is None or known[0] is not authority:
            known = self._subjects[client] = authority, authority.subject(chain_of(client))
        return known[1]

    def _refuse(self, flow: http.HTTPFlow, error: S3Error) -> http.Response:
        """The response for an error that came up outside of `Gateway.admit`."""
        outcome = self.desk.outcomes.get(flow)
        verdict = outcome.verdict if outcome is not None else _unjudged(error)
        self.desk.unseen.pop(flow, None)
        refusal = refuse(verdict, error, self.desk.head(flow), self._server_name)
        self._annotate(flow, refusal.verdict)
        self.desk.outcomes[flow] = refusal
        return response_of(refusal)

    def _annotate(self, flow: http.HTTPFlow, verdict: Verdict) -> None:
        annotate(flow, verdict, self.desk.showing, self.desk.head(flow), self.desk.domains)


def _redactor(wanted: bool, headers: Sequence[str]) -> Redactor | None:
    """Raise `OptionsError` where a header cannot be masked."""
    try:
        redactor = Redactor(headers, _MARKS)
    except ValueError as error:
        raise exceptions.OptionsError(f"osp_redact_headers: {error} cannot be masked") from None
    return redactor if wanted else None


def _is_ours(mode: ProxyMode) -> bool:
    """Whether a listener is one of the gateway's."""
    return isinstance(mode, ReverseMode) and mode.scheme in ("http", "https")


def _tell(path: Path | None, error: ConfigError) -> None:
    """One line per mistake, no trace."""
    for problem in error.problems:
        log.error("%s: %s", path, problem) if path else log.error("%s", problem)


def _unjudged(error: S3Error) -> Verdict:
    return Verdict(
        request_id=new_request_id(),
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
