"""GPU figures from Triton's own metrics, passed on under our names.

`nv_gpu_utilization` (0 to 1) becomes `kefu_gpu_utilization_ratio{gpu}`. Without a GPU that series is absent and
`kefu_gpu_count` is 0: a zero would be a claim that there is an idle one.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterable

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

log = structlog.get_logger()

# Triton's name, our name, what it says.
_FAMILIES = (
    ("nv_gpu_utilization", "kefu_gpu_utilization_ratio", "Busy share of the GPU, 0 to 1."),
    ("nv_gpu_memory_used_bytes", "kefu_gpu_memory_used_bytes", "GPU memory in use, in bytes."),
    ("nv_gpu_memory_total_bytes", "kefu_gpu_memory_total_bytes", "GPU memory, in bytes."),
    ("nv_gpu_power_usage", "kefu_gpu_power_watts", "Power drawn by the GPU, in watts."),
)


class GpuFigures(Collector):
    """Keeps the last figures of Triton's metrics endpoint and shows them to Prometheus."""

    def __init__(self, url: str, registry: CollectorRegistry) -> None:
        self._url = url
        self._values: dict[str, dict[str, float]] = {}
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        gpus = {gpu for values in self._values.values() for gpu in values}
        count = GaugeMetricFamily("kefu_gpu_count", "GPUs that the model server reports.")
        count.add_metric([], len(gpus))
        yield count
        for theirs, ours, text in _FAMILIES:
            if values := self._values.get(theirs):
                family = GaugeMetricFamily(ours, text, labels=["gpu"])
                for gpu, value in sorted(values.items()):
                    family.add_metric([gpu], value)
                yield family

    async def watch(self, every: float) -> None:
        """Reads the endpoint every `every` seconds until cancelled. A server that is away has no GPUs to show."""
        while True:
            try:
                text = await asyncio.to_thread(self._fetch)
                self.read(text)
            except (OSError, ValueError) as error:
                log.debug("no metrics from the model server", kind=type(error).__name__)
                self._values = {}
            await asyncio.sleep(every)

    def read(self, text: str) -> None:
        """Takes in one exposition (Prometheus text format 0.0.4)."""
        wanted = {theirs for theirs, _, _ in _FAMILIES}
        values: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            if family.name in wanted:
                values[family.name] = {
                    sample.labels.get("gpu_uuid", ""): sample.value for sample in family.samples
                }
        self._values = values

    def _fetch(self) -> str:
        # The address is a setting of ours, never a caller's.
        with urllib.request.urlopen(self._url, timeout=2) as response:  # noqa: S310
            text: str = response.read().decode()
            return text
