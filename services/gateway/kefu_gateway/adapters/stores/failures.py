"""A driver's failure becomes STORE_UNAVAILABLE; its own words go to our log and no further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from kefu_common.errors import KefuError, Reason

log = structlog.get_logger()


@contextmanager
def told(dependency: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turns exceptions of these kinds into KefuError(STORE_UNAVAILABLE).

    with told("store", sqlite3.Error):
        connection.execute(…)
    """
    try:
        yield
    except kinds as error:
        raise unavailable(dependency, error) from error


def unavailable(dependency: str, error: BaseException) -> KefuError:
    """The error to raise; logs what the driver said."""
    log.warning(
        "store failed", dependency=dependency, kind=type(error).__name__, error=str(error)[:500]
    )
    return KefuError(Reason.STORE_UNAVAILABLE, "the store does not answer", dependency=dependency)
