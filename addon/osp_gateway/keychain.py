"""All that knows clients, made from a configuration: keys, tokens, and what both may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from osp_gateway.access.authorizer import Authorizer
from osp_gateway.access.jwt.grants import JwtAuthorizer
from osp_gateway.access.jwt.keysets import KeySet, ListedKeys, PublishedKeys
from osp_gateway.access.jwt.model import IssuerModel
from osp_gateway.access.jwt.verifying import Issuer, TokenVerifier
from osp_gateway.access.key_file import KeyFile
from osp_gateway.access.key_service import KeyService
from osp_gateway.access.keystore import Keystore
from osp_gateway.asking import Ask
from osp_gateway.callables import CallableRunner
from osp_gateway.config import Settings
from osp_gateway.jwt_bearers import JwtBearers
from osp_gateway.sharing import SharedCache


def make_keystore(settings: Settings, runner: CallableRunner, ask: Ask, shared: SharedCache | None = None) -> Keystore:
    """The chain of all that knows keys. `shared` is what other gateways have found out."""
    sources = settings.key_sources
    return Keystore(
        settings.keystore,
        settings.hmac_fetcher,
        runner,
        tokens=settings.hmac_fetcher_takes_token,
        shared=shared,
        environment=sources.environment,
        file=None if sources.file is None else KeyFile(sources.file),
        service=None if sources.service is None else KeyService(sources.service, ask, shared),
    )


def make_bearers(
    issuers: Sequence[IssuerModel], keystore: Keystore, ask: Ask, clock: Callable[[], float]
) -> JwtBearers | None:
    """Who verifies tokens, where any are believed. `clock` gives seconds since the epoch."""
    if not issuers:
        return None
    verifier = TokenVerifier([make_issuer(issuer, ask, clock) for issuer in issuers], clock)
    return JwtBearers(issuers, verifier, keystore)


def make_issuer(model: IssuerModel, ask: Ask, clock: Callable[[], float]) -> Issuer:
    """One issuer, with where its keys are. `clock` gives seconds since the epoch."""
    keys: KeySet = ListedKeys(model.listed_keys)
    if model.published is not None:
        keys = PublishedKeys(model.published, ask, clock)
    return Issuer(
        name=model.issuer,
        audiences=frozenset(model.audience),
        algorithms=frozenset(model.algorithms),
        keys=keys,
        leeway=model.leeway,
        name_claim=model.name_claim,
    )


def grants_of(issuers: Sequence[IssuerModel]) -> Authorizer | None:
    """What the configuration grants to bearers, where it grants anything."""
    grants = {issuer.issuer: [grant.grant() for grant in issuer.grants] for issuer in issuers if issuer.grants}
    return JwtAuthorizer(grants) if grants else None
