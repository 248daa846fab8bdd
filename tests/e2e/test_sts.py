"""STS by the SDKs' own clients and credential providers, and what its keys are good for with a real store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import boto3
import pytest
from botocore.exceptions import ClientError

from support.certificates import certificate
from support.http2 import http2
from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET, config_for, gateway
from support.raw import ask
from support.serving import HERE, Gate, configuration, serving
from support.signing import Raw, signed
from support.sts import FORM, ISSUER, JWT, READER, ROLES, SECRET, form, s3_client, sts_client, web_token
from support.upstream import recording_upstream

WRITER = ROLES + "writer"
BRIEF = ROLES + "brief"
DEPLOYER = ROLES + "deployer"
STS = {
    "secret": SECRET,
    "min_duration": 1,
    "roles": {
        READER: {"principals": [CLIENT_KEY], "external_id": "fake-external-id"},
        WRITER: {"principals": [CLIENT_KEY], "tags": ["team"]},
        BRIEF: {"principals": [CLIENT_KEY], "max_duration": 1},
        DEPLOYER: {"web_identity": {"iss": ISSUER, "sub": "alice"}},
    },
}
VALIDATOR = f"""
def validator(token, bucket, request):
    if token == {READER!r}:
        return request.operation in ("GetObject", "HeadObject", "ListObjectsV2")
    return token in ({CLIENT_KEY!r}, {WRITER!r}, {DEPLOYER!r}, {BRIEF!r})
"""


def config(store, **sts):
    return config_for(store, validator=VALIDATOR, extra=f"jwt={JWT!r}, sts={ {**STS, **sts}!r}")


@pytest.fixture(scope="module")
def osp(store, tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("sts"), config(store)) as running:
        yield running


@pytest.fixture
def sts(osp):
    return sts_client(osp.url)


def code(function, *arguments, **parameters):
    """The error's code that a call gives; empty where it works."""
    try:
        function(*arguments, **parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def test_get_caller_identity(sts):
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::000000000000:user/{CLIENT_KEY}"


def test_get_session_token_gives_a_key_that_works_like_the_users(sts, osp, direct, prefix):
    s3 = s3_client(osp.url, sts.get_session_token(DurationSeconds=900)["Credentials"])
    s3.put_object(Bucket="demo", Key=f"{prefix}a", Body=b"by a temporary key")
    assert direct.get_object(Bucket="demo", Key=f"{prefix}a")["Body"].read() == b"by a temporary key"


def test_assume_role_gives_a_key_with_the_roles_rights(sts, osp, direct, prefix):
    answer = sts.assume_role(RoleArn=READER, RoleSessionName="me", ExternalId="fake-external-id")
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/reader/me"
    assert answer["Credentials"]["Expiration"].timestamp() == pytest.approx(time.time() + 3600, abs=120)
    direct.put_object(Bucket="demo", Key=f"{prefix}a", Body=b"x")
    s3 = s3_client(osp.url, answer["Credentials"])
    assert s3.get_object(Bucket="demo", Key=f"{prefix}a")["Body"].read() == b"x"
    assert code(s3.put_object, Bucket="demo", Key=f"{prefix}b", Body=b"x") == "AccessDenied"
    assert code(s3.delete_object, Bucket="demo", Key=f"{prefix}a") == "AccessDenied"


def test_a_session_policy_narrows(sts, osp, direct, prefix):
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::demo/{prefix}in/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    answer = sts.assume_role(RoleArn=WRITER, RoleSessionName="me", Policy=policy)
    s3 = s3_client(osp.url, answer["Credentials"])
    s3.put_object(Bucket="demo", Key=f"{prefix}in/a", Body=b"x")
    assert code(s3.put_object, Bucket="demo", Key=f"{prefix}a", Body=b"x") == "AccessDenied"
    assert code(s3.get_object, Bucket="demo", Key=f"{prefix}in/a") == "AccessDenied"
    keys = [{"Key": f"{prefix}in/a"}]
    assert code(s3.delete_objects, Bucket="demo", Delete={"Objects": keys}) == "AccessDenied"
    assert direct.get_object(Bucket="demo", Key=f"{prefix}in/a")["Body"].read() == b"x"


def test_tags_and_sizes_come_back(sts, osp):
    tags = [{"Key": "team", "Value": "blue green"}]
    answer = sts.assume_role(RoleArn=WRITER, RoleSessionName="me", Tags=tags, TransitiveTagKeys=["team"])
    assert 1 <= answer["PackedPolicySize"] <= 100
    assert s3_client(osp.url, answer["Credentials"]).list_buckets()["Buckets"][0]["Name"] == "demo"


def test_multipart_signed_chunks_and_presigned_urls_work_with_a_temporary_key(sts, osp, direct, prefix, tmp_path):
    s3 = s3_client(osp.url, sts.assume_role(RoleArn=WRITER, RoleSessionName="me")["Credentials"])
    file = tmp_path / "file"
    file.write_bytes(os.urandom(9 * 1024 * 1024))
    s3.upload_file(str(file), "demo", f"{prefix}parts")
    assert direct.get_object(Bucket="demo", Key=f"{prefix}parts")["Body"].read() == file.read_bytes()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "demo", "Key": f"{prefix}parts"})
    if "X-Amz-Signature" in url:
        assert "X-Amz-Security-Token" in url


