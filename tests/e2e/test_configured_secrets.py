"""One secret of every kind that a configuration can hold, each of them used: none is in anything that people see."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError

from support.certificates import Certificate, certificate
from support.leaks import leaks
from support.mitmweb import PASSWORD, CommandFailed, mitmweb
from support.processes import BIN
from support.raw import ask
from support.recorder import Answer, Recorded, Recorder
from support.serving import serving
from support.signing import signed
from support.sts import s3_client, sts_client
from support.upstream import Peer, Seen, Upstream, recording_upstream, response

pytest.importorskip("redis")

ISSUER = "https://issuer.example.test/realm"
SECRETS = {
    name: f"fake/{name}+secret={name[::-1]}-of-32-octets"
    for name in (
        "listed", "session", "environment", "file", "url", "url-token", "fetcher", "backend", "named",
        "apikey", "fetched-apikey", "fetched", "fetched-session", "sealing", "issuer", "opa-token", "cache",
    )
}  # fmt: skip
SECRETS["bearers"] = "fake-shared-secret-of-bearers"
SECRETS["cache-password"] = "fake-password-of-the-cache"
SECRETS["iam"] = "fake.token.of-iam-for-an-api-key"
SECRETS["exception"] = "fake-secret-in-the-text-of-an-exception"
MISTAKEN = "fake-secret-in-a-field-that-is-wrong"

CONFIG = """
import json, os
from osp_gateway import Decision, ProxyServerConfig

S = json.loads({secrets!r})
STORE = dict(host='127.0.0.1', port={store}, is_tls_enabled=False)
TLS = dict(host='127.0.0.1', port={tls_store}, is_tls_enabled=True, verify={authority!r})

def authorizer(request):
    if request.key.startswith('raises/'):
        raise RuntimeError(S['exception'])
    if request.key.startswith('denied/'):
        return Decision(False, reason='not you')
    return Decision(True, 'ok', credentials='named' if request.bucket == 'named' else '')

def hmac_fetcher(access_key):
    if access_key == 'raising-key':
        raise RuntimeError(S['exception'])
    return S['fetcher'] if access_key == 'fetched-key' else None

def bucket_creds_fetcher(token, bucket):
    if bucket == 'fetched-apikey':
        return S['fetched-apikey']
    if bucket == 'raising':
        raise RuntimeError(S['exception'])
    return dict(access_key='fetched-backend-key', secret_key=S['fetched'], session_token=S['fetched-session'])

