"""A fake gateway and a client of it, for every test of the client over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fakes.gateway import FakeGateway

from kefu_client import KefuClient


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as running:
        yield running


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[KefuClient]:
    with KefuClient(gateway.address, timeout=20) as connected:
        yield connected
