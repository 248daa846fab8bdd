"""A configuration with one fake secret of every kind that it can hold, and traffic that uses each of them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

import jwt
from botocore.exceptions import ClientError

from osp_gateway.sigv4.keys import KeyPair
from support import forms
from support.aws_chunked import CRC32
from support.certificates import Certificate, certificate
from support.chunked_requests import Upload
from support.leaks import signatures_in
from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.raw import ask
from support.recorder import Answer, Recorded, Recorder
from support.signing import presigned, signed
from support.sts import s3_client, sts_client
from support.tee import Tee
from support.upstream import Peer, Seen, Upstream, recording_upstream, response

ISSUER: Final = "https://issuer.example.test/realm"
ROLE: Final = "arn:aws:iam::000000000000:role/reader"
BACKEND_ROLE: Final = "arn:aws:iam::123456789012:role/fake-role"
OWN_HEADER: Final = "x-internal-ticket"
"""A header of clients that the operator has masked."""

SECRETS: Final = {
    name: f"fake/{name}+secret={name[::-1]}-of-32-octets"
    for name in (
        "listed", "session", "environment", "file", "url", "url-token", "url-query", "fetcher", "backend", "named",
        "named-session", "apikey", "fetched-apikey", "fetched", "fetched-session", "chain", "chain-session",
        "assumed", "assumed-session", "external-id", "role-external-id", "sealing", "sealing-old", "issuer",
        "opa-token", "opa-query", "jwks-query", "cache", "client-session-cookie", "client-ticket", "store-cookie",
    )
}  # fmt: skip
SECRETS["bearers"] = "fake-shared-secret-of-bearers"
SECRETS["cache-password"] = "fake-password-of-the-cache"
SECRETS["iam"] = "fake.token.of-iam-for-an-api-key"
SECRETS["exception"] = "fake-secret-in-the-text-of-an-exception"
MISTAKEN: Final = "fake-secret-in-a-field-that-is-wrong"
MISTAKEN_NAME: Final = "FakeSecretWithoutQuotes0123456789abcdefX"
OPAQUE_BEARER: Final = "fake-opaque-bearer-of-somebody"
CUSTOMER_KEY: Final = b"a-fake/key+of?a=customer-of-32-o"
LED_TO: Final = frozenset({"environment", "file", "url", "iam", "chain", "chain-session", "assumed", "assumed-session"})
"""Secrets that the configuration leads to, and does not hold itself."""
SENT: Final = frozenset({"client-session-cookie", "client-ticket", "store-cookie"})
"""Secrets of clients and stores, which go through."""

CONFIG: Final = """
import json
from osp_gateway import Decision, ProxyServerConfig

S = json.loads({secrets!r})
STORE = dict(host='127.0.0.1', port={store}, is_tls_enabled=False)
TLS = dict(host='127.0.0.1', port={tls_store}, is_tls_enabled=True, verify={authority!r})
SERVICE = 'http://127.0.0.1:{service}'

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

def before_send(request):
    if request.access.key.startswith('before/'):
        raise RuntimeError(S['exception'])
    if request.access.key.startswith('sets-wrong/'):
        request.headers['authorization'] = S['exception']

def after_response(request, response):
    if request.access.key.startswith('after/'):
        raise RuntimeError(S['exception'])
    if request.access.key.startswith('sets-wrong-answer/'):
        response.headers['x-Wrong'] = S['exception']

