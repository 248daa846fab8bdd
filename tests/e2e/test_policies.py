"""Policies between boto3 and a real store: in Python, in TOML with a file beside it, and with sessions of forms."""

import json

import pytest
from botocore.exceptions import ClientError

from support.policies import document, statement
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET, gateway
from support.s3 import client

ARN = "arn:aws:s3:::"
HOME = f"{ARN}demo/home-${{aws:username}}/*"
MINE = f"home-{CLIENT_KEY}/"
POLICY = document(
    statement(
        Sid="Home", Action=["s3:*Object*", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], Resource=HOME
    ),
    statement(
        Sid="ListHome",
        Action="s3:ListBucket",
        Resource=f"{ARN}demo",
        Condition={"StringLike": {"s3:prefix": "home-${aws:username}/*"}},
    ),
    statement("Deny", Sid="KeepLogs", Action="s3:DeleteObject*", Resource=f"{ARN}demo/*.log"),
    statement("Deny", Sid="Private", Action="s3:PutObject", Condition={"StringLike": {"s3:x-amz-acl": "public-*"}}),
)
TOML = f"""
policies = ["POLICY_FILE"]
[cos_map.demo]
host = "127.0.0.1"
port = PORT
is_tls_enabled = false
access_key = "{BACKEND_KEY}"
secret_key = "{BACKEND_SECRET}"
[[hmac_keystore]]
access_key = "{CLIENT_KEY}"
secret_key = "{CLIENT_SECRET}"
[[hmac_keystore]]
access_key = "other-fake-key"
secret_key = "other-fake-secret"
"""


@pytest.fixture(scope="module")
def policed(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("policies")
    file = folder / "policy.json"
    file.write_text(json.dumps(POLICY), encoding="utf-8")
    config = TOML.replace("POLICY_FILE", file.as_posix()).replace("PORT", str(store.port))
    with gateway(folder / "gateway", config, config_name="server.toml") as running:
        yield running


@pytest.fixture(scope="module")
def s3(policed):
    return client(policed.url)


def denied(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(Bucket="demo", **arguments)
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert error["Error"]["Code"] in ("AccessDenied", "403")


def test_each_caller_has_his_own_home(policed, s3, direct, prefix):
    s3.put_object(Bucket="demo", Key=MINE + prefix + "key", Body=b"mine")
    assert s3.get_object(Bucket="demo", Key=MINE + prefix + "key")["Body"].read() == b"mine"
    other = client(policed.url, "other-fake-key", "other-fake-secret")
    denied(other.get_object, Key=MINE + prefix + "key")
    denied(other.head_object, Key=MINE + prefix + "key")
    denied(other.put_object, Key=MINE + prefix + "key", Body=b"theirs")
    other.put_object(Bucket="demo", Key=f"home-other-fake-key/{prefix}key", Body=b"theirs")
    assert direct.get_object(Bucket="demo", Key=MINE + prefix + "key")["Body"].read() == b"mine"


def test_listings_show_ones_own_prefix(s3, direct, prefix):
    direct.put_object(Bucket="demo", Key=MINE + prefix + "a", Body=b"")
    direct.put_object(Bucket="demo", Key=f"elsewhere/{prefix}b", Body=b"")
    listed = s3.list_objects_v2(Bucket="demo", Prefix=MINE + prefix)
    assert [entry["Key"] for entry in listed["Contents"]] == [MINE + prefix + "a"]
    denied(s3.list_objects_v2)
    denied(s3.list_objects_v2, Prefix="")
    denied(s3.list_objects_v2, Prefix="elsewhere/")
    denied(s3.list_objects_v2, Prefix=MINE + "../elsewhere/")
    denied(s3.list_objects_v2, StartAfter=MINE)
    denied(s3.list_objects, Marker=MINE)
    denied(s3.list_object_versions, Prefix=MINE)


def test_a_batch_deletes_what_may_be_deleted(s3, direct, prefix):
    keys = [MINE + prefix + name for name in ("a", "b.log", "c d")] + [f"elsewhere/{prefix}e"]
    for key in keys:
        direct.put_object(Bucket="demo", Key=key, Body=b"")
    answer = s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == sorted([keys[0], keys[2]])
    assert {entry["Key"]: entry["Code"] for entry in answer["Errors"]} == {
        keys[1]: "AccessDenied",
        keys[3]: "AccessDenied",
    }
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=keys[0])
    assert direct.list_objects_v2(Bucket="demo", Prefix=keys[1])["KeyCount"] == 1
    assert direct.list_objects_v2(Bucket="demo", Prefix=keys[3])["KeyCount"] == 1


def test_a_copy_needs_both_ends(s3, direct, prefix):
    direct.put_object(Bucket="demo", Key=MINE + prefix + "from", Body=b"mine")
    direct.put_object(Bucket="demo", Key=f"elsewhere/{prefix}from", Body=b"theirs")
    s3.copy_object(
        Bucket="demo", Key=MINE + prefix + "to", CopySource={"Bucket": "demo", "Key": MINE + prefix + "from"}
    )
    source = {"Bucket": "demo", "Key": f"elsewhere/{prefix}from"}
    denied(s3.copy_object, Key=MINE + prefix + "stolen", CopySource=source)
    denied(s3.copy_object, Key=f"elsewhere/{prefix}to", CopySource={"Bucket": "demo", "Key": MINE + prefix + "from"})
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=MINE + prefix + "stolen")


def test_multipart_uploads_stay_at_home(s3, direct, prefix):
    key = MINE + prefix + "parts"
    upload = s3.create_multipart_upload(Bucket="demo", Key=key)["UploadId"]
    denied(s3.upload_part, Key=f"elsewhere/{prefix}parts", UploadId=upload, PartNumber=1, Body=b"x")
    part = s3.upload_part(Bucket="demo", Key=key, UploadId=upload, PartNumber=1, Body=b"body")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    denied(s3.complete_multipart_upload, Key=f"elsewhere/{prefix}parts", UploadId=upload, MultipartUpload=parts)
    s3.complete_multipart_upload(Bucket="demo", Key=key, UploadId=upload, MultipartUpload=parts)
    assert direct.get_object(Bucket="demo", Key=key)["Body"].read() == b"body"


def test_a_header_that_the_policy_denies(s3, prefix):
    denied(s3.put_object, Key=MINE + prefix + "key", Body=b"", ACL="public-read")
    denied(s3.create_multipart_upload, Key=MINE + prefix + "key", ACL="public-read-write")


def test_the_log_says_which_statement(policed, s3, prefix):
    denied(s3.delete_object, Key=MINE + prefix + "x.log")
    policed.running.wait_for(r"s3:DeleteObject is denied by Statement\[2\] \(KeepLogs\) of policies\[0\] policy\.json")
