"""Sessions of four clients, recorded before rclone's server and before RGW, are green before both, twice in a row; and
red where the store has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from urllib3 import encode_multipart_formdata

from osp_gateway.mitm.rereading import read_recording
from support.processes import (
    BACKEND_KEY,
    BACKEND_SECRET,
    GatewayProcess,
    Store,
    config_for,
    gateway,
)
from support.raw_s3 import send
from support.replays import keys, replay, served
from support.s3 import client
from support.sessions import SESSIONS, Place
from support.strict import ALICE, Cluster, strict_config

TOLERANCES = Path(__file__).parents[1] / "support" / "stores.tolerances.toml"
STORES = ("rclone", "rgw")
BUCKET = "strict-replays"


@dataclass
class Stores:
    """Both stores, straight and through a gateway, as `url, environment`."""

    folder: Path
    ways: dict[str, list[tuple[str, dict[str, str]]]]
    configs: dict[str, str]
    cluster: Cluster
    places: dict[str, dict[str, str]]

    def record(self, session: str, store: str, folder: Path) -> Path:
        """A session, recorded."""
        options = {"osp_record": str(folder / "session.osp")}
        with gateway(folder / "gateway", self.configs[store], options=options) as running:
            SESSIONS[session](Place(running.url, BUCKET, **self.places[store]), folder)
        return folder / "session.osp"


@pytest.fixture(scope="module")
def stores(
    store: Store, cluster: Cluster, strict_osp: GatewayProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    folder = tmp_path_factory.mktemp("stores")
    alice = cluster.users[ALICE]
    store.make_bucket(BUCKET)
    cluster.s3().create_bucket(Bucket=BUCKET)
    rclone = config_for(store, extra_buckets=f"{BUCKET!r}: STORE")
    with gateway(folder / "rclone", rclone) as before_rclone:
        yield Stores(
            folder,
            {
                "rclone": [(store.url, keys(BACKEND_KEY, BACKEND_SECRET)), (before_rclone.url, keys())],
                "rgw": [
                    (cluster.url, keys(alice.access_key, alice.secret_key)),
                    (strict_osp.url, keys(alice.client_key, alice.client_secret)),
                ],
            },
            {"rclone": rclone, "rgw": strict_config(cluster)},
            cluster,
            {"rclone": {}, "rgw": {"key": alice.client_key, "secret": alice.client_secret}},
        )


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("recorded", STORES)
def test_a_session_is_green_before_both_stores_twice_in_a_row(stores, tmp_path, session, recorded):
    if session == "deltalake":
        pytest.importorskip("deltalake")
        pytest.importorskip("pyarrow")
    file = stores.record(session, recorded, tmp_path)
    number = len(list(read_recording(file).exchanges))
    assert number > 10
    for against, ways in stores.ways.items():
        # Before the store that it was recorded at, with no more than what each run of it has otherwise.
        more = ["--tolerances", str(TOLERANCES)] if against != recorded else []
        for url, env in 2 * ways:
            done = replay(file, url, *more, env=env)
            assert done.is_green(number), f"{session}, recorded at {recorded}, before {against}: {done.said}"


CHANGES: dict[str, tuple[Any, list[str]]] = {
    "an object's content": (
        lambda s3: s3.put_object(Bucket=BUCKET, Key="changes/a", Body=b"other", Metadata={"colour": "blue"}),
        ["GetObject a: body"],
    ),
    "an object is missing": (
        lambda s3: s3.delete_object(Bucket=BUCKET, Key="changes/a"),
        ["GetObject a: status", "ListObjectsV2 : ListBucketResult/Contents"],
    ),
    "an object more": (
        lambda s3: s3.put_object(Bucket=BUCKET, Key="changes/extra", Body=b""),
        ["ListObjectsV2 : number of ListBucketResult/Contents"],
    ),
    "metadata": (
        lambda s3: s3.put_object(Bucket=BUCKET, Key="changes/a", Body=b"first", Metadata={"colour": "red"}),
        ["GetObject a: header x-amz-meta-colour"],
    ),
    "content type": (
        lambda s3: s3.put_object(
            Bucket=BUCKET, Key="changes/a", Body=b"first", Metadata={"colour": "blue"}, ContentType="text/html"
        ),
        ["GetObject a: header content-type"],
    ),
    "size": (
        lambda s3: s3.put_object(Bucket=BUCKET, Key="changes/a", Body=b"much longer", Metadata={"colour": "blue"}),
        ["GetObject a: body", "ListObjectsV2 : ListBucketResult/Contents/Size"],
    ),
    "what was missing is there": (
        lambda s3: s3.put_object(Bucket=BUCKET, Key="changes/missing", Body=b""),
        ["GetObject missing: status"],
    ),
    "tags": (
        lambda s3: s3.put_object_tagging(
            Bucket=BUCKET, Key="changes/a", Tagging={"TagSet": [{"Key": "team", "Value": "b"}]}
        ),
        ["GetObjectTagging a: number of Tagging/TagSet/Tag"],
    ),
    "a rule of its own": (
        lambda s3: s3.put_bucket_lifecycle_configuration(
            Bucket=BUCKET,
            LifecycleConfiguration={
                "Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 9}}]
            },
        ),
        ["GetBucketLifecycleConfiguration : status"],
    ),
    "who may": (
        lambda s3: s3.put_bucket_policy(
            Bucket=BUCKET,
            Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
            f' "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{BUCKET}/*"}}]}}',
        ),
        ["GetObject a: status"],
    ),
}


@pytest.fixture(scope="module")
def shop(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with what the store has."""
    folder = tmp_path_factory.mktemp("shop")
    fill(stores)
    options = {"osp_record": str(folder / "session.osp")}
    with gateway(folder / "gateway", stores.configs["rgw"], options=options) as running:
        s3 = client(running.url, **stores.places["rgw"])
        s3.list_objects_v2(Bucket=BUCKET, Prefix="changes/")
        s3.get_object(Bucket=BUCKET, Key="changes/a")["Body"].read()
        s3.get_object_tagging(Bucket=BUCKET, Key="changes/a")
        with pytest.raises(s3.exceptions.ClientError):
            s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket=BUCKET, Key="changes/missing")
    return folder / "session.osp"


