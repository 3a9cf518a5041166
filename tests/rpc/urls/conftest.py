"""Hostile hosts for every test, and a count of what was refused at the end of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.rpc.urls.hosts import Hosts

REFUSED: pytest.StashKey[Counter[str]] = pytest.StashKey()


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    async with Hosts.open() as opened:
        yield opened


@pytest.fixture
def refused(request: pytest.FixtureRequest) -> Counter[str]:
    """Outcomes of hostile URLs over the whole run."""
    return request.config.stash.setdefault(REFUSED, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = terminalreporter.config.stash.get(REFUSED, Counter())
    if counted:
        outcomes = ", ".join(f"{count} {name}" for name, count in counted.most_common())
        terminalreporter.write_line(f"hostile URLs refused: {counted.total()} ({outcomes})")
