"""50 tokens and 20 buckets at once: no decision and no credential of one pair is ever used for another."""

import random
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.raw import talk
from support.raw_s3 import header_signature
from support.serving import HERE, serving
from support.signing import signed
from support.upstream import recording_upstream

TOKENS, BUCKETS, CONNECTIONS, EACH = 50, 20, 32, 100
CONFIG = """
import zlib
from osp_gateway import ProxyServerConfig
def validator(token, bucket):
    return zlib.crc32(f'{{token}} {{bucket}}'.encode()) % 2 == 0
def fetch(token, bucket):
    return dict(access_key=f'{{token}}.{{bucket}}', secret_key=f'fake-secret-{{token}}-{{bucket}}')
config = ProxyServerConfig(
    cos_map={{f'bucket-{{n}}': dict(host='127.0.0.1', port={port}, is_tls_enabled=False, ttl={ttl})
             for n in range({buckets})}},
    hmac_keystore=[dict(access_key=f'token-{{n}}', secret_key=f'fake-{{n}}') for n in range({tokens})],
    validator=validator, bucket_creds_fetcher=fetch, admin_port=0, {here}
)
"""


def allowed(token, bucket):
    return zlib.crc32(f"{token} {bucket}".encode()) % 2 == 0


def asks(port, seed):
    rng = random.Random(seed)
    with talk(port) as connection:
        for _ in range(EACH):
            n, bucket = rng.randrange(TOKENS), f"bucket-{rng.randrange(BUCKETS)}"
            request = signed(port, "GET", f"/{bucket}/token-{n}", key=f"token-{n}", secret=f"fake-{n}")
            connection.send(request.octets)
            assert connection.read_answer().status == (200 if allowed(f"token-{n}", bucket) else 403)


@pytest.mark.parametrize("ttl", [0, 1, 300])
def test_nothing_crosses_over(tmp_path, ttl):
    with recording_upstream() as store:
        text = CONFIG.format(port=store.port, ttl=ttl, buckets=BUCKETS, tokens=TOKENS, here=HERE)
        with serving(tmp_path, text) as running, ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda seed: asks(running.port, seed), range(CONNECTIONS)))
        assert len(store.requests) > CONNECTIONS * EACH / 4
        for seen in store.requests:
            _, bucket, token = seen.target.split("/")
            authorization = seen.header("authorization")
            key = re.search(r"Credential=([^/]+)/", authorization)[1]
            assert key == f"{token}.{bucket}"
            secret = f"fake-secret-{token}-{bucket}"
            signature = header_signature(seen.method, seen.target, seen.headers, authorization, key, secret)
            assert authorization.endswith(f"Signature={signature}")
            assert allowed(token, bucket)
