"""One secret of every kind that a configuration can hold, each of them used: none is in anything that people see."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from osp_gateway.mitm.views import VIEWS
from support.every_secret import (
    LED_TO,
    MISTAKEN,
    MISTAKEN_NAME,
    OWN_HEADER,
    SECRETS,
    SENT,
    Scene,
    fields_in_the_configuration,
    use_all,
)
from support.every_secret import scene as a_scene
from support.leaks import leaks
from support.mitmweb import CommandFailed, Web, mitmweb
from support.processes import BIN, gateway
from support.screenshots import BROWSER, needs_a_browser, script
from support.serving import serving
from support.signing import signed

pytest.importorskip("redis")

SHORTEST = 5000
"""An artifact with fewer octets would prove nothing."""


@dataclass
class Seen:
    """What a run has shown and left behind, by name, and what must not be in it."""

    artifacts: dict[str, bytes] = field(default_factory=dict)
    secrets: set[bytes] = field(default_factory=set)

    def add(self, name: str, *parts: Any) -> None:
        texts = [part if isinstance(part, bytes | str) else json.dumps(part) for part in parts]
        octets = [text.encode() if isinstance(text, str) else text for text in texts]
        self.artifacts[name] = self.artifacts.get(name, b"") + b"\n".join(octets)

    def told(self, name: str) -> list[bytes]:
        """The secrets in an artifact: as it is, without escapes, and without the folds of views."""
        octets = self.artifacts[name]
        plain = octets.replace(b"\\/", b"/").replace(b"\\n", b"\n")
        return sorted({found for one in (octets, plain, _joined(plain)) for found in leaks(self.secrets, one)})


def _joined(octets: bytes) -> bytes:
    """Folded cells in one piece."""
    return re.sub(rb"[\s|]+", b"", octets)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with a_scene(tmp_path_factory.mktemp("scene")) as running:
        yield running


def run(scene: Scene, *words: object, status: int = 0, given: bytes = b"") -> bytes:
    """What a command of `osp` says."""
    command = [BIN / "osp", *map(str, words)]
    env = {**os.environ, **scene.env}
    done = subprocess.run(command, env=env, input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


# Inspected: mitmweb, the files that it writes, and what is made of them


@pytest.fixture(scope="module")
def inspected(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder, seen = tmp_path_factory.mktemp("inspected"), Seen()
    files = {name: folder / name for name in ("dumped.har", "saved.har", "session.osp")}
    options = {
        "termlog_verbosity": "debug",
        "flow_detail": "4",
        "osp_preview": "4096",
        "osp_redact_headers": OWN_HEADER,
        "hardump": str(files["dumped.har"]),
        "osp_record": str(files["session.osp"]),
    }
    with mitmweb(folder, scene.config(), options, scene.env) as web:
        found = use_all(scene, web.gateway.ports[0])
        _ask_everything(web, seen)
        web.command("save.har", "@all", str(files["saved.har"]))
        if BROWSER:
            seen.add("the page", *_read_in_a_browser(web))
        for number, text in enumerate(broken(scene).values(), 1):
            (folder / "server.py").write_text(text)
            web.command("osp.reload")
            web.gateway.running.wait_for("the configuration stays what it was", number)
        seen.add("events", web.fetch("/events"))
    seen.add("the log", web.gateway.output())
    seen.add("the flow file", web.gateway.flow_file.read_bytes())
    for name, file in files.items():
        seen.add(name, file.read_bytes())
    (folder / "server.py").write_text(scene.config("http_port=0,"))
    explain = ("explain", web.gateway.flow_file, "--config", folder / "server.py", "--all")
    seen.add("osp explain", run(scene, *explain, status=1), run(scene, *explain, "--json", status=1))
    seen.secrets = scene.secrets(found)
    return seen


def _ask_everything(web: Web, seen: Seen) -> None:
    flows = web.flows()
    seen.add("flows", flows, web.fetch("/options"), web.fetch("/state"), web.fetch("/flows/dump"))
    seen.add("commands", *[str(web.command(name)) for name in ("osp.config", "osp.cache.show", "osp.keys")])
    for flow in flows:
        for name in ("osp.explain", "osp.curl", "osp.python"):
            with contextlib.suppress(CommandFailed):
                seen.add("commands", str(web.command(name, f"@{flow['id']}")))
        for form in ("curl", "httpie", "raw", "raw_request", "raw_response"):
            with contextlib.suppress(CommandFailed):
                seen.add("exports", str(web.command("export", form, f"@{flow['id']}")))
        for message in ("request", "response"):
            for view in ("auto", *(view().name for view in VIEWS), "raw", "hex dump"):
                with contextlib.suppress(urllib.request.HTTPError):
                    seen.add("views", web.shown(flow["id"], message, view))
            with contextlib.suppress(urllib.request.HTTPError):
                seen.add("views", web.fetch(f"/flows/{flow['id']}/{message}/content.data"))


def _read_in_a_browser(web: Web) -> Iterator[str]:
    """The text of mitmweb's own page, with each kind of flow opened in it."""
    screenshots = script()
    with screenshots.browser() as driver:
        yield from screenshots.read(web, driver)


