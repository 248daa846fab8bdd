"""Where AWS has a bucket: what the gateway would send, compared with what botocore itself would."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from osp_gateway.backends.bodies import resolve_mode
from osp_gateway.backends.endpoints import AwsOptions, is_aws_host, place_of
from osp_gateway.backends.regions import Regions, in_region
from osp_gateway.backends.routes import Routes
from osp_gateway.config import ConfigError, ProxyServerConfig
from support.heads import BACKEND, CLIENT, Bench, header, signed_head

KEYS = {"access_key": BACKEND.access_key, "secret_key": BACKEND.secret_key}
ACCESS_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/readers"
OUTPOST = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01234567890123456/accesspoint/reports"
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap"

CASES: dict[str, dict[str, Any]] = {
    "plain": {"region": "eu-west-3", "aws": True},
    "us-east-1": {"region": "us-east-1", "aws": True},
    "dual-stack": {"region": "eu-west-3", "aws": {"dualstack": True}},
    "fips": {"region": "us-west-2", "aws": {"fips": True}},
    "fips dual-stack": {"region": "us-west-2", "aws": {"fips": True, "dualstack": True}},
    "accelerate": {"region": "us-west-2", "aws": {"accelerate": True}},
    "accelerate dual-stack": {"region": "us-west-2", "aws": {"accelerate": True, "dualstack": True}},
    "path style": {"region": "eu-west-3", "aws": True, "addressing_style": "path"},
    "dots": {"region": "eu-west-3", "aws": True, "bucket": "with.dots.example"},
    "china": {"region": "cn-north-1", "aws": True},
    "china dual-stack": {"region": "cn-north-1", "aws": {"dualstack": True}},
    "gov": {"region": "us-gov-west-1", "aws": {"fips": True}},
    "iso": {"region": "us-iso-east-1", "aws": True},
    "iso-b": {"region": "us-isob-east-1", "aws": True},
    "alias": {"region": "us-west-2", "aws": True, "bucket": "readers-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"},
    "outposts alias": {
        "region": "us-west-2",
        "aws": True,
        "bucket": "test-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3",
    },
    "access point": {"bucket": ACCESS_POINT},
    "access point dual-stack": {"bucket": ACCESS_POINT, "aws": {"dualstack": True}},
    "access point fips": {"bucket": ACCESS_POINT, "aws": {"fips": True}},
    "access point elsewhere": {"bucket": ACCESS_POINT, "region": "eu-west-3"},
    "china access point": {"bucket": "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/readers"},
    "outposts": {"bucket": OUTPOST},
    "multi-region": {"bucket": MULTI_REGION},
}


def botocores(case: dict[str, Any], key: str) -> tuple[str, str, str]:
    """Host, path and credential scope of the GetObject that botocore would send."""
    options = case["aws"] if isinstance(case.get("aws"), dict) else {}
    session = botocore.session.Session()
    session.set_credentials(BACKEND.access_key, BACKEND.secret_key)
    arn_region = case.get("bucket", "").split(":")[3:4]
    s3 = {
        "use_accelerate_endpoint": bool(options.get("accelerate")),
        "use_arn_region": True,
        "us_east_1_regional_endpoint": "regional",
    }
    if case.get("addressing_style"):
        s3["addressing_style"] = case["addressing_style"]
    client = session.create_client(
        "s3",
        region_name=case.get("region") or (arn_region and arn_region[0]) or "us-east-1",
        config=Config(
            s3=s3,
            use_dualstack_endpoint=bool(options.get("dualstack")),
            use_fips_endpoint=bool(options.get("fips")),
        ),
    )
    sent = []

    def catch(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(
            request.url, 200, {}, type("Raw", (), {"stream": lambda *_: iter([b""]), "read": lambda *_: b""})()
        )

    client.meta.events.register("before-send.s3", catch)
    client.get_object(Bucket=case.get("bucket", "demo"), Key=key)
    (request,) = sent
    url = urlsplit(request.url)
    authorization = request.headers["Authorization"]
    authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
    return url.netloc, url.path, scope_of(authorization)


def scope_of(authorization: str) -> str:
    """Algorithm and scope, without the date."""
    algorithm, _, rest = authorization.partition(" ")
    scope = re.search(r"Credential=[^/]+/\d{8}/([^,]+)", rest)
    assert scope is not None
    return f"{algorithm} {scope[1]}"


@pytest.mark.parametrize("name", CASES)
async def test_a_request_goes_where_botocore_would_send_it_and_is_signed_for_there(name):
    case = CASES[name]
    forward = await Bench(cos_map={"demo": {**KEYS, **case}}).forward(signed_head("GET", "/demo/a%20key"))
    host, path, scope = botocores(case, "a key")
    assert (forward.destination.authority, forward.target) == (host, path)
    assert scope_of(header(forward, "authorization") or "") == scope
    assert forward.destination.endpoint.tls
    assert forward.destination.endpoint.is_aws


async def test_a_multi_region_access_point_is_signed_for_all_regions():
    forward = await Bench(cos_map={"demo": {**KEYS, "bucket": MULTI_REGION}}).forward(signed_head())
    assert header(forward, "x-amz-region-set") == "*"
    assert (header(forward, "authorization") or "").startswith("AWS4-ECDSA-P256-SHA256 ")


def test_chunks_that_are_signed_with_an_hmac_are_decoded_before_a_signature_of_another_kind():
    route = Bench(cos_map={"demo": {**KEYS, "bucket": MULTI_REGION}}).settings.routes[0]
    place = Routes([route]).destination(route, "demo", None)
    assert place.asymmetric
    assert resolve_mode("same", place.endpoint, BACKEND, asymmetric=place.asymmetric) == "plain"


async def test_a_copy_names_an_access_point_in_full():
    bench = Bench(cos_map={"demo": {**KEYS, "bucket": ACCESS_POINT}})
    head = signed_head("PUT", "/demo/key", (("x-amz-copy-source", "demo/from"),))
    source = header(await bench.forward(head), "x-amz-copy-source") or ""
    assert source == "arn%3Aaws%3As3%3Aus-west-2%3A123456789012%3Aaccesspoint/readers/object/from"


async def test_the_arn_is_not_told_to_clients():
    forward = await Bench(cos_map={"demo": {**KEYS, "bucket": ACCESS_POINT}}).forward(signed_head())
    assert forward.names.map_element(b"Bucket", ACCESS_POINT.encode()) == b"demo"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"aws": True}, ".region: missing"),
        ({"aws": True, "region": "eu-west-3", "host": "s3.example"}, ".host: expected none"),
        ({"bucket": ACCESS_POINT, "host": "s3.example"}, ".host: expected none"),
        ({"bucket": "arn:aws:s3:us-west-2:1:nonsense/x"}, "botocore's endpoint rules do not know such a place"),
        ({"bucket": ACCESS_POINT, "aws": {"accelerate": True}}, "Access Points do not support S3 Accelerate"),
        ({"aws": {"accelerate": True, "fips": True}, "region": "us-west-2"}, "Accelerate cannot be used with FIPS"),
        ({"aws": True, "region": "us-west-2", "bucket": "x--use1-az4--x-s3"}, "sigv4-s3express"),
        ({"aws": {"dual": True}, "region": "us-west-2"}, "unknown field"),
        ({"aws": "yes", "region": "us-west-2"}, ".aws: expected a dict, got str"),
    ],
)
def test_a_place_that_does_not_exist_is_a_mistake_at_the_start(entry, problem):
    with pytest.raises(ConfigError) as caught:
        ProxyServerConfig(
            cos_map={"demo": {**KEYS, **entry}},
            hmac_keystore=[{"access_key": CLIENT.access_key, "secret_key": CLIENT.secret_key, "buckets": ["*"]}],
        )
    assert any(problem in line for line in caught.value.problems), caught.value.problems


def destination_of(**entry: Any) -> Any:
    (route,) = Bench(cos_map={"demo": {**KEYS, **entry}}).settings.routes
    return Routes([route]).destination(route, "demo", None)


@pytest.mark.parametrize("options", [True, {"dualstack": True}, {"fips": True}])
def test_a_bucket_in_another_region_is_where_the_rules_say(options):
    here = destination_of(region="us-west-2", aws=options)
    regions = Regions()
    moved = regions.learn(here, "us-east-2")
    there = destination_of(region="us-east-2", aws=options)
    assert moved == replace(there, client_bucket="demo")
    assert regions.place(here) == moved


def test_a_bucket_is_not_looked_for_in_another_partition():
    here = destination_of(region="us-west-2", aws=True)
    for region in ("cn-north-1", "us-gov-west-1", "us-iso-east-1", "x.example", "eu-west-3/..", ""):
        assert in_region(here, region) is None


def test_an_access_point_is_nowhere_else():
    assert in_region(destination_of(bucket=ACCESS_POINT), "eu-west-3") is None
    assert in_region(destination_of(bucket=MULTI_REGION), "eu-west-3") is None


def test_the_rules_are_asked_once():
    options = AwsOptions("eu-west-3")
    assert place_of("once", options) is place_of("once", options)


@pytest.mark.parametrize(
    "host", ["s3.eu-west-3.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn", "s3.us-iso-east-1.c2s.ic.gov"]
)
def test_a_host_of_any_partition_is_of_aws(host):
    assert is_aws_host(host)


@pytest.mark.parametrize("host", ["amazonaws.com.example", "s3.xamazonaws.com", "s3.example"])
def test_other_hosts_are_not(host):
    assert not is_aws_host(host)


async def test_a_glob_gives_each_bucket_its_place():
    bench = Bench(cos_map={"logs-*": {**KEYS, "aws": True, "region": "eu-west-3", "bucket": "prod-{name}"}})
    forward = await bench.forward(signed_head("GET", "/logs-a/k"))
    assert forward.destination.authority == "prod-logs-a.s3.eu-west-3.amazonaws.com"