config = ProxyServerConfig(
    cos_map={{
        'demo': {{**STORE, 'access_key': 'backend-key', 'secret_key': S['backend']}},
        'named': {{**STORE, 'access_key': 'backend-key', 'secret_key': S['backend']}},
        'away': dict(host='127.0.0.1', port=9, is_tls_enabled=False, access_key='backend-key', secret_key=S['backend']),
        'ibm': {{**TLS, 'apikey': S['apikey']}},
        'chain': {{**STORE, 'profile': 'source'}},
        'role': {{**STORE, 'profile': 'source', 'role_arn': {backend_role!r}, 'external_id': S['external-id']}},
        'locked': {{**STORE, 'profile': 'source', 'role_arn': {backend_role!r}, 'external_id': S['exception']}},
        'fetched-apikey': TLS, 'fetched': STORE, 'raising': STORE,
    }},
    backend_credentials={{
        'named': dict(access_key='named-key', secret_key=S['named'], session_token=S['named-session']),
    }},
    hmac_keystore=[
        dict(access_key='listed-key', secret_key=S['listed']),
        dict(access_key='session-key', secret_key=S['listed'], session_token=S['session']),
        dict(access_key={client_key!r}, secret_key={client_secret!r}),
    ],
    keys_env='OSP_TEST_KEY_', keys_file={keys_file!r},
    keys_url=SERVICE + '/keys?code={url_query}', keys_url_token=S['url-token'],
    hmac_fetcher=hmac_fetcher, authorizer=authorizer, bucket_creds_fetcher=bucket_creds_fetcher,
    before_send=before_send, after_response=after_response,
    opa=dict(url=SERVICE + '/opa?code={opa_query}', token=S['opa-token']),
    jwt=[
        dict(issuer={issuer!r}, audience='osp', algorithms=['HS256'], secret=S['issuer'], secret_key=S['bearers'],
             bearer='any'),
        dict(issuer={issuer!r} + '/other', audience='osp', jwks_url=SERVICE + '/jwks?code={jwks_query}', bearer='any'),
    ],
    sts=dict(secret=[S['sealing'], S['sealing-old']], roles={{
        {role!r}: dict(principals=['listed-key'], external_id=[S['role-external-id']]),
        {role!r} + '-of-tokens': dict(web_identity=dict(iss={issuer!r}, sub='alice')),
    }}),
    cache_url='redis://:' + S['cache-password'] + '@127.0.0.1:9/0', cache_secret=S['cache'],
    cert_path={chain!r}, key_path={key!r}, explain_errors=True, allow_sigv2=True, {more}
)
"""


def fields_in_the_configuration() -> set[str]:
    """The names of the secrets that it holds."""
    queries = {name.replace("_", "-") for name in re.findall(r"\?code=\{(\w+)\}", CONFIG)}
    return queries | set(re.findall(r"S\['([a-z-]+)'\]", CONFIG))


@dataclass
class Scene:
    """What a gateway is put in."""

    services: Recorder
    store: Upstream
    cert: Certificate
    folder: Path

    def config(self, more: str = "") -> str:
        """The configuration; `more` are further arguments."""
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
            role=ROLE,
            backend_role=BACKEND_ROLE,
            client_key=CLIENT_KEY,
            client_secret=CLIENT_SECRET,
            **{f"{name}_query": quote(SECRETS[f"{name}-query"], safe="") for name in ("url", "opa", "jwks")},
            chain=str(self.cert.chain),
            key=str(self.cert.key),
            more=more,
        )

    @property
    def env(self) -> dict[str, str]:
        """The gateway's environment."""
        credentials = self.folder / "credentials"
        credentials.write_text(
            f"[source]\naws_access_key_id = source-key\naws_secret_access_key = {SECRETS['chain']}\n"
            f"aws_session_token = {SECRETS['chain-session']}\n"
        )
        return {
            "OSP_TEST_KEY_ONE": f"environment-key:{SECRETS['environment']}",
            "IBM_IAM_URL": f"http://127.0.0.1:{self.services.port}/identity/token",
            "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{self.services.port}",
        }

    def secrets(self, found: set[bytes]) -> set[bytes]:
        """All of them; `found` came up in traffic."""
        written = {secret.encode() for secret in (*SECRETS.values(), MISTAKEN, MISTAKEN_NAME, CLIENT_SECRET)}
        sent_up = signatures_in(b"\n".join(request.raw_head + request.body for request in self.services.requests))
        return written | found | sent_up | private_key(self.cert)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """The services and stores around a gateway."""
    cert = certificate(folder / "cert", "localhost", "127.0.0.1")
    with Recorder().running() as services, recording_upstream(_tls_store, cert.server_context()) as store:
        services.answer = _service
        yield Scene(services, store, cert, folder)


