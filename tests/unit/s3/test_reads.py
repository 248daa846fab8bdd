"""Which operations change nothing: every one of S3's model has its say."""

from __future__ import annotations

import pytest

from osp_gateway.s3.operations import NOT_FORWARDED, OperationTable

OPERATIONS = OperationTable.from_botocore().operations
WRITES = ("Abort", "Complete", "Copy", "Create", "Delete", "Put", "Rename", "Restore", "Update", "Upload", "Write")
READS = ("Get", "Head", "List", "Select")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_is_a_read_or_a_write_as_its_name_says(operation):
    assert operation.name.startswith(WRITES) != operation.name.startswith(READS)
    expected = operation.name.startswith(READS) and operation.name not in NOT_FORWARDED
    assert operation.reads is expected


def test_the_table_is_all_of_s3():
    assert len(OPERATIONS) > 95
    names = {operation.name: operation.reads for operation in OPERATIONS}
    assert names["SelectObjectContent"] is True
    assert names["RestoreObject"] is False
    assert names["CopyObject"] is False
    assert names["CreateSession"] is False
