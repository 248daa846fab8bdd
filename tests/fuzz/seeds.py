"""The seed corpus: its folders, and a mutator of our own for where atheris is not at hand.

`python tests/fuzz/make_corpus.py` writes the seeds anew.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
DICTIONARIES = Path(__file__).parent / "dictionaries"

_INTERESTING = [
    *(
        b"",
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"%",
        b"%2",
        b"%00",
        b"%2F",
        b"%zz",
        b"+",
        b"&",
        b"&&",
        b"=",
        b";",
    ),
    *(
        b"/",
        b"//",
        b"/../",
        b"/./",
        b"..",
        b"?",
        b"#",
        b" ",
        b"\t",
        b",",
        b"*",
        b"-",
        b"--",
        b"\\",
        b'"',
        b"${filename}",
    ),
    *(b"\x80", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9d\x84\x9e", b"\\ud800", b"\\u0000", b"0", b"-1", b"1e9"),
    *(b"9" * 20, b"f" * 16, b"A" * 300, b"[" * 2000, b"a;" * 200, b"<!--", b"<![CDATA[", b"&lt;", b"&#0;", b"&#x41;"),
]
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def names() -> list[str]:
    """The folders of the corpus."""
    return sorted(folder.name for folder in CORPUS.iterdir())


def seeds(target: str) -> list[bytes]:
    """The seeds of a target, in the order of their files' names."""
    return [file.read_bytes() for file in sorted((CORPUS / target).iterdir())]


def words(target: str) -> list[bytes]:
    """The words of its dictionary, which has libFuzzer's form."""
    file = DICTIONARIES / f"{target}.dict"
    found = _WORD.findall(file.read_bytes()) if file.exists() else []
    return [word.decode("unicode_escape").encode("latin-1") for word in found]


def mutations(target: str, count: int, chance: random.Random) -> Iterator[bytes]:
    """Seeds with one to five things wrong."""
    pool, tokens = seeds(target), [*_INTERESTING, *words(target)]
    for _ in range(count):
        data = chance.choice(pool)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
            data = _mutated(data, chance.choice(pool), tokens, chance)
        yield data


def _mutated(data: bytes, other: bytes, tokens: list[bytes], chance: random.Random) -> bytes:
    start, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    near = min(end, start + chance.choice((1, 2, 8, 64)))
    match chance.randrange(7):
        case 0:  # an octet changed
            return data[:start] + bytes([chance.randrange(256)]) + data[start + 1 :]
        case 1:  # something left out
            return data[:start] + data[near:]
        case 2:  # something inserted, or put in place
            return data[:start] + chance.choice(tokens) + data[chance.choice((start, near)) :]
        case 3:  # a piece repeated
            return data[:near] + data[start:near] * chance.choice((1, 1, 2, 50)) + data[near:]
        case 4:  # cut off
            return data[:start]
        case 5:  # the end of another seed
            return data[:start] + other[chance.randint(0, len(other)) :]
        case _:  # two pieces exchanged
            return data[:start] + data[near:end] + data[start:near] + data[end:]