def private_key(cert: Certificate) -> set[bytes]:
    """Its lines, which would all stand in a leaked PEM file."""
    return {line.encode() for line in cert.key.read_text().splitlines() if len(line) == 64}


# What the gateway asks


def _service(request: Recorded) -> Answer:
    """Keys, IAM, STS, a policy agent, and a store, by their paths."""
    asked = {name: values[0] for name, values in parse_qs(request.target.partition("?")[2]).items()}
    if request.path == "/keys":
        assert asked["code"] == SECRETS["url-query"]
        assert request["authorization"] == f"Bearer {SECRETS['url-token']}"
        known = json.loads(request.body)["access_key"] == "url-key"
        return Answer(body=json.dumps({"secret_key": SECRETS["url"]}).encode()) if known else Answer(404)
    if request.path == "/opa":
        assert asked["code"] == SECRETS["opa-query"]
        assert request["authorization"] == f"Bearer {SECRETS['opa-token']}"
        return Answer(body=b'{"result": true}')
    if request.path == "/jwks":
        assert asked["code"] == SECRETS["jwks-query"]
        return Answer(500, body=b"no keys today")
    if request.path.startswith("/identity"):
        token = {"access_token": SECRETS["iam"], "expires_in": 3600, "expiration": int(time.time()) + 3600}
        return Answer(body=json.dumps(token).encode())
    if request.path == "/" and b"Action=AssumeRole" in request.body:
        return _assumed(parse_qs(request.body.decode()))
    return _stored(request)


def _assumed(form: dict[str, list[str]]) -> Answer:
    if form.get("ExternalId") != [SECRETS["external-id"]]:
        said = f"<Error><Code>AccessDenied</Code><Message>not {form.get('ExternalId')}</Message></Error>"
        return Answer(403, body=f"<ErrorResponse>{said}</ErrorResponse>".encode())
    leaves = {
        "AccessKeyId": "assumed-key",
        "SecretAccessKey": SECRETS["assumed"],
        "SessionToken": SECRETS["assumed-session"],
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)),
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in leaves.items())
    result = f"<AssumeRoleResult><Credentials>{inner}</Credentials></AssumeRoleResult>"
    return Answer(body=f"<AssumeRoleResponse>{result}</AssumeRoleResponse>".encode())


def _stored(request: Recorded) -> Answer:
    cookie = ("Set-Cookie", f"stored={SECRETS['store-cookie']}; Path=/")
    if "failing" in request.path:
        return Answer(500, (cookie,), b"<Error><Code>InternalError</Code></Error>")
    if "refused" in request.path or b"refused-form" in request.body:
        quoted, token = request.get("authorization") or _quoted(request.body), request.get("x-amz-security-token") or ""
        body = (
            f"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>{quoted}</StringToSign><Token-0>{token}</Token-0>"
            f"<CanonicalRequest>{request.raw_head.decode('latin-1')}</CanonicalRequest></Error>"
        )
        return Answer(403, (("Content-Type", "application/xml"), cookie), body.encode())
    return Answer(headers=(("ETag", '"0123456789abcdef0123456789abcdef"'), cookie), body=b"an object")


def _quoted(form: bytes) -> str:
    """What a store says that it has computed a form's signature of, and the signature."""
    policy, signature = (re.search(rb'name="%b"\r\n\r\n(\S+)' % name, form) for name in (b"policy", b"x-amz-signature"))
    assert policy is not None
    assert signature is not None
    return f"{policy[1].decode()} Signature={signature[1].decode()}"


