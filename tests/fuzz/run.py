"""Runs one target under atheris; `scripts/fuzz` starts one process for each. Further arguments go to libFuzzer."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["osp_gateway"]):
    from fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
