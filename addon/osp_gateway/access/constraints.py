"""What an allowed request must keep to."""

from __future__ import annotations

from osp_gateway.access.authorizer import Constraints
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.aws_chunked import MODES
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.chunked_codecs import DECODED_LENGTH


def refuse_excess(constraints: Constraints | None, head: RequestHead, payload_hash: str = UNSIGNED_PAYLOAD) -> None:
    """Refuse a body that its head announces as longer than it may be. Later on, no body exceeds what was announced.

    Args:
        constraints: of the decision.
        head: as it arrived.
        payload_hash: the client's `x-amz-content-sha256`: only aws-chunked bodies have a decoded length that is theirs.

    Raises:
        S3Error: EntityTooLarge (400); MissingContentLength (411) where the head does not say how long it is.
    """
    if constraints is None or constraints.max_octets is None:
        return
    announced = head.get(DECODED_LENGTH if payload_hash in MODES else "content-length")
    if announced is None and "transfer-encoding" in head.fields:
        raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if announced is not None and (not announced.isdecimal() or int(announced) > constraints.max_octets):
        raise S3Error(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            details={"ProposedSize": announced[:20], "MaxSizeAllowed": str(constraints.max_octets)},
        )
