"""`python -m kefu_gateway keys new --tenant shop --file /etc/kefu/keys`: makes an API key."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kefu_gateway.adapters.identity.keys import new_key, parse_time, read_keys
from kefu_gateway.adapters.identity.reloading import FileProblem

_DESCRIPTION = """\
Makes an API key. The key goes to standard output, once: only its hash is kept. Its line goes
into --file, or to standard error, to be put there. Gateways take it up within seconds.

A rotation: make a second key for the tenant, move the callers, take the first line out.
"""


def run(arguments: Sequence[str]) -> int:
    """Exit codes: 0 made, 1 the file cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        expires = _expiry(options)
        key, line = new_key(options.tenant, expires)
        if options.file is not None:
            _append(options.file, line)
    except (ValueError, OSError) as error:
        print(f"kefu_gateway keys: {error}", file=sys.stderr)
        return 1
    print(key)
    if options.file is None:
        print(f"Put this line into the key file (KEFU_GATEWAY_KEYS):\n{line}", file=sys.stderr)
    else:
        print(f"Its hash is in {options.file}. The key is not shown again.", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kefu_gateway keys", allow_abbrev=False, description="API keys."
    )
    new = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "new",
        help="make a key",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    new.add_argument("--tenant", required=True, metavar="NAME", help="whose key it is")
    new.add_argument("--file", type=Path, metavar="FILE", help="the key file to add it to")
    end = new.add_mutually_exclusive_group()
    end.add_argument("--days", type=float, metavar="N", help="days until it expires")
    end.add_argument("--expires", metavar="TIME", help="when it expires, 2027-06-30T00:00:00Z")
    return parser


def _expiry(options: argparse.Namespace) -> datetime | None:
    """Raises ValueError."""
    if options.expires is not None:
        try:
            time = parse_time(options.expires)
        except ValueError:
            raise ValueError(f"{options.expires!r} is no time like 2027-06-30T00:00:00Z") from None
    elif options.days is not None:
        time = datetime.now(UTC) + timedelta(days=options.days)
    else:
        return None
    if time <= datetime.now(UTC):
        raise ValueError("a key that has expired is of no use")
    return time


def _append(path: Path, line: str) -> None:
    """Adds the line, whole or not at all as far as readers see: the file is written anew and put in its place. Raises
    FileProblem where the file has problems already, OSError."""
    before = ""
    mode = 0o600
    if path.exists():
        read_keys(path)
        before = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode & 0o777
        if before and not before.endswith("\n"):
            before += "\n"
    elif path.is_symlink():
        raise FileProblem(f"{path} is a link to nothing")
    # The file itself, not a link to it, is replaced.
    real = path.resolve()
    beside = real.with_name(f".{real.name}.{os.getpid()}")
    with open(
        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
    ) as new:
        new.write(f"{before}{line}\n")
        new.flush()
        os.fsync(new.fileno())
    os.replace(beside, real)
