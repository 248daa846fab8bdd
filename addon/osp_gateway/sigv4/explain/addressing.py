"""Hypotheses about the method and the Host header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from osp_gateway.s3.address import split_port
from osp_gateway.sigv4.explain.attempt import METHOD, PATH, Variant, header_part
from osp_gateway.sigv4.explain.case import Case
from osp_gateway.sigv4.explain.knowledge import Cause, shown

HOST: Final = header_part("host")
_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
_COMMON_PORTS: Final = ("80", "443", "8080", "9000", "8000", "8443", "5000", "4566", "6190")
_HOST_HEADERS: Final = ("x-forwarded-host", "x-original-host", "x-host", "x-forwarded-server", "x-real-host")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")  # noqa: S104 - a name that clients write
_KEEP_HOST: Final = (
    "Let the proxy in front pass Host on as it came (nginx: proxy_set_header Host $http_host; Apache: "
    "ProxyPreserveHost On), or give clients the address under which the gateway is reached."
)
_MAX_NAMES: Final = 12


def method_variants(case: Case) -> Iterator[Variant]:
    """Another method was signed than came."""
    received = case.head.method
    override = case.head.get("x-http-method-override")
    for method in (*([override] if override else ()), *_METHODS, received.upper()):
        if method != received:
            sentence = (
                f"The method changed on the way: found {received}, signed {method}. Something in front sends "
                f"{received} for {method} (a cache, a redirect, a health check), or a URL presigned for {method} is "
                f"used with {received}."
            )
            yield Variant(Cause("method-changed", sentence), {METHOD: method})


def host_variants(case: Case) -> Iterator[Variant]:
    """Another Host was signed than came."""
    received = case.header("host")
    if received is None:
        return
    yield from _other_ports(case, received)
    yield from _forwarded(case, received)
    yield from _moved_buckets(case, received)
    yield from _other_spellings(received)
    yield from _other_names(case, received)


def _other_ports(case: Case, received: str) -> Iterator[Variant]:
    name, port = split_port(received)
    if port:
        what = f"The port {port} was added to Host on the way, or the client signs without it"
        yield _host("host-port-added", what, received, name)
    kind, what = "host-port-changed", "The port in Host changed on the way"
    if not port:
        kind, what = "host-port-dropped", "Host lost its port on the way"
    for other in _ports(case):
        if other != port:
            yield _host(kind, what, received, f"{name}:{other}")


def _ports(case: Case) -> list[str]:
    """Ports that a client may have signed, each once."""
    forwarded = case.head.get("x-forwarded-port") or ""
    listening = [str(port) for port in case.knowledge.listen_ports[:_MAX_NAMES]]
    ports = [*([forwarded] if forwarded.isdecimal() and len(forwarded) < 6 else ()), *listening, *_COMMON_PORTS]
    return list(dict.fromkeys(ports))


def _forwarded(case: Case, received: str) -> Iterator[Variant]:
    for header, name in _forwarded_names(case):
        what = f"Host was rewritten on the way; {header} still has the one that was signed"
        for host in _with_ports(case, name):
            yield _host("host-rewritten", what, received, host)


def _forwarded_names(case: Case) -> list[tuple[str, str]]:
    """Hosts that a proxy tells of, with the header that does."""
    found = [(name, value) for name in _HOST_HEADERS for value in (case.head.get(name) or "").split(",")[:3]]
    for element in (case.head.get("forwarded") or "").replace(",", ";").split(";")[:16]:
        name, _, value = element.partition("=")
        if name.strip().lower() == "host":
            found.append(("forwarded", value.strip().strip('"')))
    return [(name, value.strip()) for name, value in found if value.strip()][:_MAX_NAMES]


def _with_ports(case: Case, host: str) -> list[str]:
    """A name as it is, without its port, and with the likeliest ones."""
    name = split_port(host)[0]
    return list(dict.fromkeys([host, name, *(f"{name}:{port}" for port in _ports(case)[:4])]))


def _other_spellings(received: str) -> Iterator[Variant]:
    name, port = split_port(received)
    tail = f":{port}" if port else ""
    for other in (name.lower(), name.upper(), name.capitalize(), name.title()):
        if other != name:
            what = "Host changed between upper and lower case on the way"
            yield _host("host-case", what, received, other + tail)
    other = name.removesuffix(".") if name.endswith(".") else name + "."
    yield _host("host-trailing-dot", "The dot at the end of Host's name is another", received, other + tail)


def _moved_buckets(case: Case, received: str) -> Iterator[Variant]:
    """A proxy moved the bucket between the host's name and the path."""
    name, port = split_port(received)
    tail = f":{port}" if port else ""
    path = case.parts[PATH]
    bucket, slash, key = path[1:].partition("/")
    for domain in dict.fromkeys((name, *case.knowledge.domains[:_MAX_NAMES])):
        if bucket and "%" not in bucket:
            changes = {HOST: f"{bucket}.{domain}{tail}", PATH: f"/{key}" if slash else "/"}
            yield _moved("bucket-moved-to-path", "from the host's name to the path", received, path, changes)
        label = name.removesuffix(f".{domain}") if name.endswith(f".{domain}") else name.partition(".")[0]
        if label != name:
            rest = domain if name.endswith(f".{domain}") else name.partition(".")[2]
            changes = {HOST: rest + tail, PATH: f"/{label}{path if path != '/' else ''}"}
            yield _moved("bucket-moved-to-host", "from the path to the host's name", received, path, changes)


def _moved(name: str, what: str, host: str, path: str, changes: dict[str, str]) -> Variant:
    sentence = (
        f"The bucket was moved {what} on the way: found Host {shown(host)} with path {shown(path)}, signed "
        f"{shown(changes[HOST])} with {shown(changes[PATH])}. Let the proxy in front pass both on as they came."
    )
    return Variant(Cause(name, sentence), changes)


def _other_names(case: Case, received: str) -> Iterator[Variant]:
    name, port = split_port(received)
    region = case.sighting.region or case.knowledge.region
    bucket = case.head.path[1:].partition("/")[0]
    label = name.partition(".")[0]
    known = [*case.knowledge.hosts[:_MAX_NAMES], *case.knowledge.domains[:_MAX_NAMES], *_LOOPBACK]
    amazon = ["s3.amazonaws.com", f"s3.{region}.amazonaws.com", f"{label}.s3.{region}.amazonaws.com"]
    amazon += [f"{label}.s3.amazonaws.com", f"{bucket}.s3.amazonaws.com", f"{bucket}.s3.{region}.amazonaws.com"]
    domains = [f"{label}.{domain}" for domain in case.knowledge.domains[:_MAX_NAMES]]
    what = "Host was rewritten on the way"
    for other in dict.fromkeys((*known, *amazon, *domains)):
        tails = [f":{port}"] if port and ":" not in other.rpartition("]")[2] else []
        hosts = [f"{other}{tail}" for tail in tails] + (_with_ports(case, other) if other in known else [other])
        for host in hosts:
            yield _host("host-rewritten", what, received, host, pairable=other in known)


def _host(name: str, what: str, received: str, signed: str, *, pairable: bool = True) -> Variant:
    sentence = f"{what}: found Host {shown(received)}, signed {shown(signed)}. {_KEEP_HOST}"
    return Variant(Cause(name, sentence), {HOST: signed}, pairable)
