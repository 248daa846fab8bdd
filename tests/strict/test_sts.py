"""Temporary keys before a strict store: roles are different users of it, and sessions end."""

from __future__ import annotations

import time
import uuid

import pytest
from botocore.exceptions import ClientError

from support.processes import gateway
from support.strict import strict_config
from support.sts import ISSUER, JWT, ROLES, SECRET, s3_client, sts_client, web_token

ALICE, BOB, BRIEF, PIPELINE = (ROLES + name for name in ("alice", "bob", "brief", "pipeline"))
STS = {
    "secret": SECRET,
    "min_duration": 1,
    "roles": {
        ALICE: {"principals": ["client-alice"]},
        BOB: {"principals": ["client-bob", ALICE]},
        BRIEF: {"principals": ["client-alice"], "max_duration": 3},
        PIPELINE: {"web_identity": {"iss": ISSUER, "sub": "pipeline"}},
    },
}


def config(cluster):
    users = {role: cluster.users[name] for role, name in ((ALICE, "alice"), (BOB, "bob"), (BRIEF, "alice"))}
    users[PIPELINE] = cluster.users["bob"]
    theirs = {role: (user.access_key, user.secret_key) for role, user in users.items()}
    text = strict_config(cluster, f"sts={STS!r}, jwt={JWT!r}")
    return text.replace("def bucket_creds_fetcher", f"CREDENTIALS.update({theirs!r})\ndef bucket_creds_fetcher")


@pytest.fixture(scope="module")
def osp(cluster, tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("sts"), config(cluster)) as running:
        yield running


@pytest.fixture(scope="module")
def bucket(cluster):
    """Alice's."""
    name = f"strict-{uuid.uuid4().hex[:12]}"
    cluster.s3("alice").create_bucket(Bucket=name)
    cluster.s3("alice").put_object(Bucket=name, Key="private", Body=b"alice's own")
    return name


def role(osp, user, arn, **parameters):
    sts = sts_client(osp.url, f"client-{user}", f"client-{user}-fake-secret")
    return sts.assume_role(RoleArn=arn, RoleSessionName="strict", **parameters)["Credentials"]


def again(osp, credentials, arn):
    sts = sts_client(osp.url, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    return sts.assume_role(RoleArn=arn, RoleSessionName="strict")["Credentials"]


def code(function, **parameters):
    try:
        function(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def test_a_role_acts_as_its_user_of_the_store(osp, cluster, bucket):
    s3 = s3_client(osp.url, role(osp, "alice", ALICE))
    s3.put_object(Bucket=bucket, Key="by-role", Body=b"x" * 100_000, ChecksumAlgorithm="SHA256")
    assert cluster.s3("alice").get_object(Bucket=bucket, Key="by-role")["Body"].read() == b"x" * 100_000
    owner = cluster.s3("alice").list_objects_v2(Bucket=bucket, Prefix="by-role", FetchOwner=True)["Contents"][0]
    assert owner["Owner"]["ID"] == "alice"


def test_another_role_is_another_user(osp, bucket):
    assert code(s3_client(osp.url, role(osp, "bob", BOB)).get_object, Bucket=bucket, Key="private") == "AccessDenied"


def test_a_role_that_is_taken_on_from_another_leaves_that_ones_rights_behind(osp, bucket):
    alice = role(osp, "alice", ALICE)
    assert not code(s3_client(osp.url, alice).get_object, Bucket=bucket, Key="private")
    bob = again(osp, alice, BOB)
    assert code(s3_client(osp.url, bob).get_object, Bucket=bucket, Key="private") == "AccessDenied"


def test_a_users_session_acts_as_the_user(osp, bucket):
    sts = sts_client(osp.url, "client-alice", "client-alice-fake-secret")
    s3 = s3_client(osp.url, sts.get_session_token()["Credentials"])
    assert s3.get_object(Bucket=bucket, Key="private")["Body"].read() == b"alice's own"


def test_a_web_identity_acts_as_the_roles_user(osp, cluster, bucket):
    sts = sts_client(osp.url)
    credentials = sts.assume_role_with_web_identity(
        RoleArn=PIPELINE, RoleSessionName="run-1", WebIdentityToken=web_token(time.time(), sub="pipeline")
    )["Credentials"]
    s3 = s3_client(osp.url, credentials)
    assert code(s3.get_object, Bucket=bucket, Key="private") == "AccessDenied"
    own = f"strict-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=own)
    assert own in {found["Name"] for found in cluster.s3("bob").list_buckets()["Buckets"]}


def test_a_multipart_upload_and_a_batch_by_a_role(osp, cluster, bucket, tmp_path):
    s3 = s3_client(osp.url, role(osp, "alice", ALICE))
    file = tmp_path / "file"
    file.write_bytes(b"0123456789abcdef" * 600_000)
    s3.upload_file(str(file), bucket, "batch/a")
    s3.put_object(Bucket=bucket, Key="batch/b", Body=b"x")
    found = cluster.s3("alice").get_object(Bucket=bucket, Key="batch/a")["Body"].read()
    assert found == file.read_bytes()
    keys = [{"Key": "batch/a"}, {"Key": "batch/b"}]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})["Deleted"]) == 2


def test_a_session_ends_and_so_do_those_that_it_opened(osp, bucket):
    credentials = role(osp, "alice", BRIEF)
    s3 = s3_client(osp.url, credentials)
    assert not code(s3.get_object, Bucket=bucket, Key="private")
    while not (found := code(s3.get_object, Bucket=bucket, Key="private")):
        assert time.time() < credentials["Expiration"].timestamp() + 60
    assert found == "ExpiredToken"
    with pytest.raises(ClientError, match="ExpiredToken"):
        again(osp, credentials, ALICE)


def test_the_store_never_sees_a_session_token(osp, bucket):
    """It would refuse a token that it does not know."""
    s3 = s3_client(osp.url, role(osp, "alice", ALICE))
    assert s3.head_object(Bucket=bucket, Key="private")["ContentLength"] == 11