def fill(stores: Stores) -> None:
    """What the session finds."""
    s3 = stores.cluster.s3()
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="changes/").get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    s3.put_object(Bucket=BUCKET, Key="changes/a", Body=b"first", Metadata={"colour": "blue"}, ContentType="text/plain")


@pytest.mark.parametrize("case", CHANGES)
def test_a_store_that_has_changed_is_red_in_each_of_ten_ways(stores, shop, case):
    fill(stores)
    url, env = stores.ways["rgw"][0]
    assert replay(shop, url, env=env).is_green(5)
    change, expected = CHANGES[case]
    change(stores.cluster.s3())
    try:
        for url, env in stores.ways["rgw"]:
            done = replay(shop, url, env=env)
            assert done.status == 1
            assert set(expected) <= set(done.found), done.said
    finally:
        stores.cluster.s3().delete_bucket_policy(Bucket=BUCKET)


def test_there_are_ten_ways():
    assert len(CHANGES) == 10


# Forms


def post_form(s3: Any, url: str, key: str, body: bytes, fields: dict[str, str], filename: str = "file.txt") -> int:
    """A form as a browser sends it; its status."""
    conditions = [{name: value} for name, value in fields.items()]
    made = s3.generate_presigned_post(BUCKET, key, dict(fields), conditions, ExpiresIn=600)["fields"]
    content, content_type = encode_multipart_formdata([*made.items(), ("file", (filename, body))])
    host = url.removeprefix("http://")
    return send("POST", url, f"/{BUCKET}", {"Host": host, "Content-Type": content_type}, content).status


@pytest.fixture(scope="module")
def forms(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forms of several kinds, and what came of them."""
    folder = tmp_path_factory.mktemp("forms")
    options = {"osp_record": str(folder / "session.osp"), "osp_record_body": "64"}
    with gateway(folder / "gateway", stores.configs["rgw"], options=options) as running:
        s3 = client(running.url, **stores.places["rgw"], signature_version="s3v4")
        described = {"Content-Type": "text/x-form", "x-amz-meta-colour": "blue", "success_action_status": "201"}
        assert post_form(s3, running.url, "forms/small", b"a file\r\n--not-the-end", described) == 201
        assert post_form(s3, running.url, "forms/${filename}", b"named", {}, 'a "name".txt') == 204
        assert post_form(s3, running.url, "forms/large", bytes(range(256)) * 1024, {}) == 204
        nobody = client(running.url, "unknown-fake-key", "fake", signature_version="s3v4")
        assert post_form(nobody, running.url, "forms/x", b"", {}) == 403
        keys_there = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="forms/")["Contents"]]
        assert len(keys_there) == 3
        for key in keys_there:
            s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys_there:
            s3.delete_object(Bucket=BUCKET, Key=key)
    return folder / "session.osp"


def test_forms_are_sent_again_with_a_policy_of_their_own(stores, forms):
    exchanges = list(read_recording(forms).exchanges)
    posted = [exchange for exchange in exchanges if exchange.operation == "PostObject"]
    assert [exchange.answer.status for exchange in posted] == [201, 204, 204]
    assert [exchange.request.payload.content is None for exchange in posted] == [False, False, True]
    for url, env in 2 * stores.ways["rgw"]:
        done = replay(forms, url, env=env)
        assert done.is_green(len(exchanges)), done.said


def test_what_authenticates_a_form_is_not_recorded(forms):
    octets = forms.read_bytes()
    for name in (b"x-amz-signature", b"x-amz-credential", b"policy", b"AWS4-HMAC-SHA256", b"x-amz-security-token"):
        assert name not in octets, name


def test_forms_are_answered_offline(stores, forms, tmp_path):
    with served(forms, tmp_path) as url:
        s3 = client(url, signature_version="s3v4")
        assert post_form(s3, url, "forms/${filename}", b"named", {}, 'a "name".txt') == 204
        assert post_form(s3, url, "forms/large", bytes(range(256)) * 1024, {}) == 204
        assert post_form(s3, url, "forms/large", b"something else", {}) == 503
