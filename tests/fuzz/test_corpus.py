"""The seeds and a few thousand mutations of them do no harm; `scripts/fuzz` looks further."""

from __future__ import annotations

import random

import pytest

from fuzz import seeds
from fuzz.targets import TARGETS

ROUNDS = 4
MUTATIONS = 750  # in each round


def test_every_target_has_seeds_and_every_folder_a_target():
    assert seeds.names() == sorted(TARGETS)
    assert all(len(seeds.seeds(name)) >= 3 for name in TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_do_no_harm(name):
    for seed in seeds.seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("start", range(ROUNDS))
@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_the_seeds_do_no_harm(name, start):
    for data in seeds.mutations(name, MUTATIONS, random.Random(f"{name} {start}")):
        try:
            TARGETS[name](data)
        except Exception as error:
            error.add_note(f"the input was {data!r}")
            raise
