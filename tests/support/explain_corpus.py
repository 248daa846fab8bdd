"""Signed requests of real clients, as octets; scripts/record_explain_corpus.py records them anew."""

from __future__ import annotations

from pathlib import Path

from osp_gateway.s3.head import RequestHead
from support.signing import Raw

FOLDER = Path(__file__).parents[1] / "unit" / "sigv4" / "explain_corpus"
KEY = "AKIDFAKECORPUSKEY000"
SECRET = "fake/corpus+secret%2Fthat-is-not-real"
REGION = "us-east-1"


def parsed(octets: bytes) -> Raw:
    """A recorded request."""
    head, _, body = octets.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [line.partition(":") for line in lines]
    return Raw(method, target, tuple((name, value.strip()) for name, _, value in pairs), body)


def corpus() -> dict[str, Raw]:
    """All of them, by name."""
    return {file.stem: parsed(file.read_bytes()) for file in sorted(FOLDER.glob("*.http"))}


def head_of(raw: Raw) -> RequestHead:
    """As the gateway sees it."""
    path, _, query = raw.target.partition("?")
    return RequestHead(raw.method, path, query, raw.headers)
