"""What stores say about regions, and where buckets are found then."""

import pytest

from osp_gateway.backends.regions import MAX_BUCKETS, Regions, in_region, read_region
from osp_gateway.backends.routes import Destination, Endpoint
from osp_gateway.s3.address import AddressingStyle


def document(code, **texts):
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>{inner}</Error>'.encode()


def destination(host="s3.us-east-1.amazonaws.com", region="us-east-1", bucket="b"):
    return Destination(bucket, bucket, Endpoint(host, 443, True), region, AddressingStyle.VIRTUAL, True)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-amz-bucket-region": "eu-west-3"}, b""),
        ({"x-amz-bucket-region": "eu-west-3"}, b"no XML"),
        ({}, document("AuthorizationHeaderMalformed", Message="m", Region="eu-west-3")),
        ({}, document("PermanentRedirect", Endpoint="b.s3.eu-west-3.amazonaws.com", Bucket="b")),
        ({}, document("PermanentRedirect", Endpoint="b.s3-eu-west-3.amazonaws.com", Bucket="b")),
        ({}, document("TemporaryRedirect", Endpoint="s3.dualstack.eu-west-3.amazonaws.com")),
        ({}, document("TemporaryRedirect", Endpoint="B.S3.EU-WEST-3.AMAZONAWS.COM:443")),
        ({"location": "https://b.s3.eu-west-3.amazonaws.com/key?a=b"}, b""),
        ({"location": "https://s3.eu-west-3.amazonaws.com/b/key"}, document("TemporaryRedirect")),
    ],
)
def test_a_region_is_read_wherever_a_store_says_it(headers, body):
    assert read_region(headers, body) == "eu-west-3"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({}, b"<Error><Code>PermanentRedirect</Code>"),
        ({}, b"\xff\xfe"),
        ({}, document("MalformedXML", Region="eu-west-3")),
        ({}, document("AccessDenied", Endpoint="b.s3.eu-west-3.amazonaws.com")),
        ({}, document("PermanentRedirect", Endpoint="b.s3.amazonaws.com")),
        ({}, document("PermanentRedirect", Endpoint="s3.eu-west-3.amazonaws.com.evil.test")),
        ({}, document("PermanentRedirect", Endpoint="[")),
        ({}, document("PermanentRedirect", Endpoint="evil.test/s3.eu-west-3.amazonaws.com")),
        ({}, document("PermanentRedirect", Endpoint="s3.eu-west-3.amazonaws.com@evil.test")),
        ({"location": "https://evil.test/s3.eu-west-3.amazonaws.com"}, b""),
        ({"location": "/elsewhere"}, b""),
        ({"x-amz-bucket-region": "evil.test"}, b""),
        ({"x-amz-bucket-region": "eu-west-3/../x"}, b""),
        ({"x-amz-bucket-region": "eu-west-3\n"}, b""),
        ({"x-amz-bucket-region": "EU"}, b""),
        ({"x-amz-bucket-region": "a" * 33}, b""),
        (
            {},
            b'<!DOCTYPE x [<!ENTITY r "eu-west-3">]><Error><Code>PermanentRedirect</Code><Region>&r;</Region></Error>',
        ),
    ],
)
def test_what_is_not_about_a_region_says_nothing(headers, body):
    assert read_region(headers, body) is None


@pytest.mark.parametrize(
    ("host", "moved"),
    [
        ("s3.us-east-1.amazonaws.com", "s3.eu-west-3.amazonaws.com"),
        ("s3-us-east-1.amazonaws.com", "s3-eu-west-3.amazonaws.com"),
        ("s3.dualstack.us-east-1.amazonaws.com", "s3.dualstack.eu-west-3.amazonaws.com"),
        ("s3-fips.us-east-1.amazonaws.com", "s3-fips.eu-west-3.amazonaws.com"),
        ("s3.amazonaws.com", "s3.eu-west-3.amazonaws.com"),
        ("s3-accelerate.amazonaws.com", "s3-accelerate.amazonaws.com"),
        ("store.test", "store.test"),
        ("127.0.0.1", "127.0.0.1"),
        ("s3.us-east-1.amazonaws.com.evil.test", "s3.us-east-1.amazonaws.com.evil.test"),
    ],
)
def test_only_the_region_in_an_endpoint_of_aws_changes(host, moved):
    found = in_region(destination(host), "eu-west-3")
    assert (found.endpoint.host, found.region) == (moved, "eu-west-3")
    assert (found.endpoint.port, found.endpoint.tls, found.bucket, found.verify) == (443, True, "b", True)
    assert found.authority == f"b.{moved}"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("s3.us-east-1.amazonaws.com", "us-east-1"),
        ("s3.us-east-1.amazonaws.com", "cn-north-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "us-west-2"),
        ("s3.us-east-1.amazonaws.com", "nowhere"),
        ("s3.us-east-1.amazonaws.com", "evil.test"),
        ("vpce-1.s3.us-east-1.vpce.amazonaws.com", "eu-west-3"),
        ("store.test", "us-east-1"),
        ("store.test", "a/b"),
        ("store.test", ""),
    ],
)
def test_what_is_out_of_reach_or_changes_nothing_is_not_followed(host, region):
    assert in_region(destination(host), region) is None


def test_a_bucket_is_remembered_whichever_region_it_is_asked_in():
    regions = Regions()
    regions.learn(destination(), "eu-west-3")
    for host in ("s3.us-east-1.amazonaws.com", "s3.ap-south-1.amazonaws.com"):
        assert regions.place(destination(host)).endpoint.host == "s3.eu-west-3.amazonaws.com"
    there = destination("s3.eu-west-3.amazonaws.com", "eu-west-3")
    assert regions.place(there) is there


def test_what_is_remembered_is_about_one_bucket_on_one_endpoint():
    regions = Regions()
    regions.learn(destination(), "eu-west-3")
    for other in (
        destination(bucket="other"),
        destination("store.test"),
        destination("s3.cn-north-1.amazonaws.com.cn"),
    ):
        assert regions.place(other) is other


def test_later_news_replace_earlier_ones():
    regions = Regions()
    moved = regions.learn(destination(), "eu-west-3")
    regions.learn(moved, "us-west-2")
    assert regions.place(destination()).region == "us-west-2"


def test_the_root_has_no_region_to_learn():
    regions = Regions()
    assert regions.learn(destination(bucket=""), "eu-west-3") is None


def test_no_more_than_so_many_buckets_are_remembered():
    regions = Regions(size=2)
    for name in ("a", "b", "c"):
        regions.learn(destination(bucket=name), "eu-west-3")
    placed = [regions.place(destination(bucket=name)).region for name in ("a", "b", "c")]
    assert placed.count("eu-west-3") == 2
    assert MAX_BUCKETS >= 2


def test_what_is_remembered_is_forgotten_after_a_while():
    regions = Regions(ttl=0.0)
    regions.learn(destination(), "eu-west-3")
    assert regions.place(destination()).region == "us-east-1"