def test_a_web_identity_is_exchanged_without_a_signature(osp):
    sts = boto3.session.Session(region_name="us-east-1").client("sts", endpoint_url=osp.url)
    answer = sts.assume_role_with_web_identity(
        RoleArn=DEPLOYER, RoleSessionName="me", WebIdentityToken=web_token(time.time())
    )
    assert (answer["SubjectFromWebIdentityToken"], answer["Provider"], answer["Audience"]) == ("alice", ISSUER, "osp")
    assert not code(s3_client(osp.url, answer["Credentials"]).list_objects_v2, Bucket="demo")
    assert (
        code(
            sts.assume_role_with_web_identity,
            RoleArn=DEPLOYER,
            RoleSessionName="me",
            WebIdentityToken=web_token(time.time(), sub="bob"),
        )
        == "AccessDenied"
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"RoleArn": READER}, "AccessDenied"),
        ({"RoleArn": READER, "ExternalId": "another"}, "AccessDenied"),
        ({"RoleArn": DEPLOYER}, "AccessDenied"),
        ({"RoleArn": ROLES + "nobody"}, "AccessDenied"),
        ({"RoleArn": WRITER, "DurationSeconds": 43_201}, "ValidationError"),
        ({"RoleArn": WRITER, "Policy": "no policy"}, "MalformedPolicyDocument"),
        ({"RoleArn": WRITER, "SourceIdentity": "alice"}, "ValidationError"),
        ({"RoleArn": WRITER, "Tags": [{"Key": "other", "Value": "x"}]}, "AccessDenied"),
    ],
    ids=str,
)
def test_boto3_raises_what_sts_says(sts, parameters, expected):
    assert code(sts.assume_role, RoleSessionName="me", **parameters) == expected


def test_a_key_ends(sts, osp):
    credentials = sts.assume_role(RoleArn=BRIEF, RoleSessionName="me")["Credentials"]
    s3 = s3_client(osp.url, credentials)
    while not (found := code(s3.list_objects_v2, Bucket="demo")):
        assert time.time() < credentials["Expiration"].timestamp() + 60
    assert found == "ExpiredToken"
    token = (credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    assert code(sts_client(osp.url, *token).get_caller_identity) == "ExpiredToken"


# The providers of SDKs


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(web_token(time.time()))
    return file


@pytest.fixture
def environment(osp, token_file, monkeypatch):
    """As a pod has it whose service account is federated."""
    named = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_ROLE_ARN": DEPLOYER,
        "AWS_ROLE_SESSION_NAME": "pod",
        "AWS_ENDPOINT_URL_STS": osp.url,
        "AWS_ENDPOINT_URL_S3": osp.url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)


