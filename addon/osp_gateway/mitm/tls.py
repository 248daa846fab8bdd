"""TLS on both sides, through mitmproxy's hooks: the operator's certificate here, each bucket's rule there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mitmproxy import tls
from OpenSSL import SSL

from osp_gateway.mitm.desk import UpstreamTrust

HTTP1: Final = b"http/1.1"
HTTP2: Final = b"h2"


class ServerCertificate:
    """The certificate that listeners show."""

    def __init__(self, cert_path: Path, key_path: Path) -> None:
        """Read PEM files.

        Raises:
            ValueError: they do not hold a certificate and its key.
        """
        self._contexts = {http2: _server_context(cert_path, key_path, http2) for http2 in (False, True)}

    def start(self, data: tls.TlsData, http2: bool) -> None:
        """Provide the connection object for a client's handshake, in which HTTP/2 may be agreed on or not."""
        connection = SSL.Connection(self._contexts[http2])
        connection.set_accept_state()
        data.ssl_conn = connection


def _server_context(cert_path: Path, key_path: Path, http2: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    try:
        context.use_certificate_chain_file(str(cert_path))
        context.use_privatekey_file(str(key_path))
        context.check_privatekey()
    except SSL.Error:
        raise ValueError("cert_path, key_path: expected a PEM certificate chain and its unencrypted PEM key") from None
    context.set_alpn_select_callback(_select_http2 if http2 else _select_http1)
    return context


def start_upstream(data: tls.TlsData, trust: UpstreamTrust) -> None:
    """Judge a backend's certificate by the bucket's rule; S3 is spoken over HTTP/1.1."""
    data.conn.sni = trust.server_name
    data.conn.alpn_offers = (b"http/1.1",)
    if trust.verify:
        return  # mitmproxy's own TLS addon checks chain and name
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE)
    connection = SSL.Connection(context)
    connection.set_tlsext_host_name(trust.server_name.encode("idna"))
    connection.set_alpn_protos([b"http/1.1"])
    connection.set_connect_state()
    data.ssl_conn = connection


def _select_http1(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return HTTP1 if HTTP1 in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _select_http2(connection: SSL.Connection, offered: list[bytes]) -> Any:
    return HTTP2 if HTTP2 in offered else _select_http1(connection, offered)
