"""Settings: frozen dataclasses read once from the environment, all problems reported at once.

@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    address: str = setting("KEFU_GATEWAY_ADDRESS", "127.0.0.1:50051", "where to listen")
    workers: int = setting("KEFU_WORKERS", 2, "threads", minimum=1, maximum=64)

settings = load(Settings, os.environ)     # raises SettingsError, naming every wrong variable
print(describe(Settings))                 # what --help shows
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingsError(Exception):
    """Every problem found in the environment, one sentence each, each naming its variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def setting(
    variable: str,
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[Any], object] | None = None,
) -> Any:
    """A dataclass field that is read from `variable`. `text` says what it is, with its unit. `check` raises ValueError,
    in words for the operator, where a value is wrong."""
    metadata = {
        "variable": variable,
        "text": text,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "check": check,
    }
    return dataclasses.field(default=default, metadata=metadata)


def load(cls: type[T], environ: Mapping[str, str], *, prefix: str | None = None) -> T:
    """Reads `cls` from `environ`; an empty variable counts as absent.

    With `prefix`, a variable that begins with it but is not a setting is a problem too: it is most likely a typo, and
    a typo that is silently ignored is found in production. A method `problems` of `cls` says what of its fields does
    not fit together. Raises SettingsError.
    """
    assert dataclasses.is_dataclass(cls)
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    problems: list[str] = []
    known: set[str] = set()
    for field in dataclasses.fields(cls):
        variable = field.metadata["variable"]
        known.add(variable)
        raw = environ.get(variable, "")
        if raw == "":
            continue
        try:
            values[field.name] = _checked(_parse(raw, hints[field.name]), field.metadata)
        except ValueError as error:
            problems.append(f"{variable}={raw!r}: {error}")
    if prefix is not None:
        problems += [
            f"{name}: there is no such setting"
            for name in sorted(environ)
            if name.startswith(prefix) and name not in known
        ]
    settings = cls(**values)
    # What does not fit together; the fields that are wrong by themselves stand at their defaults here.
    check = getattr(settings, "problems", None)
    if check is not None:
        problems += check()
    if problems:
        raise SettingsError(problems)
    return settings


def describe(cls: type[Any]) -> str:
    """The settings as text: variable, default, meaning."""
    lines = []
    for field in dataclasses.fields(cls):
        default = field.default if field.default not in ("", None) else "(none)"
        lines.append(f"  {field.metadata['variable']}  [{default}]\n      {field.metadata['text']}")
    return "\n".join(lines)


def _parse(raw: str, kind: Any) -> Any:
    if kind is bool:
        lowered = raw.lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
        raise ValueError("must be true or false")
    if kind is int:
        try:
            return int(raw)
        except ValueError:
            raise ValueError("must be a whole number") from None
    if kind is float:
        try:
            return float(raw)
        except ValueError:
            raise ValueError("must be a number") from None
    if kind is Path:
        return Path(raw)
    return raw


def _checked(value: Any, metadata: Mapping[str, Any]) -> Any:
    minimum, maximum, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    if minimum is not None and not value >= minimum:
        raise ValueError(f"must be at least {minimum}")
    if maximum is not None and not value <= maximum:
        raise ValueError(f"must be at most {maximum}")
    if choices and value not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}")
    if metadata["check"] is not None:
        metadata["check"](value)
    return value