def test_boto3_finds_its_web_identity_by_the_environment(environment, direct, prefix):
    session = boto3.session.Session()
    session.client("s3").put_object(Bucket="demo", Key=f"{prefix}a", Body=b"from a pod")
    assert direct.get_object(Bucket="demo", Key=f"{prefix}a")["Body"].read() == b"from a pod"
    assert session.get_credentials().method == "assume-role-with-web-identity"
    arn = session.client("sts").get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::000000000000:assumed-role/deployer/pod"


def aws(*arguments, env=None):
    done = subprocess.run(
        [str(BIN / "aws"), *arguments], env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_aws_cli_finds_its_web_identity_by_the_environment(environment, prefix):
    arn = json.loads(aws("sts", "get-caller-identity", "--output", "json"))["Arn"]
    assert arn == "arn:aws:sts::000000000000:assumed-role/deployer/pod"
    aws("s3api", "list-objects-v2", "--bucket", "demo", "--prefix", prefix)


def test_a_profile_with_a_role_and_a_source_profile(osp, tmp_path, direct, prefix, monkeypatch):
    file = tmp_path / "config"
    file.write_text(
        f"[profile base]\naws_access_key_id = {CLIENT_KEY}\naws_secret_access_key = {CLIENT_SECRET}\n"
        f"[profile reader]\nrole_arn = {READER}\nsource_profile = base\nexternal_id = fake-external-id\n"
        f"role_session_name = cli\nregion = us-east-1\nservices = osp\n"
        f"[services osp]\nsts =\n  endpoint_url = {osp.url}\ns3 =\n  endpoint_url = {osp.url}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", osp.url)
    direct.put_object(Bucket="demo", Key=f"{prefix}a", Body=b"x")
    session = boto3.session.Session(profile_name="reader")
    assert session.client("s3").get_object(Bucket="demo", Key=f"{prefix}a")["Body"].read() == b"x"
    assert session.get_credentials().method == "assume-role"
    listed = aws("--profile", "reader", "s3", "ls", f"s3://demo/{prefix}")
    assert listed.split()[-1] == "a"


# Several gateways


def test_gateways_with_one_secret_take_each_others_sessions(osp, store, sts, tmp_path):
    credentials = sts.assume_role(RoleArn=WRITER, RoleSessionName="me")["Credentials"]
    with gateway(tmp_path / "twin", config(store)) as twin, gateway(tmp_path / "new", rotated(store)) as new:
        for other in (twin, new):
            assert not code(s3_client(other.url, credentials).list_objects_v2, Bucket="demo")
        theirs = sts_client(new.url).assume_role(RoleArn=WRITER, RoleSessionName="me")["Credentials"]
        assert not code(s3_client(new.url, theirs).list_objects_v2, Bucket="demo")
        assert code(s3_client(osp.url, theirs).list_objects_v2, Bucket="demo") == "InvalidToken"


def rotated(store):
    return config(store, secret=["a-newer-fake-secret-that-seals-tokens", SECRET])


def test_revocation_takes_hold_with_the_next_reading_of_the_configuration(tmp_path):
    with recording_upstream(Gate()) as upstream:
        text = configuration(upstream.port, HERE + f"sts={STS!r}, jwt={JWT!r}, revoked_keys=[],")
        with serving(tmp_path, text) as running:
            url = f"http://127.0.0.1:{running.port}"
            s3 = s3_client(url, sts_client(url).assume_role(RoleArn=WRITER, RoleSessionName="me")["Credentials"])
            assert not code(s3.get_object, Bucket="demo", Key="a")
            running.reload(text.replace("revoked_keys=[]", f"revoked_keys=[{WRITER!r}]"))
            assert code(s3.get_object, Bucket="demo", Key="a") == "InvalidToken"
            assert running.get().status == 200
            running.reload(text.replace("revoked_keys=[]", f"revoked_keys=[{CLIENT_KEY!r}]"))
            assert running.get().status == 403
            assert code(s3.get_object, Bucket="demo", Key="a") == "InvalidToken"


# On the wire


def call(osp, body, *headers, method="POST", target="/", length=None):
    pairs = (
        ("Host", f"127.0.0.1:{osp.ports[0]}"),
        ("Content-Type", FORM),
        *headers,
        ("Content-Length", str(len(body) if length is None else length)),
    )
    return ask(osp.ports[0], Raw(method, target, pairs, body).octets)


def test_a_huge_form_is_refused_while_it_is_still_being_sent(osp):
    body = form("AssumeRole") + b"&Policy=" + b"x" * 70_000
    answer = call(osp, body, length=10 * 1024 * 1024)
    assert answer.status == 413
    assert b"<Code>RequestEntityTooLarge</Code>" in answer.body


def test_a_form_in_pieces_is_one_form(osp):
    body = form("GetCallerIdentity")
    chunks = b"".join(b"1\r\n" + body[n : n + 1] + b"\r\n" for n in range(len(body))) + b"0\r\n\r\n"
    pairs = (("Host", "sts.amazonaws.com"), ("Content-Type", FORM), ("Transfer-Encoding", "chunked"))
    answer = ask(osp.ports[0], Raw("POST", "/", pairs, chunks).octets)
    assert answer.status == 403
    assert b"<Code>MissingAuthenticationToken</Code>" in answer.body


def test_a_client_that_waits_to_be_told_to_go_on_is_told_so(osp):
    body = form("GetCallerIdentity")
    answer = call(osp, body, ("Expect", "100-continue"))
    assert answer.status in (100, 403)


def test_calls_over_tls_and_http2_on_one_connection_with_other_requests(store, tmp_path):
    cert = certificate(tmp_path, "localhost", "127.0.0.1")
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r}, "
    text = config(store).replace("jwt=", f"{files}jwt=", 1)
    with gateway(tmp_path / "tls", text) as running:
        port = running.ports[0]
        with http2(port, cert.client_context(["h2", "http/1.1"])) as client:
            body = form("GetCallerIdentity")
            for _ in range(3):
                answer = client.ask(signed(port, "POST", "/", body, (("Content-Type", FORM),), service="sts"))
                assert answer.status == 200
                assert f"user/{CLIENT_KEY}".encode() in answer.body
                refused = client.ask(signed(port, "POST", "/", body, (("Content-Type", FORM),), secret="wrong"))
                assert refused.status == 400  # it is for S3, too
                assert client.ask(signed(port, "GET", "/demo?list-type=2")).status == 200
            huge = form("AssumeRole") + b"&Policy=" + b"x" * 70_000
            assert client.ask(signed(port, "POST", "/", huge, (("Content-Type", FORM),), service="sts")).status == 413


def test_no_secret_stays_with_a_flow(osp, store, tmp_path):
    with gateway(tmp_path / "flows", config(store)) as running:
        token = web_token(time.time())
        sts = sts_client(running.url)
        given = [
            sts.assume_role(RoleArn=WRITER, RoleSessionName="me")["Credentials"],
            sts.get_session_token()["Credentials"],
            sts.assume_role_with_web_identity(RoleArn=DEPLOYER, RoleSessionName="me", WebIdentityToken=token)[
                "Credentials"
            ],
        ]
        running.running.process.send_signal(signal.SIGTERM)
        running.running.process.wait(60)
        kept = running.flow_file.read_bytes()
        assert b"AssumeRoleWithWebIdentityResponse" in kept
        for secret in (token, *(c[name] for c in given for name in ("SecretAccessKey", "SessionToken"))):
            assert secret.encode() not in kept
            assert secret not in running.output()
