"""TLS on both sides, through mitmproxy's hooks: the operator's certificate here, each bucket's rule there."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.x509 import Certificate
from mitmproxy import tls
from mitmproxy.addons.tlsconfig import DEFAULT_HOSTFLAGS
from mitmproxy.connection import Client
from OpenSSL import SSL, crypto

from osp_gateway.backends.routes import is_ip_address
from osp_gateway.mitm.desk import UpstreamTrust

log = logging.getLogger(__name__)

HTTP1: Final = b"http/1.1"
HTTP2: Final = b"h2"
_SESSIONS: Final = b"osp"


class ClientAuthority:
    """The authorities that sign the certificates of clients.

    `required` is whether a client must have one; one that it shows must be right in any case.
    """

    def __init__(self, path: Path, required: bool) -> None:
        """Read a PEM bundle.

        Raises:
            ValueError: there are no certificates in it.
        """
        self.required = required
        self.path = path
        self._store = crypto.X509Store()
        try:
            self._store.load_locations(str(path))
        except (crypto.Error, SSL.Error):
            raise ValueError("client_ca_path: expected a PEM file with certificates of authorities") from None

    def demand(self, context: SSL.Context) -> None:
        """Let the handshake fail for clients without a right certificate (RFC 8446, section 4.4.2.4).

        Sessions are not resumed, so that each connection shows its certificate.
        """
        context.load_verify_locations(str(self.path))
        context.load_client_ca(str(self.path).encode())
        context.set_verify(SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if self.required else 0))
        context.set_session_id(_SESSIONS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)

    def subject(self, chain: Sequence[Certificate]) -> str | None:
        """Whom a chain of certificates, the client's own first, stands for (RFC 4514); None where it is not right.

        The handshake has judged it already, but perhaps by authorities that were replaced since.
        """
        if not chain:
            return None
        first, *others = (crypto.X509.from_cryptography(certificate) for certificate in chain)
        try:
            crypto.X509StoreContext(self._store, first, others).verify_certificate()
        except crypto.X509StoreContextError:
            return None
        return chain[0].subject.rfc4514_string()


class ServerCertificate:
    """The certificate that listeners show, and the authorities of their clients, if these need certificates, too."""

    def __init__(self, cert_path: Path, key_path: Path, clients: ClientAuthority | None = None) -> None:
        """Read PEM files.

        Raises:
            ValueError: they do not hold a certificate and its key.
        """
        self.clients = clients
        self._contexts = {http2: _server_context(cert_path, key_path, clients, http2) for http2 in (False, True)}

    def start(self, data: tls.TlsData, http2: bool) -> None:
        """Provide the connection object for a client's handshake, in which HTTP/2 may be agreed on or not."""
        connection = SSL.Connection(self._contexts[http2])
        connection.set_accept_state()
        data.ssl_conn = connection


def chain_of(client: Client) -> list[Certificate]:
    """The certificates that a client has shown, its own first."""
    return [certificate.to_cryptography() for certificate in client.certificate_list]


def _server_context(cert_path: Path, key_path: Path, clients: ClientAuthority | None, http2: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_passwd_cb(_no_password)
    try:
        context.use_certificate_chain_file(str(cert_path))
        context.use_privatekey_file(str(key_path))
        context.check_privatekey()
    except SSL.Error:
        raise ValueError("cert_path, key_path: expected a PEM certificate chain and its unencrypted PEM key") from None
    if clients is not None:
        clients.demand(context)
    context.set_alpn_select_callback(_select_http2 if http2 else _select_http1)
    return context


def _no_password(*_: object) -> bytes:
    """Or OpenSSL would ask on the terminal for an encrypted key's password, and wait."""
    return b""


def start_upstream(data: tls.TlsData, trust: UpstreamTrust) -> None:
    """Judge a backend's certificate by the bucket's rule; S3 is spoken over HTTP/1.1."""
    data.conn.sni = trust.server_name
    data.conn.alpn_offers = (b"http/1.1",)
    if trust.verify is True:
        return  # mitmproxy's own TLS addon checks chain and name
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE if trust.verify is False else SSL.VERIFY_PEER)
    if trust.verify is not False:
        try:
            context.load_verify_locations(str(trust.verify))
        except SSL.Error:
            # It has gone. An error in this hook would let mitmproxy trust the authorities of the system.
            log.error("%s: no certificates of authorities in it, no backend is trusted by it", trust.verify)  # noqa: TRY400
    connection = SSL.Connection(context)
    if trust.verify is not False:
        _expect_name(connection, trust.server_name)
    if not is_ip_address(trust.server_name):
        connection.set_tlsext_host_name(trust.server_name.encode("idna"))
    connection.set_alpn_protos([b"http/1.1"])
    connection.set_connect_state()
    data.ssl_conn = connection


def _expect_name(connection: SSL.Connection, name: str) -> None:
    """Let the handshake fail for a certificate of another name: RFC 9525, section 6.

    pyOpenSSL has no calls of its own for that: these are the ones that mitmproxy makes.
    """
    library: Any = SSL._lib  # type: ignore[attr-defined]
    parameters = library.SSL_get0_param(connection._ssl)
    library.X509_VERIFY_PARAM_set_hostflags(parameters, DEFAULT_HOSTFLAGS)
    if is_ip_address(name):
        octets = ipaddress.ip_address(name).packed
        done = library.X509_VERIFY_PARAM_set1_ip(parameters, octets, len(octets))
    else:
        octets = name.encode("idna")
        done = library.X509_VERIFY_PARAM_set1_host(parameters, octets, len(octets))
    if done != 1:
        raise ValueError(f"{name!r} cannot be checked against a certificate")


def _select_http1(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return HTTP1 if HTTP1 in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _select_http2(connection: SSL.Connection, offered: list[bytes]) -> Any:
    return HTTP2 if HTTP2 in offered else _select_http1(connection, offered)
