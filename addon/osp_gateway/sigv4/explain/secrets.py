"""Hypotheses about the secret. What is said of them never holds a secret, nor anything made of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote

from osp_gateway.sigv4.explain.attempt import SECRET, Variant
from osp_gateway.sigv4.explain.case import Case
from osp_gateway.sigv4.explain.knowledge import Cause, shown

MAX_OTHER_KEYS: Final = 200
MAX_PAIRED_KEYS: Final = 8
_WHITESPACE: Final = (
    ("\n", "newline", "a line feed"),
    ("\r\n", "crlf", "a carriage return and a line feed"),
    (" ", "blank", "a blank"),
    ("\r", "cr", "a carriage return"),
    ("\t", "tab", "a tab"),
)
_LOOK: Final = "Look at how the client reads it: environment variable, file, quotes, line ends."


def secret_variants(case: Case) -> Iterator[Variant]:
    """The client signed with another secret than the one that is known here."""
    own = case.knowledge.secret
    if own:
        misread = sorted(_misread(own), key=lambda found: found[0] not in _LIKELY)
        for name, sentence, secret in misread[: len(_LIKELY)]:
            if case.secrets.add(name, secret):
                yield _variant(name, sentence, name)
    yield from _other_keys(case)
    if own:
        for name, sentence, secret in misread[len(_LIKELY) :]:
            if case.secrets.add(name, secret):
                yield _variant(name, sentence, name, pairable=False)
        if case.secrets.add("without AWS4", own, start=""):
            sentence = 'The signing key was derived without "AWS4" before the secret. Put it there.'
            yield _variant("signing-key-without-aws4", sentence, "without AWS4", pairable=False)
    yield from _unlike(case)


def _misread(secret: str) -> Iterator[tuple[str, str, str]]:
    """A name for the secrets, a sentence, and the secret that the client then used."""
    for name, what, used in _written_otherwise(secret):
        yield name, f"{what} {_LOOK}", used
    # The gateway's own copy may be the one that is wrong.
    for what, used in (("blanks or line ends around it", secret.strip()), ("quotes around it", secret.strip("'\""))):
        yield (
            f"secret-here-has-{what.split()[0]}",
            f"The secret that the gateway has is written with {what}; the client's is without. Correct the keystore.",
            used,
        )


def _written_otherwise(secret: str) -> Iterator[tuple[str, str, str]]:
    for text, word, what in _WHITESPACE:
        yield f"secret-trailing-{word}", f"The client's secret ends with {what} too many.", secret + text
        yield f"secret-leading-{word}", f"The client's secret starts with {what} too many.", text + secret
    for mark, what in (('"', "double"), ("'", "single")):
        yield f"secret-{what}-quotes", f"The client's secret stands in {what} quotes.", mark + secret + mark
        yield f"secret-{what}-quote-after", f"The client's secret ends with a {what} quote.", secret + mark
        yield f"secret-{what}-quote-before", f"The client's secret starts with a {what} quote.", mark + secret
    yield "secret-percent-decoded", "The client percent-decoded its secret.", unquote(secret)
    for safe in ("", "/"):
        encoded = quote(secret, safe=safe)
        name = "secret-percent-encoded" if not safe else "secret-percent-encoded-but-slashes"
        yield name, "The client percent-encoded its secret.", encoded
    yield "secret-plus-became-blank", "A plus in the client's secret was taken for a blank.", secret.replace("+", " ")
    yield "secret-blank-became-plus", "A blank in the client's secret became a plus.", secret.replace(" ", "+")
    yield (
        "secret-escaped-slashes",
        "The client's secret has backslashes before its slashes.",
        secret.replace("/", "\\/"),
    )
    yield "secret-backslashes-lost", "The client's secret lost its backslashes.", secret.replace("\\", "")
    yield "secret-byte-order-mark", "The client's secret starts with a byte order mark.", "\ufeff" + secret
    yield "secret-last-character-lost", "The client's secret lacks its last character.", secret[:-1]
    yield "secret-first-character-lost", "The client's secret lacks its first character.", secret[1:]
    yield "secret-cut-at-dollar", "The shell took a dollar sign in the client's secret.", secret.partition("$")[0]
    yield "secret-cut-at-hash", "A hash in the client's secret was taken for a comment.", secret.partition("#")[0]
    yield "secret-cut-at-equals", "The client's secret was cut at its equals sign.", secret.partition("=")[0]
    yield "secret-upper-case", "The client's secret is in upper case.", secret.upper()
    yield "secret-lower-case", "The client's secret is in lower case.", secret.lower()
    yield "secret-twice", "The client's secret was pasted twice.", secret + secret
    yield "secret-newline-escaped", "The client's secret ends with a backslash and an n.", secret + "\\n"


def _other_keys(case: Case) -> Iterator[Variant]:
    """Whose secret is it? And were the access key and the secret swapped?"""
    named = case.sighting.access_key
    others = list(case.knowledge.other_keys.items())[:MAX_OTHER_KEYS]
    for number, (key, secret) in enumerate(others):
        if named and named == secret and case.secrets.add("keys-swapped", key):
            sentence = (
                f"Access key and secret are swapped: the request names as its access key what is the secret of "
                f"{shown(key)}. That secret has gone over the network: make a new one."
            )
            yield _variant("keys-swapped", sentence, "keys-swapped")
        if key != named and case.secrets.add(f"other {key}", secret):
            sentence = (
                f"The client signed with the secret of another key: it names {shown(named)}, and the secret is that of "
                f"{shown(key)}. Take both from one place; look for AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY in the "
                "environment, which win over profiles."
            )
            yield _variant("secret-of-other-key", sentence, f"other {key}", pairable=number < MAX_PAIRED_KEYS)


def _unlike(case: Case) -> Iterator[Variant]:
    """Something else stands in the secret's place."""
    if case.secrets.add("access key", case.sighting.access_key):
        sentence = "The client signed with the access key in place of the secret."
        yield _variant("access-key-as-secret", sentence, "access key", pairable=False)
    for name, what, secret in (("secret-empty", "empty", ""), ("secret-none", 'the word "None"', "None")):
        if case.secrets.add(name, secret):
            yield _variant(name, f"The client's secret is {what}. {_LOOK}", name, pairable=False)


def _variant(name: str, sentence: str, secret: str, *, pairable: bool = True) -> Variant:
    return Variant(Cause(name, sentence, about_secret=True), {SECRET: secret}, pairable)


_LIKELY: Final = frozenset(
    {
        "secret-trailing-newline",
        "secret-trailing-blank",
        "secret-double-quotes",
        "secret-percent-decoded",
        "secret-plus-became-blank",
    }
)
