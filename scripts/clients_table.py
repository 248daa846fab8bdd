#!/usr/bin/env python3
"""Makes docs/clients.md of what tests/clients recorded: run them first, then this.

    .venv/bin/pytest tests/clients
    scripts/clients_table.py

Results are taken from the directory OSP_CLIENT_RESULTS (by default `osp-client-results` in the temporary folder).
Nothing in the table is written by hand. The same results make the same file.

Exit codes: 0 done, 1 there are no results, or (--check) the file is not what they make, 2 wrong usage.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
STEPS = ("put", "get", "list", "multipart", "presigned")
BACKENDS = {"rclone": "rclone", "rgw": "Ceph RGW"}
WAYS = {"http": ("HTTP", "direct-http"), "tls": ("TLS", "direct-tls"), "h2": ("TLS, HTTP/2", "direct-tls")}
SIGNS = {"ok": "✓", "error": "✗", "501": "501", "refused": "refused", "not applicable": "–", "": ""}
ERROR_LENGTH = 220

INTRODUCTION = """\
# Clients

What works with which client: each does what it is used for with its defaults, small and large objects (24 MiB), on
two stores, straight at the store and through the gateway.

Made by `scripts/clients_table.py` of what `tests/clients` recorded; no cell is written by hand.

The stores speak plain HTTP; for TLS straight at them, TLS is taken off before them and the octets stay as they are.
In brackets: the versions of HTTP that the gateway saw; in the last column: how it saw the bodies signed.

In each cell: straight at the store → through the gateway. ✓ works, ✗ fails, 501 the gateway does not have this yet,
refused: by design, see below, – the client has no such thing.
"""

Result = Mapping[str, Any]
Results = Mapping[tuple[str, str, str], Result]
"""By client, backend and way."""


def read(folder: Path) -> Results:
    """All results in a folder."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("[!.]*.json"))]
    return {(one["client"], one["backend"], one["way"]): one for one in found}


def document(results: Results) -> str:
    """The whole file."""
    clients = sorted({client for client, _, _ in results}, key=str.casefold)
    missing = {c: reason for c in clients if (reason := missing_reason(results, c))}
    present = [client for client in clients if client not in missing]
    parts = [INTRODUCTION, *summary(results, present)]
    for backend in BACKENDS:
        parts += details(results, present, backend)
    parts += only_through(results, present)
    parts += nowhere(results, present)
    parts += errors(results, present)
    if missing:
        parts += ["\n## Not installed\n", *(f"- {client}: {quoted(reason)}" for client, reason in missing.items())]
    return "\n".join(parts) + "\n"


def missing_reason(results: Results, client: str) -> str:
    """Why a client could not be had; nothing if it could."""
    own = [one for (name, _, _), one in sorted(results.items()) if name == client]
    reasons = [one["missing"] for one in own if one.get("missing")]
    return reasons[0] if len(reasons) == len(own) else ""


def version(results: Results, client: str) -> str:
    """A client's version, or more where results are of more than one."""
    return ", ".join(sorted({one["version"] for (name, _, _), one in results.items() if name == client} - {""}))


def outcome(results: Results, client: str, backend: str, way: str, step: str) -> str:
    """One step's outcome, or nothing."""
    return results.get((client, backend, way), {"steps": {}})["steps"].get(step, {}).get("outcome", "")


def both(results: Results, client: str, backend: str, way: str, step: str) -> tuple[str, str]:
    """One step's outcomes direct and through the gateway."""
    return outcome(results, client, backend, WAYS[way][1], step), outcome(results, client, backend, way, step)


def steps_of(results: Results, client: str, backend: str, way: str) -> list[str]:
    """The steps of a client: those that all have first."""
    known = {step for w in (way, WAYS[way][1]) for step in results.get((client, backend, w), {"steps": {}})["steps"]}
    return [step for step in STEPS if step in known] + sorted(known - set(STEPS))


def summary(results: Results, clients: Sequence[str]) -> list[str]:
    """How many steps of each client work."""
    columns = [(backend, way) for backend in BACKENDS for way in WAYS]
    heads = [f"{BACKENDS[backend]}, {WAYS[way][0]}" for backend, way in columns]
    rows = []
    for client in clients:
        cells = []
        for backend, way in columns:
            steps = steps_of(results, client, backend, way)
            pairs = [both(results, client, backend, way, step) for step in steps]
            pairs = [pair for pair in pairs if pair != ("not applicable", "not applicable")]
            ran = (client, backend, way) in results
            direct, through = ([pair[side] for pair in pairs].count("ok") for side in (0, 1))
            cells.append(f"{direct} → {through} of {len(pairs)}" if ran else "")
        rows.append([client, version(results, client), *cells])
    return ["## Steps that work\n", *table(["Client", "Version", *heads], rows)]


