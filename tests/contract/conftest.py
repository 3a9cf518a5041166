"""One model host for the whole suite: starting it takes seconds, asking it milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.triton import Host, running


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Real Triton with both engines."""
    with running(tmp_path_factory.mktemp("triton"), ("reader", "echo")) as host:
        yield host
