"""Keys that signatures of tokens are checked with. Each is good for the algorithms of its own kind, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt import PyJWS
from jwt.exceptions import InvalidKeyError, PyJWTError

from osp_gateway.access.jwt.compact import strict_json

RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
HMAC: Final = ("HS256", "HS384", "HS512")
ELLIPTIC: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
EDWARDS: Final = "EdDSA"
ALGORITHMS: Final = (*RSA, *ELLIPTIC.values(), EDWARDS, *HMAC)
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384
MIN_SECRET_OCTETS: Final = 32
MAX_KEYS: Final = 100
MAX_KID_CHARS: Final = 256
_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_KTY: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_jws: Final = PyJWS(ALGORITHMS)


class UnusableKey(ValueError):
    """A key that is not to be used. The text says why and holds nothing of it."""


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """One key: `kid` is its name in its set, `algorithms` those that it is good for."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any = field(repr=False)

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether a signature is one that this key's owner made with this algorithm."""
        if algorithm not in self.algorithms:
            return False
        try:
            return _jws.get_algorithm_by_name(algorithm).verify(signed, self.material, signature)
        except (PyJWTError, ValueError):
            return False


def of_secret(secret: str) -> VerificationKey:
    """A secret that issuer and gateway share.

    Raises:
        UnusableKey: it is too short, or looks like a public key: whoever has that could make tokens.
    """
    octets = secret.encode()
    if len(octets) < MIN_SECRET_OCTETS:
        raise UnusableKey(f"expected {MIN_SECRET_OCTETS} octets or more")
    try:
        prepared = _jws.get_algorithm_by_name("HS256").prepare_key(octets)
    except InvalidKeyError:
        raise UnusableKey("expected a secret, got what looks like a public or private key") from None
    return VerificationKey(None, frozenset(HMAC), prepared)


def of_pem(text: str) -> VerificationKey:
    """A public key, or a certificate's, in PEM.

    Raises:
        UnusableKey: it is none that can be used.
    """
    try:
        if "BEGIN CERTIFICATE" in text:
            return _of_public(None, load_pem_x509_certificate(text.encode()).public_key())
        return _of_public(None, load_pem_public_key(text.encode()))
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, UnusableKey):
            raise
        raise UnusableKey("expected a public key or a certificate in PEM") from None


def of_jwk(jwk: Mapping[str, Any]) -> VerificationKey:
    """A public key as a JWK: RFC 7517.

    Raises:
        UnusableKey: it is none that can be used.
    """
    if not _PRIVATE.isdisjoint(jwk):
        raise UnusableKey("expected a public key, got a private or secret one")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise UnusableKey("not meant for signatures")
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= MAX_KID_CHARS):
        raise UnusableKey("its kid is no text of reasonable length")
    kty = jwk.get("kty")
    name = _KTY.get(kty) if isinstance(kty, str) else None
    if kty == "EC":
        crv = jwk.get("crv")
        name = ELLIPTIC.get(crv) if isinstance(crv, str) else None
    if name is None:
        raise UnusableKey("of an unknown kind")
    try:
        key = _of_public(kid, _jws.get_algorithm_by_name(name).from_jwk(dict(jwk)))
    except (PyJWTError, ValueError, TypeError) as error:
        if isinstance(error, UnusableKey):
            raise
        raise UnusableKey("not a key that can be read") from None
    if "alg" not in jwk:
        return key
    narrowed = key.algorithms & {jwk["alg"]} if isinstance(jwk["alg"], str) else frozenset[str]()
    if not narrowed:
        raise UnusableKey("its alg does not fit it")
    return VerificationKey(kid, narrowed, key.material)


def _of_public(kid: str | None, key: object) -> VerificationKey:
    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise UnusableKey(f"RSA of {key.key_size} bits, expected {MIN_RSA_BITS} or more")
        return VerificationKey(kid, frozenset(RSA), key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = _CURVES.get(key.curve.name)
        if curve is None:
            raise UnusableKey("on an unknown curve")
        return VerificationKey(kid, frozenset({ELLIPTIC[curve]}), key)
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return VerificationKey(kid, frozenset({EDWARDS}), key)
    raise UnusableKey("of an unknown kind")


def read_jwks(body: bytes) -> tuple[tuple[VerificationKey, ...], int]:
    """The keys of a JWK set that can be used, and how many cannot: sets hold keys for other purposes, too.

    Raises:
        ValueError: it is no JWK set, or none of its keys can be used.
    """
    found = strict_json(body)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("no JWK set")
    if len(found["keys"]) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    keys, unusable = [], 0
    for jwk in found["keys"]:
        try:
            keys.append(of_jwk(jwk if isinstance(jwk, dict) else {}))
        except UnusableKey:
            unusable += 1
    if not keys:
        raise ValueError(f"none of its {unusable} keys can be used")
    return tuple(keys), unusable


def candidates(keys: Iterable[VerificationKey], kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
    """The keys that a token may be checked with: those of its `kid`; keys without a name are meant by any."""
    return tuple(
        key for key in keys if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
    )


def thumbprint(key: VerificationKey) -> object:
    """What makes a key the same when it is read again."""
    return key.kid, key.algorithms, key.material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
