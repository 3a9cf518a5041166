"""GPU figures are passed on as Triton gives them, and absent where there is no GPU."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from kefu_gateway.adapters.gpu import GpuFigures

# As a Triton with two GPUs exposes them (Prometheus text format).
EXPOSITION = """\
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-a"} 0.82
nv_gpu_utilization{gpu_uuid="GPU-b"} 0
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 17179869184
# TYPE nv_inference_count counter
nv_inference_count{model="reader",version="1"} 3
"""


def shown(text: str) -> str:
    registry = CollectorRegistry()
    figures = GpuFigures("http://127.0.0.1:1/metrics", registry)
    figures.read(text)
    return generate_latest(registry).decode()


def test_two_gpus() -> None:
    text = shown(EXPOSITION)
    assert "kefu_gpu_count 2.0" in text
    assert 'kefu_gpu_utilization_ratio{gpu="GPU-a"} 0.82' in text
    assert 'kefu_gpu_utilization_ratio{gpu="GPU-b"} 0.0' in text
    assert 'kefu_gpu_memory_used_bytes{gpu="GPU-a"} 1.7179869184e+10' in text


def test_no_gpu_is_absent_and_not_idle() -> None:
    text = shown('nv_inference_count{model="reader",version="1"} 3\n')
    assert "kefu_gpu_count 0.0" in text
    assert "kefu_gpu_utilization_ratio" not in text
