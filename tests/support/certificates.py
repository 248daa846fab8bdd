"""Throw-away certificates and the client contexts that trust them."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificate:
    """A certificate chain, its key and its authority, as PEM files."""

    authority: Path
    chain: Path
    key: Path

    @property
    def rclone_arguments(self) -> list[str]:
        return ["--cert", str(self.chain), "--key", str(self.key)]

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client_context(self, alpn: Sequence[str] = ("http/1.1",), shows: Certificate | None = None) -> ssl.SSLContext:
        """Trusts this certificate's authority; `shows` is the client's own certificate."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.set_alpn_protocols(list(alpn))
        if shows is not None:
            context.load_cert_chain(shows.chain, shows.key)
        return context


class Authority:
    """Signs any number of certificates; `path` is its own, as a PEM file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA()
        self._folder = folder
        self.path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.path)

    def sign(self, *names: str, common_name: str | None = None, expired: bool = False) -> Certificate:
        """A certificate for these names or, with a common name, for a client."""
        day = datetime.timedelta(days=1)
        until = datetime.datetime.now(datetime.UTC) + (-day if expired else day)
        made = self._ca.issue_cert(*names, common_name=common_name, not_before=until - 9 * day, not_after=until)
        place = self._folder / f"{len(list(self._folder.iterdir()))}"
        result = Certificate(self.path, place.with_suffix(".chain.pem"), place.with_suffix(".key.pem"))
        result.chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(result.key)
        return result


def certificate(folder: Path, *names: str) -> Certificate:
    """A certificate for these names by an authority of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    made = authority.issue_cert(*names)
    result = Certificate(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(result.authority)
    result.chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(result.key)
    return result
