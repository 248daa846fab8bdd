"""What a request does, in S3's words and in IAM's: a grant may be written in either.

See "Actions, resources, and condition keys for Amazon S3" in the Service Authorization Reference. What is not in the
tables has the same name in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from osp_gateway.access.authorizer import AccessRequest

BATCH: Final = "DeleteObjects"
_IAM: Final[Mapping[str, str]] = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PostObject": "PutObject",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
_OF_VERSIONS: Final[Mapping[str, str]] = {
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectAttributes": "GetObjectVersionAttributes",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
_BY_HEADER: Final[Mapping[str, str]] = {
    "x-amz-acl": "PutObjectAcl",
    "x-amz-bypass-governance-retention": "BypassGovernanceRetention",
    "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    "x-amz-object-lock-mode": "PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "PutObjectRetention",
    "x-amz-tagging": "PutObjectTagging",
}
"""What a header does besides what the request does anyway."""
_GRANT: Final = "x-amz-grant-"
_BUCKET_ACL: Final = "PutBucketAcl"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a request does: S3's name of the operation, and IAM's of the action."""

    operation: str
    iam: str


def actions_of(request: AccessRequest) -> Iterator[Action]:
    """All that a request does; each must be allowed."""
    # Each key of a batch is asked about as the DeleteObject that it would be alone.
    operation = "DeleteObject" if request.operation == BATCH else request.operation
    iam = _IAM.get(operation, operation)
    if "versionId" in request.query:
        iam = _OF_VERSIONS.get(iam, iam)
    yield Action(operation, iam)
    if operation.endswith("Acl"):
        return
    for name in request.headers:
        also = "PutObjectAcl" if name.startswith(_GRANT) else _BY_HEADER.get(name)
        if also == "PutObjectAcl" and not request.key:
            also = _BUCKET_ACL
        if also is not None:
            yield Action(also, also)