WEB_ARTIFACTS = (
    "flows", "commands", "exports", "views", "events", "the log", "the flow file", "dumped.har", "saved.har",
    "session.osp", "osp explain",
)  # fmt: skip


PATHS = (b"/demo/customer", b"/role/good", b"/demo/presigned", b"/demo/raises/x", b"/demo/wrong-chunks")


@pytest.mark.parametrize("name", WEB_ARTIFACTS)
def test_nothing_of_it_is_in_what_mitmweb_shows_and_writes(inspected: Seen, name: str) -> None:
    assert len(inspected.artifacts[name]) > SHORTEST
    assert inspected.told(name) == []


@needs_a_browser
def test_nothing_of_it_is_to_be_read_in_a_browser(inspected: Seen) -> None:
    page = inspected.artifacts["the page"]
    for text in (b"as it went to the store", b"AccessDenied", b"redacted-", b"S3 policy form"):
        assert text.lower() in page.lower(), text
    assert inspected.told("the page") == []


def test_all_of_it_was_looked_at(inspected: Seen) -> None:
    """The artifacts are those of the traffic in which every secret was used."""
    for path in PATHS:
        for name in ("flows", "the flow file", "dumped.har", "saved.har"):
            assert path in inspected.artifacts[name].replace(b"\\/", b"/"), (path, name)
    for view in VIEWS:
        assert f'"view_name": "{view().name}"'.encode() in inspected.artifacts["views"]


def test_what_stands_in_their_place_are_marks(inspected: Seen) -> None:
    for name in ("flows", "views", "the flow file", "dumped.har"):
        assert inspected.artifacts[name].count(b"redacted-") > 50, name


# Dumped: all that mitmdump prints of flows


