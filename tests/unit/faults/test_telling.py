"""Whether a store can find out that a body was corrupted behind the gateway."""

from __future__ import annotations

import pytest

from osp_gateway.faults.telling import store_can_tell

HASH = "x-amz-content-sha256"


@pytest.mark.parametrize(
    ("headers", "can"),
    [
        ({}, False),
        ({HASH: "UNSIGNED-PAYLOAD"}, False),
        ({HASH: "0" * 64}, True),
        ({HASH: "UNSIGNED-PAYLOAD", "content-md5": "x"}, True),
        ({HASH: "UNSIGNED-PAYLOAD", "x-amz-checksum-crc32c": "AAAAAA=="}, True),
        ({HASH: "UNSIGNED-PAYLOAD", "x-amz-checksum-crc32c": "AAAAAA==-2"}, False),
        ({HASH: "UNSIGNED-PAYLOAD", "x-amz-checksum-algorithm": "CRC32C"}, False),
        ({HASH: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, True),
        ({HASH: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"}, True),
        ({HASH: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32"}, True),
        ({HASH: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, False),
    ],
)
def test_by_what_goes_with_it(headers, can):
    assert store_can_tell(headers) is can
