"""A gateway with fault rules: each is for the keys under its own name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def rules_file(folder: Path, rules: Mapping[str, Mapping[str, Any]], seed: int = 1) -> Path:
    """A file of rules, of which each is for keys that begin with its name and a slash."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"seed = {seed}"]
    for name, rule in rules.items():
        lines += ["[[faults]]", f"name = {json.dumps(name)}"]
        # JSON's strings, numbers, booleans and lists are TOML's as well.
        lines += [f"{field} = {json.dumps(value)}" for field, value in {"keys": f"{name}/*", **rule}.items()]
    file = folder / "faults.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file