@pytest.fixture(scope="module")
def dumped(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder, seen = tmp_path_factory.mktemp("dumped"), Seen()
    options = {
        "termlog_verbosity": "debug",
        "flow_detail": "4",
        "osp_preview": "4096",
        "osp_redact_headers": OWN_HEADER,
    }
    with gateway(folder, scene.config(), options=options, env=scene.env) as running:
        found = use_all(scene, running.ports[0])
    seen.add("the terminal", running.output())
    seen.add("the flow file", running.flow_file.read_bytes())
    seen.secrets = scene.secrets(found)
    return seen


@pytest.mark.parametrize("name", ["the terminal", "the flow file"])
def test_nothing_of_it_is_in_what_mitmdump_prints_and_writes(dumped: Seen, name: str) -> None:
    assert all(path in dumped.artifacts[name] for path in PATHS)
    assert dumped.artifacts[name].count(b"redacted-") > 50
    assert dumped.told(name) == []


# Served: the log, the access log, metrics and commands


@pytest.fixture(scope="module")
def served(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder, seen = tmp_path_factory.mktemp("served"), Seen()
    log = folder / "access.log"
    more = f"http_port=0, admin_port=0, listen_host='127.0.0.1', access_log={str(log)!r},"
    with serving(folder, scene.config(more), env=scene.env) as running:
        found = use_all(scene, running.port)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for path in ("metrics", "-/health", "-/ready"):
            with opener.open(f"http://127.0.0.1:{running.admin_port}/{path}") as answer:
                seen.add("metrics", answer.read())
        seen.add("osp check", run(scene, "check", running.file))
        stats = ("stats", "--admin", f"127.0.0.1:{running.admin_port}")
        seen.add("osp stats", run(scene, *stats), run(scene, *stats, "--json"))
        for text in broken(scene).values():
            running.reload(text, "stays what it was")
    seen.add("the log", running.output())
    seen.add("the access log", log.read_bytes())
    seen.secrets = scene.secrets(found)
    return seen


@pytest.mark.parametrize("name", ["metrics", "osp check", "osp stats", "the log", "the access log"])
def test_nothing_of_it_is_in_what_a_serving_gateway_tells(served: Seen, name: str) -> None:
    assert served.artifacts[name]
    assert served.told(name) == []


# Mistaken: configurations that cannot be used

FIELDS = """
from osp_gateway import ProxyServerConfig
M = {secret!r}
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', access_key=M + ' ', secret_key=M + ' ', apikey=[M], external_id=M + ' ',
                         credentials=M, region={{M: M}}, verify=M)}},
    backend_credentials={{'a': dict(access_key='a', secret_key=M + ' ', session_token=M + ' ')}},
    hmac_keystore=[dict(access_key='a', secret_key=M + ' ', session_token=[M])],
    cache_url='http://:' + M + '@127.0.0.1', cache_secret=[M], keys_url_token=M + ' ',
    keys_url='https://user:' + M + '@127.0.0.1/', opa=dict(url='https://user:' + M + '@127.0.0.1/', token=M + ' '),
    jwt=dict(issuer='x', audience='x', algorithms=['RS256'], secret=M, secret_key=M + ' '),
    sts=dict(secret=[M[:30], M[:31]], roles={{'arn:aws:iam::000000000000:role/r': dict(external_id=M + ' ')}}),
)
"""
IMPORT = "from osp_gateway import ProxyServerConfig"
BROKEN: Mapping[str, str] = {
    "fields": FIELDS,
    "keys file": "{config}\nconfig = ProxyServerConfig(cos_map={{}}, keys_file={keys!r})",
    "syntax": "secret_key = {secret!r} oops(",
    "text": "secret_key = '{secret}",
    "raises": "int({secret!r})",
    "name": "secret_key = {name}",
    "key error": "dict()[{secret!r}]",
    "type": "config = {secret!r}",
}


def broken(scene: Scene) -> dict[str, str]:
    """Configurations with mistakes beside secrets."""
    keys = scene.folder / "mistaken.toml"
    keys.touch(0o600)
    keys.write_text(f"[[keys]]\naccess_key = 'a'\nsecret_key = {MISTAKEN}\n")
    made = {
        name: text.format(secret=MISTAKEN, name=MISTAKEN_NAME, keys=str(keys), config=IMPORT)
        for name, text in BROKEN.items()
    }
    unknown = scene.config(f"server_nam={MISTAKEN!r}, sts_secret={MISTAKEN!r},")
    cache = scene.config().replace("127.0.0.1:9/0'", "127.0.0.1:a-port/0'")
    return {**made, "unknown fields": unknown, "cache_url": cache}


@pytest.mark.parametrize("name", [*BROKEN, "unknown fields", "cache_url"])
def test_a_mistake_is_told_without_the_secret_that_is_beside_it(scene: Scene, tmp_path: Path, name: str) -> None:
    file = tmp_path / "server.py"
    file.write_text(broken(scene)[name])
    status = 0 if name == "cache_url" else 1  # where it is connected to, is found out on starting
    assert leaks(scene.secrets(set()), run(scene, "check", file, status=status)) == []


@pytest.mark.parametrize("text", ["secret_key = {secret}", "secret_key = '{secret}", '[sts]\nsecret = "{secret:.20}"'])
def test_nor_in_toml(scene: Scene, tmp_path: Path, text: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text.format(secret=MISTAKEN))
    assert leaks([MISTAKEN], run(scene, "check", file, status=1)) == []


def test_an_explanation_of_what_was_pasted_does_not_tell_the_key(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "server.py"
    file.write_text(scene.config("http_port=0,"))
    wrong = signed(6190, "GET", "/demo/pasted", key="listed-key", secret=f"{SECRETS['listed']}x", host="h")
    said = run(scene, "explain", "--curl", "--config", file, status=1, given=wrong.octets)
    assert b"/demo/pasted" in said
    assert leaks(scene.secrets(set()), said) == []


# The test itself


def test_each_secret_of_the_configuration_is_one_of_those_that_are_looked_for() -> None:
    """A field that is kept out of `repr` is a secret: none of them was forgotten here."""
    assert fields_in_the_configuration() | LED_TO | SENT == set(SECRETS)


def test_the_search_would_find_each_of_them(inspected: Seen) -> None:
    assert len(inspected.secrets) > 100
    for secret in inspected.secrets:
        planted = replace(inspected, artifacts={"planted": b"... " + secret + b" ..."})
        assert secret in planted.told("planted")
        folded = secret[:9] + b"\\n   |  " + secret[9:]
        assert secret in replace(inspected, artifacts={"planted": folded}).told("planted")
