"""The version of the installed distribution."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """For example "0.1.0"; "unknown" when run from sources that were never installed."""
    try:
        return metadata.version("kefu")
    except metadata.PackageNotFoundError:
        return "unknown"
