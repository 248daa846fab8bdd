"""Gateways whose buckets differ in the payload mode towards their backend: `auto`, `same` and `plain`."""

from __future__ import annotations

from support.certificates import Certificate
from support.processes import CLIENT_KEY, CLIENT_SECRET

WAYS = ("auto", "plain", "same")


def payload_config(backend: str, certificate: Certificate, extra: str = "") -> str:
    """A configuration in Python.

    `backend` is the text of a dictionary, the backend of all three buckets; `extra` are more arguments.
    """
    return (
        "from osp_gateway import ProxyServerConfig\n"
        f"BACKEND = {backend}\n"
        "config = ProxyServerConfig(\n"
        f"    cos_map={{way: {{**BACKEND, 'payload': way}} for way in {WAYS!r}}},\n"
        f"    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],\n"
        "    validator=lambda token, bucket: True,\n"
        f"    cert_path={str(certificate.chain)!r},\n"
        f"    key_path={str(certificate.key)!r},\n"
        f"    {extra}\n"
        ")\n"
    )
