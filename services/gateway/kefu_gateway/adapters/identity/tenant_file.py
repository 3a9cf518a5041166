"""The file of tenants (TOML): what each may use, its share, and what it may call.

[default]                      # of tenants that are not named, and of what a named one does not say
turns_per_second = 5
burst = 20
concurrent_turns = 16
tokens_per_day = 2_000_000

[tenants.shop]
turns_per_second = 50
weight = 2                     # twice the share where tenants wait for a place against each other
methods = ["ChatService/*", "MediaService/*", "SessionService/Get*"]

[access]
unlisted = "refuse"            # tenants that are not named may not call; "allow" is the default
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kefu_gateway.adapters.identity.reloading import FileProblem, read_text
from kefu_gateway.domain.quotas import Quota
from kefu_gateway.domain.tenants import TenantRules, Tenants, is_tenant

_QUOTAS = tuple(field.name for field in fields(Quota))
_NUMBERS = (*_QUOTAS, "weight")


def read_tenants(path: Path) -> Tenants:
    """Raises FileProblem with every problem of the file."""
    try:
        raw = tomllib.loads(read_text(path, "the tenant file"))
    except tomllib.TOMLDecodeError as error:
        raise FileProblem(f"the tenant file {path} is not TOML: {error}") from None
    problems = [
        f"there is no [{name}]" for name in sorted(raw.keys() - {"default", "tenants", "access"})
    ]
    default = _table(raw, "default", problems)
    listed: dict[str, TenantRules] = {}
    for name, own in _table(raw, "tenants", problems).items():
        if not is_tenant(name) or not isinstance(own, dict):
            problems.append(f"[tenants.{name}] is no table of a tenant's name")
            continue
        listed[name] = _rules({**default, **own}, f"[tenants.{name}]", problems)
    unlisted = _rules(default, "[default]", problems)
    access = _table(raw, "access", problems)
    if access.keys() - {"unlisted"} or access.get("unlisted", "allow") not in ("allow", "refuse"):
        problems.append('[access] has unlisted = "allow" or "refuse"')
    if problems:
        raise FileProblem(f"the tenant file {path}: {'; '.join(dict.fromkeys(problems))}")
    return Tenants(listed=listed, unlisted=None if access.get("unlisted") == "refuse" else unlisted)


def _table(raw: Mapping[str, Any], name: str, problems: list[str]) -> dict[str, Any]:
    table = raw.get(name, {})
    if isinstance(table, dict):
        return table
    problems.append(f"[{name}] is no table")
    return {}


def _rules(raw: Mapping[str, Any], where: str, problems: list[str]) -> TenantRules:
    before = len(problems)
    problems += [
        f"{where} has no setting {name!r}; there are {', '.join((*_NUMBERS, 'methods'))}"
        for name in sorted(raw.keys() - {*_NUMBERS, "methods"})
    ]
    for name in _NUMBERS:
        if name in raw and not _is_number(
            raw[name], whole=name not in ("turns_per_second", "weight")
        ):
            problems.append(f"{where} {name} is no number from 0 on")
    if raw.get("weight", 1) == 0:
        problems.append(f"{where} weight is above 0")
    if raw.get("burst") and not raw.get("turns_per_second"):
        problems.append(f"{where} burst needs turns_per_second")
    methods = raw.get("methods", ["*"])
    if not isinstance(methods, list) or not all(isinstance(one, str) for one in methods):
        problems.append(f'{where} methods is a list such as ["ChatService/*"]')
    if len(problems) > before:
        return TenantRules()
    return TenantRules(
        quota=Quota(**{name: raw[name] for name in _QUOTAS if name in raw}),
        weight=float(raw.get("weight", 1.0)),
        methods=tuple(methods),
    )


def _is_number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return 0 <= value < 1e15