def details(results: Results, clients: Sequence[str], backend: str) -> list[str]:
    """Each step of each client on a backend."""
    versions = {one.get("backend_version", "") for (_, name, _), one in results.items() if name == backend} - {""}
    rows = []
    for client in clients:
        for way, (title, _) in WAYS.items():
            result = results.get((client, backend, way))
            if result is None:
                continue
            steps = steps_of(results, client, backend, way)
            cells = [cell(both(results, client, backend, way, step)) for step in STEPS]
            others = {step: cell(both(results, client, backend, way, step)) for step in steps if step not in STEPS}
            kinds = sorted(set(others.values()), key=lambda kind: (kind != "✓ → ✓", kind))
            named = [f"{kind}: {', '.join(s for s, c in others.items() if c == kind)}" for kind in kinds]
            over = f"{title} ({', '.join(result['http_versions'])})" if result["http_versions"] else title
            rows.append([client, over, *cells, "<br>".join(named), "<br>".join(result["payloads"])])
    if not rows:
        return []
    title = f"\n## {BACKENDS[backend]} {', '.join(sorted(versions))}\n"
    return [title, *table(["Client", "Over", *STEPS, "others", "x-amz-content-sha256"], rows)]


def cell(outcomes: tuple[str, str]) -> str:
    """Both outcomes."""
    direct, through = (SIGNS[one] for one in outcomes)
    return direct if direct == through == SIGNS["not applicable"] else f"{direct} → {through}"


def only_through(results: Results, clients: Sequence[str]) -> list[str]:
    """What fails straight at the store and works through the gateway."""
    lines = []
    for client in clients:
        for backend, store in BACKENDS.items():
            for way, (title, _) in WAYS.items():
                steps = steps_of(results, client, backend, way)
                gained = [step for step in steps if both(results, client, backend, way, step) == ("error", "ok")]
                if gained:
                    lines.append(f"- {client}, {store}, {title}: {', '.join(gained)}")
    return ["\n## Works only through the gateway\n", *(lines or ["Nothing."])]


def nowhere(results: Results, clients: Sequence[str]) -> list[str]:
    """What works neither straight nor through the gateway, in any way: whole clients with the reason, else steps."""
    lines = []
    for client in clients:
        for backend, store in BACKENDS.items():
            own = {way: one for (name, where, way), one in results.items() if (name, where) == (client, backend)}
            seen: dict[str, set[str]] = {}
            for one in own.values():
                for step, found in one["steps"].items():
                    seen.setdefault(step, set()).add(found["outcome"])
            never = sorted(step for step, outcomes in seen.items() if "error" in outcomes and "ok" not in outcomes)
            reason = next((one["expected_nowhere"] for one in own.values() if one.get("expected_nowhere")), "")
            if never and not any("ok" in outcomes for outcomes in seen.values()):
                lines.append(f"- {client}, {store}: nothing at all{f': {reason}' if reason else ''}")
            elif never:
                lines.append(f"- {client}, {store}: {', '.join(never)}")
    return ["\n## Works nowhere: neither straight at the store nor through the gateway\n", *(lines or ["Nothing."])]


def errors(results: Results, clients: Sequence[str]) -> list[str]:
    """What was said where something failed, each once."""
    lines = []
    for client in clients:
        for backend, store in BACKENDS.items():
            places: dict[tuple[str, str], list[str]] = {}
            for way in ("direct-http", "direct-tls", *WAYS):
                steps = results.get((client, backend, way), {"steps": {}})["steps"]
                for step, one in sorted(steps.items()):
                    if one["outcome"] not in ("ok", "not applicable"):
                        side = "direct" if way.startswith("direct") else "gateway"
                        title = f"{side}, {WAYS[way.removeprefix('direct-')][0]}"
                        places.setdefault((step, one["error"][:ERROR_LENGTH]), []).append(title)
            for (step, error), titles in sorted(places.items()):
                lines.append(f"- {client}, {store}: {step} ({'; '.join(sorted(set(titles)))}): {quoted(error)}")
    return ["\n## Errors\n", *(lines or ["None."])]


def quoted(text: str) -> str:
    """As code, whatever is in it."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |" for line in lines]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("OSP_CLIENT_RESULTS") or Path(tempfile.gettempdir()) / "osp-client-results"
    parser.add_argument("--results", type=Path, default=Path(default), help="where the results are")
    parser.add_argument("--output", type=Path, default=REPO / "docs" / "clients.md", help="the file to make")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    results = read(options.results)
    if not results:
        print(f"no results in {options.results}: run tests/clients first", file=sys.stderr)
        return 1
    text = document(results)
    if options.check:
        return 0 if options.output.exists() and options.output.read_text(encoding="utf-8") == text else 1
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(f"{options.output}: {len(results)} results", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
