"""`keys_env`, `keys_file` and `keys_url` in the configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from osp_gateway.access.key_file import read_key_file
from osp_gateway.access.key_model import KeyProblem, Listed, from_environment
from osp_gateway.access.key_service import KeyServiceAddress
from osp_gateway.asking import ServiceUrl, address_problem

NO_KEYS: Final[Listed] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KeySources:
    """Where client keys are besides the configuration itself."""

    environment: Listed = field(default=NO_KEYS, repr=False)
    file: Path | None = None
    service: KeyServiceAddress | None = None

    def __bool__(self) -> bool:
        return bool(self.environment) or self.file is not None or self.service is not None


def key_sources(
    prefix: str | None, file: Path | None, url: str | None, token: str | None
) -> tuple[KeySources, list[str]]:
    """The sources, and a line for each mistake."""
    problems = []
    environment = NO_KEYS
    if prefix is not None:
        try:
            environment = from_environment(prefix, os.environ)
        except KeyProblem as problem:
            problems.append(f"keys_env: {problem}")
    if file is not None:
        try:
            read_key_file(file)
        except KeyProblem as problem:
            problems.append(f"keys_file: {problem}")
    if url is None and token is not None:
        problems.append("keys_url_token: there is no service to send it to, expected keys_url")
    if url is not None and (wrong := address_problem(url)):
        problems.append(f"keys_url: {wrong}")
    service = None if url is None else KeyServiceAddress(ServiceUrl(url), token)
    return KeySources(environment, file, service), problems
