"""The model host's own metrics, as Prometheus fetches them."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kefu_modelhost.exposition import exposed
from kefu_modelhost.status import ModelStatus, Status


@pytest.fixture
def status(tmp_path: Path) -> Status:
    models = {"reader": ModelStatus(state="ready"), "big": ModelStatus(state="failed", failures=3)}
    return Status(
        path=tmp_path / "status.json",
        grpc="",
        metrics="",
        http=None,
        log="",
        state="degraded",
        starts=1,
        models=models,
    )


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


async def test_states_and_failures_are_told(status: Status) -> None:
    async with exposed("127.0.0.1:0", status) as port:
        text = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/metrics")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["kefu_modelhost_state", "degraded"] == 1
    assert samples["kefu_modelhost_state", "ready"] == 0
    assert samples["kefu_modelhost_model_state", "big", "failed"] == 1
    assert samples["kefu_modelhost_model_state", "reader", "ready"] == 1
    assert samples["kefu_modelhost_load_failures_total", "big"] == 3
    assert samples["kefu_modelhost_starts_total",] == 1


async def test_other_paths_are_not_found(status: Status) -> None:
    async with exposed("127.0.0.1:0", status) as port:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            await asyncio.to_thread(get, f"http://127.0.0.1:{port}/")


async def test_a_dash_opens_nothing(status: Status) -> None:
    async with exposed("-", status) as port:
        assert port is None
