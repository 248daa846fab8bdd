"""50 tokens and 20 buckets at once: nobody gets what was found out, or fetched, for somebody else."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.processes import Store
from support.raw import Answer, talk
from support.recorder import Recorder
from support.serving import serving
from support.signing import Raw
from support.tokens import ISSUER, claims, mint, trusting

BEARERS = [f"bearer{number}" for number in range(50)]
BUCKETS = [f"bucket{number}" for number in range(20)]

CONFIGURATION = """
import asyncio
from osp_gateway import ProxyServerConfig

STORE = dict(host='127.0.0.1', port={port}, is_tls_enabled=False)

async def may(request):
    await asyncio.sleep(0.001)  # so that others come along
    claims = request.identity.claims
    return claims['number'] % 3 != int(request.bucket.removeprefix('bucket')) % 3

async def credentials(token, bucket):
    await asyncio.sleep(0.001)
    name = token.rpartition('#')[2]
    return dict(access_key=f'fake-key-{{name}}-{{bucket}}', secret_key=f'fake-secret-{{name}}-{{bucket}}')

config = ProxyServerConfig(
    cos_map={{f'bucket{{number}}': STORE for number in range(20)}},
    authorizer=may, bucket_creds_fetcher=credentials, jwt={jwt!r},
    http_port=0, listen_host='127.0.0.1', admin_port=0,
)
"""


def test_no_decision_and_no_credential_crosses_over(tmp_path: Path) -> None:
    tokens = {name: mint(claims(time.time(), sub=name, number=number)) for number, name in enumerate(BEARERS)}
    asked = [(name, bucket, again) for name in BEARERS for bucket in BUCKETS for again in range(2)]
    random.shuffle(asked)
    with Recorder().running() as recorder:
        store = Store(recorder.port, tmp_path)
        text = CONFIGURATION.format(port=store.port, jwt=trusting(bearer="any"))
        with serving(tmp_path, text) as running:

            def ask_all(part: list[tuple[str, str, int]]) -> list[Answer]:
                answers = []
                with talk(running.port) as connection:
                    for name, bucket, _ in part:
                        head = (("Host", f"127.0.0.1:{running.port}"), ("Authorization", f"Bearer {tokens[name]}"))
                        connection.send(Raw("GET", f"/{bucket}/{name}", head).octets)
                        answers.append(connection.read_answer())
                return answers

            parts = [asked[start::16] for start in range(16)]
            with ThreadPoolExecutor(16) as pool:
                answers = [answer for found in pool.map(ask_all, parts) for answer in found]
    order = [one for part in parts for one in part]
    for (name, bucket, _), answer in zip(order, answers, strict=True):
        allowed = BEARERS.index(name) % 3 != BUCKETS.index(bucket) % 3
        assert answer.status == (200 if allowed else 403), (name, bucket)
    assert len(recorder.requests) == sum(answer.status == 200 for answer in answers)
    for sent in recorder.requests:
        bucket, name = sent.target.removeprefix("/").split("/")
        assert sent.is_signed_by(f"fake-key-{name}-{bucket}", f"fake-secret-{name}-{bucket}")
    assert ISSUER not in "".join(sent.raw_head.decode() for sent in recorder.requests)
