"""JSON Web Tokens, right and wrong, and the keys that they are made with."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://issuer.example.test/realm"
AUDIENCE = "osp-fake-audience"
SECRET = "a-fake-secret-of-32-octets-or-more"
SECRET_KEY = "fake-secret-key-of-all-bearers"


def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    return _rsa_key(number, bits)


@functools.cache
def _rsa_key(_number: int, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: str = "secp256r1") -> ec.EllipticCurvePrivateKey:
    return _ec_key(curve)


@functools.cache
def _ec_key(curve: str) -> ec.EllipticCurvePrivateKey:
    curves = {c.name: c for c in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1())}
    return ec.generate_private_key(curves[curve])


@functools.cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def pem_of(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def der_of(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def jwk_of(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    kinds = {"RSA": "RS256", "Elliptic": "ES256", "EC": "ES256", "Ed": "EdDSA"}
    name = next(alg for start, alg in kinds.items() if type(key).__name__.startswith(start))
    algorithm = jwt.get_algorithm_by_name(name)
    found = algorithm.to_jwk(key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, **({} if kid is None else {"kid": kid}), **more}


def jwks(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def claims(now: float, **changes: Any) -> dict[str, Any]:
    """What a good token says; a change to None leaves a claim out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": int(now), "exp": int(now) + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def mint(
    said: Mapping[str, Any], key: Any = None, algorithm: str = "RS256", headers: Mapping[str, Any] | None = None
) -> str:
    return jwt.encode(dict(said), key or rsa_key(), algorithm, headers=dict(headers or {}))


def segment(value: Any) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def forge(header: Any, said: Any, sign: Any = None) -> str:
    """A token of any header and claims (octets stay as they are), with what `sign` makes of its first two parts."""
    signed = f"{segment(header)}.{segment(said)}"
    return f"{signed}.{segment(b'' if sign is None else sign(signed.encode()))}"


def signer(key: Any, algorithm: str = "RS256") -> Any:
    """Signs octets."""
    found = jwt.get_algorithm_by_name(algorithm)
    return lambda octets: found.sign(octets, found.prepare_key(key))


def trusting(**changes: Any) -> dict[str, Any]:
    """One entry of `jwt`: RSA keys, everything granted."""
    entry = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "algorithms": ["RS256"],
        "public_keys": [pem_of(rsa_key())],
        "secret_key": SECRET_KEY,
        **changes,
    }
    return {name: value for name, value in entry.items() if value is not None}
