"""Operations as S3's server access log writes them: `REST.GET.OBJECT`.

See "Amazon S3 server access log format" in the user guide. That lists no names of its own for most subresources; they
are made of S3's names by the same pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
UNKNOWN: Final = "UNKNOWN"

_NAMES: Final[Mapping[str, str]] = {
    "AbortMultipartUpload": "DELETE.UPLOAD",
    "CompleteMultipartUpload": "POST.UPLOAD",
    "CopyObject": "COPY.OBJECT",
    "CreateBucket": "PUT.BUCKET",
    "CreateMultipartUpload": "POST.UPLOADS",
    "DeleteBucket": "DELETE.BUCKET",
    "DeleteObject": "DELETE.OBJECT",
    "DeleteObjects": "POST.MULTI_OBJECT_DELETE",
    "GetBucketAcl": "GET.ACL",
    "GetBucketPolicy": "GET.BUCKETPOLICY",
    "GetObject": "GET.OBJECT",
    "GetObjectAcl": "GET.ACL",
    "HeadBucket": "HEAD.BUCKET",
    "HeadObject": "HEAD.OBJECT",
    "ListBuckets": "GET.SERVICE",
    "ListMultipartUploads": "GET.UPLOADS",
    "ListObjectVersions": "GET.BUCKETVERSIONS",
    "ListObjects": "GET.BUCKET",
    "ListObjectsV2": "GET.BUCKET",
    "ListParts": "GET.UPLOAD",
    "PostObject": "POST.OBJECT",
    "PreflightRequest": "OPTIONS.PREFLIGHT",
    "PutBucketAcl": "PUT.ACL",
    "PutBucketPolicy": "PUT.BUCKETPOLICY",
    "PutObject": "PUT.OBJECT",
    "PutObjectAcl": "PUT.ACL",
    "UploadPart": "PUT.PART",
    "UploadPartCopy": "COPY.PART",
}
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERBS: Final = frozenset({"Get", "Put", "Post", "Delete", "Head", "List", "Create", "Update"})


@lru_cache(maxsize=1024)
def rest_name(operation: str, method: str, bucket: bool, key: bool) -> str:
    """The name of an operation.

    Args:
        operation: S3's name of it, or `-` where it has none.
        method: the request's.
        bucket: whether it is about a bucket, or something in one.
        key: whether it is about an object.
    """
    known = _NAMES.get(operation)
    if known is not None:
        return f"REST.{known}"
    verb = method if method in METHODS else UNKNOWN
    words = _WORD.split(operation)
    if len(words) < 2 or not operation.isalnum():
        return f"REST.{verb}.{'OBJECT' if key else 'BUCKET' if bucket else 'SERVICE'}"
    if words[0] in _VERBS:
        del words[0]
    if words[0] == "Bucket" and len(words) > 1:
        del words[0]
    return f"REST.{verb}.{'_'.join(words).upper()}"
