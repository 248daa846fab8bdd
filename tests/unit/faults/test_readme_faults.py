"""What the README says of faults is so."""

from __future__ import annotations

import re
import tomllib
from typing import get_args

from osp_gateway.faults.rules import TYPES, Fault, Rule, read
from support.processes import REPO

SECTION = (
    (REPO / "README.md").read_text(encoding="utf-8").partition("## Break it on purpose\n")[2].partition("\n## ")[0]
)
ROWS = re.findall(r"^\| (`[a-z_`, ]+`) \| .* \| (.*)\|$", SECTION, re.MULTILINE)


def test_its_example_can_be_used():
    (example,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    assert [rule.type for rule in read(tomllib.loads(example)).faults] == ["error", "stall"]


def test_its_table_has_every_type_with_every_field():
    found = {
        name: set(re.findall(r"`([a-z_]+)`", fields))
        for names, fields in ROWS
        for name in _names(names)
        if name != "type"
    }
    models = {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(Fault)}
    assert found.keys() == models.keys() == TYPES
    for name, model in models.items():
        own = model.model_fields.keys() - Rule.model_fields.keys() - {"type"}
        assert found[name] - {"gateway", "bucket", "identity"} == own, name


def _names(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)
