"""Client keys outside of the configuration: a file that changes under a running gateway, variables, a real service."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.processes import Store, config_for
from support.raw import Answer, ask
from support.recorder import Answer as Answered
from support.recorder import Recorded, Recorder
from support.serving import HERE, Serving, serving
from support.signing import signed

SECRET = "a-fake-secret-of-a-client"
PATIENCE_SECONDS = 60.0


@dataclass
class Setup:
    serving: Serving
    file: Path
    service: Recorder
    store: Recorder

    def get(self, key: str, secret: str = SECRET, *, token: str | None = None) -> Answer:
        port = self.serving.port
        return ask(port, signed(port, "GET", "/demo/key", key=key, secret=secret, token=token).octets)

    def write(self, *keys: str, broken: bool = False) -> None:
        new = self.file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(
            "[[keys"
            if broken
            else "".join(f'[[keys]]\naccess_key = "{key}"\nsecret_key = "{SECRET}"\n' for key in keys) or "keys = []"
        )
        new.rename(self.file)

    def becomes(self, key: str, code: str) -> None:
        """Wait until a key's requests are answered with this code; the gateway looks at the file once a second."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.get(key).code) != code:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)


def answer(request: Recorded) -> Answered:
    assert request["authorization"] == "Bearer fake-service-token"
    key = json.loads(request.body)["access_key"]
    if key.startswith("served"):
        return Answered(body=json.dumps({"secret_key": SECRET}).encode())
    return Answered(500 if key.startswith("broken") else 404)


@pytest.fixture(scope="module", params=["osp", "mitmdump"])
def setup(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp(request.param)
    file = folder / "keys.toml"
    with Recorder().running() as service, Recorder().running() as store:
        service.answer = answer
        extra = (
            f"keys_file={str(file)!r}, keys_env='OSP_KEY_', keys_url='http://127.0.0.1:{service.port}/keys',"
            f"keys_url_token='fake-service-token', admin_port=0, {HERE}"
        )
        file.touch(0o600)
        file.write_text("keys = []")
        text = config_for(Store(store.port, folder), extra=extra)
        with serving(
            folder, text, request.param, env={**os.environ, "OSP_KEY_ONE": f"from-environment:{SECRET}"}
        ) as running:
            yield Setup(running, file, service, store)


def test_keys_come_and_go_with_the_file(setup: Setup) -> None:
    assert setup.get("filed").code == "InvalidAccessKeyId"
    setup.write("filed", "other")
    setup.becomes("filed", "")
    assert setup.get("filed", "wrong").code == "SignatureDoesNotMatch"
    setup.write("other")
    setup.becomes("filed", "InvalidAccessKeyId")
    assert setup.get("other").status == 200


def test_a_file_that_breaks_keeps_its_keys(setup: Setup) -> None:
    setup.write("kept")
    setup.becomes("kept", "")
    setup.write(broken=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "stay what they were" not in setup.serving.output():
        assert time.monotonic() < deadline
        assert setup.get("kept").status == 200
        time.sleep(0.1)
    setup.write("after")
    setup.becomes("after", "")
    setup.becomes("kept", "InvalidAccessKeyId")


def test_a_key_from_the_environment(setup: Setup) -> None:
    assert setup.get("from-environment").status == 200
    assert setup.get("from-environment", "wrong").code == "SignatureDoesNotMatch"


def test_a_key_that_the_service_knows(setup: Setup) -> None:
    for _ in range(3):
        assert setup.get("served-key").status == 200
    asked = [json.loads(request.body)["access_key"] for request in setup.service.requests]
    assert asked.count("served-key") == 1
    assert setup.get("served-key", "wrong").code == "SignatureDoesNotMatch"
    assert setup.get("served-key", token="any-fake-token").code == "InvalidToken"


def test_a_service_that_fails_is_no_answer(setup: Setup) -> None:
    found = setup.get("broken-key")
    assert (found.status, found.code) == (503, "ServiceUnavailable")


def test_no_secret_is_told(setup: Setup) -> None:
    output = setup.serving.output()
    assert SECRET not in output
    assert "fake-service-token" not in output