config = ProxyServerConfig(
    cos_map={{
        'demo': {{**STORE, 'access_key': 'backend-key', 'secret_key': S['backend']}},
        'named': {{**STORE, 'access_key': 'backend-key', 'secret_key': S['backend']}},
        'away': dict(host='127.0.0.1', port=9, is_tls_enabled=False, access_key='backend-key', secret_key=S['backend']),
        'ibm': {{**TLS, 'apikey': S['apikey']}},
        'fetched-apikey': TLS, 'fetched': STORE, 'raising': STORE,
    }},
    backend_credentials={{'named': dict(access_key='named-key', secret_key=S['named'])}},
    hmac_keystore=[
        dict(access_key='listed-key', secret_key=S['listed']),
        dict(access_key='session-key', secret_key=S['listed'], session_token=S['session']),
    ],
    keys_env='OSP_TEST_KEY_', keys_file={keys_file!r},
    keys_url='http://127.0.0.1:{service}/keys', keys_url_token=S['url-token'],
    hmac_fetcher=hmac_fetcher, authorizer=authorizer, bucket_creds_fetcher=bucket_creds_fetcher,
    opa=dict(url='http://127.0.0.1:{service}/opa', token=S['opa-token']),
    jwt=dict(issuer={issuer!r}, audience='osp', algorithms=['HS256'], secret=S['issuer'], secret_key=S['bearers'],
             bearer='any'),
    sts=dict(secret=S['sealing'], roles={{'arn:aws:iam::000000000000:role/reader': dict(principals=['listed-key'])}}),
    cache_url='redis://:' + S['cache-password'] + '@127.0.0.1:9/0', cache_secret=S['cache'],
    cert_path={chain!r}, key_path={key!r}, explain_errors=True, {more}
)
"""


def service(request: Recorded) -> Answer:
    """Keys, IAM, a policy agent, and a store, by their paths."""
    if request.path == "/keys":
        assert request["authorization"] == f"Bearer {SECRETS['url-token']}"
        known = json.loads(request.body)["access_key"] == "url-key"
        return Answer(body=json.dumps({"secret_key": SECRETS["url"]}).encode()) if known else Answer(404)
    if request.path == "/opa":
        assert request["authorization"] == f"Bearer {SECRETS['opa-token']}"
        return Answer(body=b'{"result": true}')
    if request.path.startswith("/identity"):
        token = {"access_token": SECRETS["iam"], "expires_in": 3600, "expiration": int(time.time()) + 3600}
        return Answer(body=json.dumps(token).encode())
    if "refused" in request.path:
        quoted = request["authorization"]
        body = f"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>{quoted}</StringToSign></Error>"
        return Answer(403, (("Content-Type", "application/xml"),), body.encode())
    return Answer(body=b"an object")


def tls_store(_upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    if not peer.read_body(seen):
        return False
    peer.send(response(200, b"an object"))
    return True


@dataclass
class Scene:
    """What a gateway is put in."""

    services: Recorder
    store: Upstream
    cert: Certificate
    folder: Path

    def config(self, more: str = "") -> str:
        keys = self.folder / "keys.toml"
        keys.touch(0o600)
        keys.write_text(f'[[keys]]\naccess_key = "file-key"\nsecret_key = "{SECRETS["file"]}"\n')
        return CONFIG.format(
            secrets=json.dumps(SECRETS),
            store=self.services.port,
            tls_store=self.store.port,
            authority=str(self.cert.authority),
            keys_file=str(keys),
            service=self.services.port,
            issuer=ISSUER,
            chain=str(self.cert.chain),
            key=str(self.cert.key),
            more=more,
        )

    @property
    def env(self) -> dict[str, str]:
        return {
            "OSP_TEST_KEY_ONE": f"environment-key:{SECRETS['environment']}",
            "IBM_IAM_URL": f"http://127.0.0.1:{self.services.port}/identity/token",
        }


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    cert = certificate(folder / "cert", "localhost", "127.0.0.1")
    with Recorder().running() as services, recording_upstream(tls_store, cert.server_context()) as store:
        services.answer = service
        yield Scene(services, store, cert, folder)


def use_all(port: int) -> set[str]:
    """Every secret is used; returns those that came up only now."""
    token = jwt.encode(
        {"iss": ISSUER, "aud": "osp", "sub": "alice", "exp": time.time() + 600}, SECRETS["issuer"], "HS256"
    )
    clients = {
        "listed-key": "listed", "environment-key": "environment", "file-key": "file", "url-key": "url",
        "fetched-key": "fetcher",
    }  # fmt: skip

    def get(path: str, key: str = "listed-key", secret: str = "", **more: Any) -> Any:
        secret = secret or SECRETS[clients.get(key, "listed")]
        return ask(port, signed(port, "GET", path, key=key, secret=secret, **more).octets)

    for key in clients:
        assert get("/demo/good", key).status == 200, key
        assert get("/demo/wrong", key, "wrong-fake-secret").status == 403
    assert get("/demo/session", "session-key", token=SECRETS["session"]).status == 200
    assert get("/demo/session", "session-key").status == 400
    for bucket in ("named", "ibm", "fetched-apikey", "fetched"):
        assert get(f"/{bucket}/good").status == 200, bucket
    assert get("/demo/denied/x").status == 403
    assert get("/demo/raises/x").status == 403
    assert get("/demo/refused").status == 403
    assert get("/away/x").status == 503
    assert get("/raising/x").status >= 500
    get("/demo/x", "raising-key")
    assert get("/demo/bearer", token, SECRETS["bearers"]).status == 200
    bearer = f"GET /demo/bearer HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
    assert ask(port, bearer.encode()).status == 200
    ask(port, bearer.replace(token, token[:-2]).encode())
    url = f"http://127.0.0.1:{port}"
    sts = sts_client(url, "listed-key", SECRETS["listed"])
    given = sts.get_session_token()["Credentials"]
    role = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/reader", RoleSessionName="xx")["Credentials"]
    for credentials in (given, role):
        with contextlib.suppress(ClientError):
            s3_client(url, credentials).get_object(Bucket="demo", Key="given")
    return {token, *(one[name] for one in (given, role) for name in ("SecretAccessKey", "SessionToken"))}


def private_key(cert: Certificate) -> set[bytes]:
    """Its lines, which would all stand in a leaked PEM file."""
    return {line.encode() for line in cert.key.read_text().splitlines() if len(line) == 64}


def all_secrets(scene: Scene, found: set[str]) -> set[bytes]:
    written = {secret.encode() for secret in (*SECRETS.values(), *found, MISTAKEN)}
    return written | {base64.b64encode(secret) for secret in written} | private_key(scene.cert)


def test_each_secret_of_the_configuration_is_one_of_those_that_are_looked_for() -> None:
    """A field that is kept out of `repr` is a secret: none of them was forgotten here."""
    text = CONFIG.format(**dict.fromkeys(re.findall(r"(?<!{){(\w+)!?r?}(?!})", CONFIG), "0"))
    assert set(re.findall(r"S\['([a-z-]+)'\]", text)) | {"environment", "file", "url", "iam"} == set(SECRETS)


def test_nothing_of_it_is_in_mitmweb_or_in_its_files(scene: Scene, tmp_path: Path) -> None:
    har = tmp_path / "flows.har"
    options = {"termlog_verbosity": "debug", "flow_detail": "4", "osp_preview": "1024", "hardump": str(har)}
    os.environ.update(scene.env)
    try:
        with mitmweb(tmp_path, scene.config(), options) as web:
            found = use_all(web.gateway.ports[0])
            shown = [json.dumps(web.flows()), web.command("osp.config"), web.command("osp.cache.show")]
            shown.append(web._ask("/events").decode())
            shown.append(web._ask("/options").decode())
            for flow in web.flows():
                for name in ("osp.explain", "osp.curl", "osp.python"):
                    with contextlib.suppress(CommandFailed):
                        shown.append(str(web.command(name, f"@{flow['id']}")))
                for message in ("request", "response"):
                    for view in (
                        "auto",
                        "S3 request",
                        "S3 explanation",
                        "S3 XML",
                        "aws-chunked",
                        "S3 policy form",
                        "raw",
                    ):
                        shown.append(json.dumps(web.shown(flow["id"], message, view)))
            (tmp_path / "server.py").write_text(scene.config(f"server_nam={MISTAKEN!r}, sts_secret={MISTAKEN!r},"))
            web.command("osp.reload")
            web.gateway.running.wait_for("the configuration stays what it was")
    finally:
        for name in scene.env:
            del os.environ[name]
    secrets = all_secrets(scene, found)
    for name, octets in {
        "what is shown": "\n".join(shown).encode(),
        "the log": web.gateway.output().encode(),
        "the flow file": web.gateway.flow_file.read_bytes(),
        "the HAR": har.read_bytes(),
    }.items():
        assert len(octets) > 5000, name
        told = octets.replace(PASSWORD.encode(), b"")
        assert leaks(secrets, told) == [], name
        assert leaks(secrets, told.replace(b"\\/", b"/").replace(b"\\n", b"").replace(b" ", b"")) == [], name


def test_nothing_of_it_is_in_what_a_serving_gateway_tells(scene: Scene, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    more = f"http_port=0, admin_port=0, listen_host='127.0.0.1', access_log={str(log)!r},"
    with serving(tmp_path, scene.config(more), env=scene.env) as running:
        found = use_all(running.port)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{running.admin_port}/metrics") as answer:
            metrics = answer.read()
        words = {
            "osp check": ["check", str(running.file)],
            "osp stats": ["stats", "--admin", f"127.0.0.1:{running.admin_port}", "--json"],
        }
        said = {
            name: subprocess.run(
                [BIN / "osp", *arguments], env={**os.environ, **scene.env}, capture_output=True, check=True
            )
            for name, arguments in words.items()
        }
        running.reload(scene.config(f"{more} server_nam={MISTAKEN!r},"), "stays what it was")
    secrets = all_secrets(scene, found)
    for name, octets in {
        "metrics": metrics,
        "the access log": log.read_bytes(),
        "the log": running.output().encode(),
        **{name: done.stdout + done.stderr for name, done in said.items()},
    }.items():
        assert octets, name
        assert leaks(secrets, octets) == [], name


def test_the_search_would_find_each_of_them(scene: Scene) -> None:
    secrets = all_secrets(scene, {"fake-found-secret"})
    for secret in secrets:
        for hidden in (secret, base64.b64encode(b"x" + secret + b"y"), secret.hex().encode()):
            assert secret in leaks(secrets, b"..." + hidden + b"...")
