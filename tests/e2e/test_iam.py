"""IBM: an API key becomes a bearer token by way of IAM, here a stand-in that checks the grant."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest

from support.certificates import certificate
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask
from support.s3 import client
from support.signing import signed
from support.upstream import recording_upstream, response

GRANT = "urn:ibm:params:oauth:grant-type:apikey"
GOOD = ("fake-apikey-one", "fake-apikey-two", "fake-apikey-busy", "fake-apikey-fetched")

CONFIG = """
from osp_gateway import ProxyServerConfig
COS = dict(host='127.0.0.1', port={store}, is_tls_enabled=True)
config = ProxyServerConfig(
    cos_map={{
        'one': {{**COS, 'apikey': 'fake-apikey-one'}},
        'two': {{**COS, 'api_key': 'fake-apikey-two'}},
        'busy': {{**COS, 'apikey': 'fake-apikey-busy'}},
        'flaky': {{**COS, 'apikey': 'fake-apikey-flaky'}},
        'wrong': {{**COS, 'apikey': 'fake-apikey-wrong'}},
        'silent': {{**COS, 'apikey': 'fake-apikey-silent'}},
        'broken': {{**COS, 'apikey': 'fake-apikey-broken'}},
        'redirected': {{**COS, 'apikey': 'fake-apikey-redirected'}},
        'fetched': COS,
    }},
    bucket_creds_fetcher=lambda token, bucket: 'fake-apikey-fetched',
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=lambda token, bucket: True,
)
"""


class Iam:
    """What the stand-in was asked: API keys in order."""

    def __init__(self):
        self.asked = []
        self.lock = threading.Lock()

    def __call__(self, upstream, peer, seen):
        peer.read_body(seen)
        form = parse_qs(bytes(seen.body).decode())
        (api_key,) = form.get("apikey", [""])
        with self.lock:
            self.asked.append(api_key)
            count = self.asked.count(api_key)
        if api_key == "fake-apikey-silent":
            return False
        peer.send(self.answer(seen, form, api_key, count))
        return True

    def answer(self, seen, form, api_key, count):
        if seen.method != "POST" or seen.target != "/identity/token" or form.get("grant_type") != [GRANT]:
            return response(400, b'{"errorCode":"BXNIM0109E"}')
        if api_key == "fake-apikey-broken":
            return response(200, b'{"hello":"there"}')
        if api_key == "fake-apikey-redirected":
            return response(307, location="/identity/token?again")
        if api_key == "fake-apikey-flaky" and count == 1:
            return response(503)
        if api_key not in (*GOOD, "fake-apikey-flaky"):
            return response(400, b'{"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found."}')
        token = {"access_token": f"fake-token-for-{api_key}", "expires_in": 3600, "token_type": "Bearer"}
        return response(200, json.dumps(token).encode())


def digest(authorization):
    return hashlib.sha256(authorization.encode()).hexdigest().encode()


def cos(upstream, peer, seen):
    """A store that takes nothing but bearer tokens, and answers with the hash of the one that it got."""
    if not peer.read_body(seen):
        return False
    authorization = seen.header("authorization") or ""
    if authorization.startswith("Bearer fake-token-for-"):
        peer.send(response(200, digest(authorization) if seen.method == "GET" else b""))
    else:
        peer.send(response(403, b"<Error><Code>AccessDenied</Code></Error>"))
    return True


@pytest.fixture(scope="module")
def iam():
    return Iam()


@pytest.fixture(scope="module")
def cos_store(tmp_path_factory):
    cert = certificate(tmp_path_factory.mktemp("cos"), "127.0.0.1")
    with recording_upstream(cos, cert.server_context()) as store:
        yield store, cert


@pytest.fixture(scope="module")
def ibm(iam, cos_store, tmp_path_factory):
    store, cert = cos_store
    config = CONFIG.format(store=store.port, key=CLIENT_KEY, secret=CLIENT_SECRET)
    with (
        recording_upstream(iam) as service,
        gateway(
            tmp_path_factory.mktemp("ibm"),
            config,
            options={"ssl_verify_upstream_trusted_ca": str(cert.authority)},
            env={"IBM_IAM_URL": f"http://127.0.0.1:{service.port}"},
        ) as running,
    ):
        yield running


def get(ibm, bucket):
    return ask(ibm.ports[0], signed(ibm.ports[0], "GET", f"/{bucket}/key").octets)


@pytest.mark.parametrize("bucket", ["one", "two", "fetched"])
def test_the_store_gets_the_token_of_the_buckets_api_key(ibm, bucket):
    assert get(ibm, bucket).body == digest(f"Bearer fake-token-for-fake-apikey-{bucket}")


def test_boto3_uploads_with_a_bearer_token(ibm, cos_store):
    store, _ = cos_store
    client(ibm.url).put_object(Bucket="one", Key="uploaded-by-boto3", Body=b"body")
    seen = store.wait_for_request("uploaded-by-boto3")
    assert seen.header("authorization") == "Bearer fake-token-for-fake-apikey-one"
    assert bytes(seen.body) == b"body"


def test_a_token_is_fetched_once_for_many_requests_at_a_time(ibm, iam):
    request = signed(ibm.ports[0], "GET", "/busy/key").octets
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(ibm.ports[0], request), range(32)))
    assert {answer.status for answer in answers} == {200}
    assert iam.asked.count("fake-apikey-busy") == 1


def test_iam_is_asked_again_when_it_stumbles(ibm, iam):
    assert get(ibm, "flaky").status == 200
    assert iam.asked.count("fake-apikey-flaky") == 2


@pytest.mark.parametrize("bucket", ["wrong", "silent", "broken", "redirected"])
def test_without_a_token_the_client_is_told_to_try_again(ibm, cos_store, bucket):
    store, _ = cos_store
    answer = get(ibm, bucket)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert "credentials" in answer.message
    assert not any(f"/{bucket}/" in seen.target for seen in store.requests)


def test_a_wrong_api_key_is_not_tried_over_and_over_for_one_request(ibm, iam):
    before = iam.asked.count("fake-apikey-wrong")
    get(ibm, "wrong")
    assert iam.asked.count("fake-apikey-wrong") == before + 1


def test_an_api_key_is_not_sent_after_a_redirect(ibm, iam):
    before = iam.asked.count("fake-apikey-redirected")
    get(ibm, "redirected")
    assert iam.asked.count("fake-apikey-redirected") == before + 1


def test_other_buckets_work_while_one_has_no_token(ibm):
    assert [get(ibm, bucket).status for bucket in ("wrong", "one", "silent", "two")] == [503, 200, 503, 200]


def test_iam_that_is_down_is_a_503(tmp_path, cos_store):
    store, cert = cos_store
    with recording_upstream() as service:
        closed = service.port
    with gateway(
        tmp_path,
        CONFIG.format(store=store.port, key=CLIENT_KEY, secret=CLIENT_SECRET),
        options={"ssl_verify_upstream_trusted_ca": str(cert.authority)},
        env={"IBM_IAM_URL": f"http://127.0.0.1:{closed}"},
    ) as running:
        answer = get(running, "one")
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")


def test_neither_api_keys_nor_tokens_are_written_down(ibm):
    for bucket in ("one", "two", "wrong", "fetched"):
        get(ibm, bucket)
    written = ibm.output().encode() + ibm.flow_file.read_bytes()
    assert b"/one/key" in written
    assert b"fake-apikey-" not in written  # nor a token, which ends in one
    assert CLIENT_SECRET.encode() not in written
