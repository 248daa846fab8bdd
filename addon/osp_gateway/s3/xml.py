"""XML documents that the gateway itself writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from osp_gateway.s3.errors import xml_text

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


def bucket_list(names: Iterable[str], owner: str, created: str) -> bytes:
    """The answer to ListBuckets, UTF-8 encoded.

    Args:
        names: the buckets' names.
        owner: who asked; S3 names the account here.
        created: ISO 8601 time that stands for every bucket's creation date, which the gateway does not know.
    """
    buckets = "".join(
        f"<Bucket><Name>{xml_text(name)}</Name><CreationDate>{created}</CreationDate></Bucket>" for name in names
    )
    shown = xml_text(owner)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ListAllMyBucketsResult xmlns="{NAMESPACE}">'
        f"<Owner><ID>{shown}</ID><DisplayName>{shown}</DisplayName></Owner>"
        f"<Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
    ).encode()