def _tls_store(_upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    if not peer.read_body(seen):
        return False
    peer.send(response(200, b"an object"))
    return True


# What clients do

CLIENTS: Final = {
    "listed-key": "listed", "environment-key": "environment", "file-key": "file", "url-key": "url",
    "fetched-key": "fetcher",
}  # fmt: skip


def use_all(scene: Scene, port: int) -> set[bytes]:
    """Use every secret at a gateway's port; returns those that came up only now."""
    with Tee(port).running() as tee:
        traffic = Traffic(tee.port)
        for step in (
            traffic.keys,
            traffic.backends,
            traffic.functions,
            traffic.bearers,
            traffic.sts,
            traffic.headers,
            traffic.urls_and_forms,
            traffic.bodies,
        ):
            step()
        signatures = signatures_in(tee.octets)
    Traffic(port).tls(scene.cert)
    assert len(signatures) > 40
    return traffic.found | signatures


@dataclass
class Traffic:
    """What clients do at a port, and what secrets came up in it."""

    port: int
    found: set[bytes] = field(default_factory=set)

    def get(self, path: str, key: str = "listed-key", secret: str = "", **more: Any) -> Any:
        """A GET that is signed."""
        secret = secret or SECRETS[CLIENTS.get(key, "listed")]
        return ask(self.port, signed(self.port, "GET", path, key=key, secret=secret, **more).octets)

    def keys(self) -> None:
        """Client keys of each source: right, wrong, with and without their token."""
        for key in CLIENTS:
            assert self.get("/demo/good", key).status == 200, key
            assert self.get("/demo/wrong", key, "wrong-fake-secret").status == 403
        session = {"key": "session-key", "token": SECRETS["session"]}
        assert self.get("/demo/session", **session).status == 200
        assert self.get("/demo/session-wrong", **session, secret="wrong-fake-secret").status == 403
        assert self.get("/demo/session", "session-key").status == 400
        self.get("/demo/x", "raising-key")
        self.get("/demo/x", "unknown-key")

    def backends(self) -> None:
        """Credentials for backends: good, refused there, failing, and out of reach."""
        for bucket in ("named", "ibm", "fetched-apikey", "fetched", "chain", "role"):
            assert self.get(f"/{bucket}/good").status == 200, bucket
        for bucket in ("demo", "named", "fetched", "chain", "role"):
            assert self.get(f"/{bucket}/refused").status == 403, bucket
        assert self.get("/demo/failing").status == 500
        assert self.get("/away/x").status == 503
        assert self.get("/raising/x").status >= 500
        assert self.get("/locked/x").status == 503

    def functions(self) -> None:
        """The operator's functions refuse, raise, or do what they must not."""
        assert self.get("/demo/denied/x").status == 403
        assert self.get("/demo/raises/x").status == 403
        for key, status in (("before", 500), ("sets-wrong", 500), ("after", 502), ("sets-wrong-answer", 502)):
            assert self.get(f"/demo/{key}/x").status == status, key

    def bearers(self) -> None:
        """Tokens: in the place of an access key, as bearers, wrong ones, and of an issuer that does not answer."""
        claims = {"iss": ISSUER, "aud": "osp", "sub": "alice", "exp": time.time() + 600}
        token = jwt.encode(claims, SECRETS["issuer"], "HS256")
        other = jwt.encode({**claims, "iss": f"{ISSUER}/other"}, "a-fake-key-that-nobody-knows-at-all", "HS256")
        self.found |= {token.encode(), other.encode(), OPAQUE_BEARER.encode()}
        assert self.get("/demo/bearer", token, SECRETS["bearers"]).status == 200
        bearer = f"GET /demo/bearer HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
        assert ask(self.port, bearer.encode()).status == 200
        for wrong in (token[:-2], other, OPAQUE_BEARER):
            assert ask(self.port, bearer.replace(token, wrong).encode()).status >= 400

    def sts(self) -> None:
        """Temporary keys: given for a key and for a token, refused, and used."""
        url = f"http://127.0.0.1:{self.port}"
        sts = sts_client(url, "listed-key", SECRETS["listed"])
        role = {"RoleArn": ROLE, "RoleSessionName": "xx"}
        claims = {"iss": ISSUER, "aud": "osp", "sub": "alice", "exp": time.time() + 900}
        web = jwt.encode(claims, SECRETS["issuer"], "HS256")
        self.found.add(web.encode())
        for answer in (
            sts.get_session_token(),
            sts.assume_role(**role, ExternalId=SECRETS["role-external-id"]),
            sts.assume_role_with_web_identity(**{**role, "RoleArn": f"{ROLE}-of-tokens"}, WebIdentityToken=web),
        ):
            credentials = answer["Credentials"]
            self.found |= {credentials[name].encode() for name in ("SecretAccessKey", "SessionToken")}
            with contextlib.suppress(ClientError):
                s3_client(url, credentials).get_object(Bucket="demo", Key="given")
        with contextlib.suppress(ClientError):
            sts.assume_role(**role, ExternalId=MISTAKEN)

    def headers(self) -> None:
        """Cookies, keys of SSE-C, and a header of the operator's choice."""
        name = "x-amz-server-side-encryption-customer"
        md5 = hashlib.md5(CUSTOMER_KEY, usedforsecurity=False).digest()
        self.found |= {CUSTOMER_KEY, md5, base64.b64encode(CUSTOMER_KEY), base64.b64encode(md5)}
        more = (
            (f"{name}-algorithm", "AES256"),
            (f"{name}-key", base64.b64encode(CUSTOMER_KEY).decode()),
            (f"{name}-key-md5", base64.b64encode(md5).decode()),
            ("Cookie", f"a=b; session={SECRETS['client-session-cookie']}"),
            (OWN_HEADER, SECRETS["client-ticket"]),
        )
        for key, status in (("customer", 200), ("refused-customer", 403), ("before/customer", 500)):
            assert self.get(f"/demo/{key}", headers=more).status == status
        assert self.get("/away/customer", headers=more).status == 503
        assert self.get("/demo/customer-wrong", headers=more, secret="wrong-fake-secret").status == 403

    def urls_and_forms(self) -> None:
        """What authenticates itself in a URL or a form, right and wrong."""
        good = presigned(self.port, "GET", "/demo/presigned", key="listed-key", secret=SECRETS["listed"])
        assert ask(self.port, good.octets).status == 200
        assert ask(self.port, good.octets.replace(b"/presigned", b"/another")).status == 403
        token = quote(SECRETS["session"], safe="").encode()
        for was, becomes in ((b" HTTP/1.1", b"&X-Amz-Security-Token=" + token + b" HTTP/1.1"), (b"?", b"%3F")):
            assert ask(self.port, good.octets.replace(was, becomes, 1)).status >= 400
        pair = KeyPair("session-key", SECRETS["listed"], SECRETS["session"])
        for key, status in (("form", 200), ("denied/form", 403), ("refused-form", 403)):
            fields = forms.boto3_fields(key, pair=pair)
            assert self._post(fields) == status, key
            assert self._post(forms.changed(fields, key="elsewhere")) == 403

    def _post(self, fields: forms.Pairs) -> int:
        body = forms.form_body(fields, b"a file")
        head = (
            f"POST /demo HTTP/1.1\r\nHost: h\r\nContent-Type: {forms.CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        )
        answered = ask(self.port, f"{head}\r\n".encode() + body).status
        return 200 if answered == 204 else answered

    def bodies(self) -> None:
        """Bodies with signatures in them, and a head that nobody can read."""
        mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
        good = Upload(mode, b"x" * 9000)
        assert ask(self.port, good.request(self.port, "/demo/chunks").octets).status == 200
        wrong = Upload(mode, b"y" * 9000, trailers=((CRC32, base64.b64encode(b"\0" * 4).decode()),))
        assert ask(self.port, wrong.request(self.port, "/demo/wrong-chunks").octets).status == 400
        cookie = (("Cookie", f"c={SECRETS['client-session-cookie']}"),)
        unreadable = signed(self.port, "GET", "/demo/unreadable", headers=cookie).octets
        with contextlib.suppress(ConnectionError):
            ask(self.port, unreadable.replace(b"\r\nAuthorization: ", b"\r\nAuthorization : "))

    def tls(self, cert: Certificate) -> None:
        """The private key is used."""
        request = signed(self.port, "GET", "/demo/tls", key="listed-key", secret=SECRETS["listed"])
        assert ask(self.port, request.octets, cert.client_context()).status == 200
