"""The example with tokens in the README is a configuration that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osp_gateway import configfile
from osp_gateway.asking import Answer, Question
from osp_gateway.callables import CallableRunner
from osp_gateway.gateway import Gateway
from osp_gateway.outcomes import Arrival, Forward
from osp_gateway.sigv4.keys import KeyPair
from support.heads import NOW, Clock, Iam, signed_head
from support.processes import REPO
from support.tokens import claims, jwk_of, jwks, mint, rsa_key

ISSUER = "https://login.example.com/realms/data"


def example() -> str:
    blocks = re.findall(r"^```toml\n(.*?)^```$", (REPO / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if "[[jwt]]" in block]
    return block


async def test_the_example_does_what_is_said_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTS_ACCESS_KEY", "fake-key")
    monkeypatch.setenv("REPORTS_SECRET_KEY", "fake-secret")
    monkeypatch.setenv("sub", "from-the-environment")  # a claim's name is no variable's
    file = tmp_path / "server.toml"
    file.write_text(example())
    asked: list[str] = []

    async def ask(question: Question) -> Answer:
        asked.append(question.url)
        return Answer(200, jwks(jwk_of(rsa_key(), "k")))

    settings = configfile.load(file).settings
    gateway = Gateway(settings, Iam(), Clock(), CallableRunner(), ask=ask)
    said = claims(NOW, iss=ISSUER, aud="s3", realm_access={"roles": ["analyst"]})
    pair = KeyPair(mint(said, headers={"kid": "k"}), "shared-by-all-bearers")
    outcomes = {
        target: await gateway.admit(Arrival(signed_head(target=target, pair=pair), "192.0.2.7", tls=False))
        for target in ("/reports-1/alice/x", "/reports-1/bob/x", "/reports-1?list-type=2&prefix=alice%2F")
    }
    assert [isinstance(outcome, Forward) for outcome in outcomes.values()] == [True, False, True]
    assert asked == [f"{ISSUER}/protocol/openid-connect/certs"]
