"""Client keys that are different users of the store stay different users, whatever happens at the same time."""

from __future__ import annotations

import http.client
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from support.raw_s3 import signed_headers

THREADS = 8
REQUESTS = 60
"""For each thread."""


@pytest.fixture(scope="module")
def place(cluster):
    """Buckets: one for each user alone, one in which Alice and Bob write, one name that Alice and Carol both have."""
    stem = f"strict-{uuid.uuid4().hex[:12]}"
    for user in ("alice", "bob", "carol"):
        s3 = cluster.s3(user)
        s3.create_bucket(Bucket=f"{stem}-{user}")
        s3.put_object(Bucket=f"{stem}-{user}", Key="private", Body=f"{user}'s own".encode())
    cluster.s3("alice").create_bucket(Bucket=f"{stem}-open", ACL="public-read-write")
    for user in ("alice", "carol"):
        cluster.s3(user).create_bucket(Bucket=f"{stem}-same")
        cluster.s3(user).put_object(Bucket=f"{stem}-same", Key="private", Body=f"{user}'s own".encode())
    return stem


class Line:
    """One connection to the gateway, on which the users take turns."""

    def __init__(self, osp, cluster):
        self.host = urlsplit(osp.url).netloc
        self.connection = http.client.HTTPConnection(self.host, timeout=60)
        self.users = cluster.users

    def ask(self, user, method, target, body=b""):
        key, secret = self.users[user].client_key, self.users[user].client_secret
        headers = signed_headers(method, self.host, target, {}, body, key, secret)
        self.connection.request(method, target, body or None, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def sees_its_own(line, place, user, number):
    status, body = line.ask(user, "GET", f"/{place}-{user}/private")
    assert (status, body) == (200, f"{user}'s own".encode())


def does_not_see_anothers(line, place, user, number):
    other = {"alice": "bob", "bob": "alice", "carol": "alice"}[user]
    status, body = line.ask(user, "GET", f"/{place}-{other}/private")
    assert status in (403, 404), body  # Carol's tenant has no such bucket
    assert f"{other}'s own".encode() not in body


def does_not_write_into_anothers(line, place, user, number):
    other = {"alice": "bob", "bob": "alice", "carol": "bob"}[user]
    assert line.ask(user, "PUT", f"/{place}-{other}/private", b"overwritten")[0] in (403, 404)


def sees_its_own_of_a_name_that_two_have(line, place, user, number):
    status, body = line.ask(user, "GET", f"/{place}-same/private")
    assert (status, body) == ((403, body) if user == "bob" else (200, f"{user}'s own".encode()))


def writes_where_both_may(line, place, user, number):
    if user != "carol":
        assert line.ask(user, "PUT", f"/{place}-open/{user}/{number}", user.encode())[0] == 200


def lists_its_own_buckets(line, place, user, number):
    status, body = line.ask(user, "GET", "/")
    assert status == 200
    assert f"<DisplayName>{user.title()}</DisplayName>".encode() in body


DEEDS = [
    sees_its_own,
    does_not_see_anothers,
    does_not_write_into_anothers,
    sees_its_own_of_a_name_that_two_have,
    writes_where_both_may,
    lists_its_own_buckets,
]


def many_deeds(osp, cluster, place, seed):
    """A different order for each thread; a new connection now and then."""
    dice = random.Random(seed)
    line = Line(osp, cluster)
    for number in range(REQUESTS):
        if dice.random() < 0.2:
            line.connection.close()
        dice.choice(DEEDS)(line, place, dice.choice(["alice", "bob", "carol"]), f"{seed}-{number}")
    line.connection.close()


def test_nobody_ever_acts_with_anothers_credentials(strict_osp, cluster, place):
    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(many_deeds, strict_osp, cluster, place, seed) for seed in range(THREADS)]:
            done.result()
    pages = cluster.s3().get_paginator("list_objects_v2").paginate(Bucket=f"{place}-open", FetchOwner=True)
    owners = {entry["Key"]: entry["Owner"]["ID"] for page in pages for entry in page.get("Contents", ())}
    assert {key.split("/")[0] for key in owners} == {"alice", "bob"}
    assert all(key.split("/")[0] == owner for key, owner in owners.items())
    for user in ("alice", "bob", "carol"):
        kept = cluster.s3(user).get_object(Bucket=f"{place}-{user}", Key="private")["Body"].read()
        assert kept == f"{user}'s own".encode()


@pytest.mark.parametrize("user", ["alice", "bob", "carol"])
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_a_user_alone(strict_osp, cluster, place, deed, user):
    deed(Line(strict_osp, cluster), place, user, uuid.uuid4().hex)


def test_a_copy_reads_its_source_as_the_one_who_asks(same_as_direct):
    def call(side):
        side.put("private", b"alice's own")
        theirs = side.new_bucket()
        side.s3("bob").create_bucket(Bucket=theirs)
        source = {"Bucket": side.bucket, "Key": side.key("private")}
        side.ask("copy_object", "copy", user="bob", Bucket=theirs, CopySource=source)

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (403, "AccessDenied")
