"""How headers are signed for a backend: not at all, with a bearer token, or with a key pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import Header
from osp_gateway.sigv4.aws_chunked import MODES
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.sign import Signed, sign_head


def unsigned(headers: list[Header], payload_hash: str) -> Signed:  # noqa: ARG001 - nothing is signed
    """A signer for requests that stay anonymous."""
    return Signed(headers, None)


@dataclass(frozen=True, slots=True)
class BearerSigner:
    """Sends an IAM token."""

    token: str = field(repr=False)

    def __call__(self, headers: list[Header], payload_hash: str) -> Signed:  # noqa: ARG002 - nothing is signed
        """The headers with the token."""
        return Signed([*headers, ("authorization", f"Bearer {self.token}")], None)


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a key pair; see `sign_head` for what the fields are."""

    method: str
    path: str
    query: tuple[Pair, ...] = field(repr=False)
    pair: KeyPair
    region: str
    clock: Callable[[], float] = field(repr=False)
    keys: SigningKeys = field(repr=False)
    service: str = "s3"
    asymmetric: bool = False

    def __call__(self, headers: list[Header], payload_hash: str) -> Signed:
        """The headers with a signature of this moment: of SigV4A where the place or the body's chunks want it."""
        mode = MODES.get(payload_hash)
        return sign_head(
            method=self.method,
            path=self.path,
            query=self.query,
            headers=headers,
            payload_hash=payload_hash,
            pair=self.pair,
            region=self.region,
            now=self.clock(),
            keys=self.keys,
            asymmetric=self.asymmetric or (mode is not None and mode.signature == "ecdsa"),
            service=self.service,
        )
