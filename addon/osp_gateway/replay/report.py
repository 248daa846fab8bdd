"""What came of a replay: for people, for CI (JUnit XML) and for programs (JSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from osp_gateway.replay.run import Outcome


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A paragraph for each exchange that differs."""
    for outcome in outcomes:
        if outcome.same:
            continue
        yield f"#{outcome.number} {printable(outcome.exchange.title)}"
        for difference in outcome.differences:
            yield f"    {difference}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line."""
    differing = sum(not outcome.same for outcome in outcomes)
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    same = len(outcomes) - differing - skipped
    text = f"{same} of {len(outcomes)} exchanges as recorded, {differing} with differences"
    return f"{text}, {skipped} left out" if skipped else text


def as_json(outcomes: Sequence[Outcome]) -> str:
    """An object with `exchanges`, `same`, `different`, `skipped` and the `differences`."""
    differing = [outcome for outcome in outcomes if not outcome.same]
    document = {
        "exchanges": len(outcomes),
        "same": sum(outcome.same and not outcome.skipped for outcome in outcomes),
        "different": len(differing),
        "skipped": sum(bool(outcome.skipped) for outcome in outcomes),
        "differences": [
            {
                "number": outcome.number,
                "operation": outcome.exchange.operation,
                "bucket": outcome.exchange.request.bucket,
                "key": outcome.exchange.request.key_path,
                "identity": outcome.exchange.identity,
                "found": [
                    {"where": found.where, "expected": found.expected, "found": found.found}
                    for found in outcome.differences
                ],
            }
            for outcome in differing
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def as_junit(outcomes: Sequence[Outcome], name: str) -> bytes:
    """A test suite with one case for each exchange, in the form that CI servers read."""
    suite = Element(
        "testsuite",
        name=printable(name),
        tests=str(len(outcomes)),
        failures=str(sum(not outcome.same for outcome in outcomes)),
        skipped=str(sum(bool(outcome.skipped) for outcome in outcomes)),
        errors="0",
    )
    for outcome in outcomes:
        title = printable(f"#{outcome.number} {outcome.exchange.title}")
        case = SubElement(suite, "testcase", classname=printable(name), name=title)
        if outcome.skipped:
            SubElement(case, "skipped", message=outcome.skipped)
        elif not outcome.same:
            text = printable("\n".join(str(found) for found in outcome.differences))
            failure = SubElement(case, "failure", message=printable(str(outcome.differences[0])))
            failure.text = text
    document: bytes = tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def printable(text: str) -> str:
    """Without what a terminal, or XML, would take for something else."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
