"""The model server: how busy the GPUs are, how full the engines, and what Triton says of both."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.parts import Query, lines, number, page, rising


def dashboard() -> Dashboard:
    return (
        page(
            "kefu-triton",
            "Triton and GPU",
            "How busy the GPUs are, how full the engines, what waits before them. Without a GPU its panels are empty.",
            model=True,
        )
        .with_panel(
            number(
                "GPUs",
                "GPUs that Triton reports.",
                "short",
                "count(nv_gpu_utilization{NS})",
                none="none",
            )
        )
        .with_panel(
            number(
                "GPU busy",
                "Mean busy share of all GPUs.",
                "percentunit",
                "avg(nv_gpu_utilization{NS})",
                steps=rising(0.9, 0.98),
                decimals=0,
                none="no GPU",
            )
        )
        .with_panel(
            number(
                "Queues full",
                "How full the gateways' queues are together. Full queues before idle GPUs are an alert.",
                "percentunit",
                "max(namespace:kefu_admission_queue:ratio{NS})",
                steps=rising(0.5, 0.9),
                decimals=0,
            )
        )
        .with_panel(
            number(
                "In the engines",
                "Requests being answered or waiting inside the backend.",
                "short",
                "sum(kefu_vlm_active_requests{NS, VLM})",
            )
        )
        .with_panel(
            number(
                "Tokens written",
                "Completion tokens each second, all models.",
                "short",
                "sum(rate(kefu_vlm_completion_tokens_total{NS, VLM}[W]))",
                decimals=1,
            )
        )
        .with_panel(
            number(
                "Requests an execution",
                "Requests that Triton hands over together, messages that stop one left out. 1 under load: no batching.",
                "short",
                "sum(rate(kefu_vlm_requests_total{NS, VLM}[W])) / sum(rate(kefu_vlm_batches_total{NS, VLM}[W]))",
                decimals=1,
            )
        )
        .with_panel(
            lines(
                "GPU utilisation",
                "Busy share of each GPU. Near 1 for minutes: add a replica. Uneven: calls do not spread.",
                "percentunit",
                Query("nv_gpu_utilization{NS}", "{{instance}} {{gpu_uuid}}"),
                most=1,
                steps=rising(0.9, 0.98),
            )
        )
        .with_panel(
            lines(
                "GPU memory",
                "Used share of each GPU's memory. Engines take their share at the start and stay there.",
                "percentunit",
                Query(
                    "nv_gpu_memory_used_bytes{NS} / nv_gpu_memory_total_bytes{NS}",
                    "{{instance}} {{gpu_uuid}}",
                ),
                most=1,
                steps=rising(0.95, 0.99),
            )
        )
        .with_panel(
            lines(
                "GPU power",
                "Drawn power, and its limit: a GPU at its limit is busy, whatever the utilisation says.",
                "watt",
                Query("nv_gpu_power_usage{NS}", "{{gpu_uuid}} drawn"),
                Query("nv_gpu_power_limit{NS}", "{{gpu_uuid}} limit"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Engines",
                "Requests inside each model, and places of its engine in use: requests above places wait inside.",
                "short",
                Query("sum by (model) (kefu_vlm_active_requests{NS, VLM})", "{{model}} requests"),
                Query("sum by (model) (kefu_vlm_busy_slots{NS, VLM})", "{{model}} busy places"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Progress",
                "Pictures read, prompt parts and tokens each second. At rest with requests inside: the engine hangs.",
                "short",
                Query("sum by (model) (rate(kefu_vlm_progress_total{NS, VLM}[W]))", "{{model}}"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "KV cache of vLLM",
                "Share of the engine's cache in use. Full: requests wait, and some are put back and read again.",
                "percentunit",
                Query("max by (model) (kefu_vllm_kv_cache_usage{NS, VLM})", "{{model}}"),
                width=8,
                most=1,
            )
        )
        .with_panel(
            lines(
                "Reused by vLLM",
                "Share of prompt tokens and of pictures that the engine knew from an earlier round.",
                "percentunit",
                Query(
                    "sum(rate(kefu_vllm_prefix_cache_hits_total{NS, VLM}[W]))"
                    " / sum(rate(kefu_vllm_prefix_cache_queries_total{NS, VLM}[W]))",
                    "prompt tokens",
                ),
                Query(
                    "sum(rate(kefu_vllm_picture_cache_hits_total{NS, VLM}[W]))"
                    " / sum(rate(kefu_vllm_picture_cache_queries_total{NS, VLM}[W]))",
                    "pictures",
                ),
                width=8,
                most=1,
            )
        )
        .with_panel(
            lines(
                "Requests to the backend",
                "Taken; cancelled (the caller left, a part joined); refused by the contract; failed in the engine.",
                "reqps",
                Query("sum(rate(kefu_vlm_requests_total{NS, VLM}[W]))", "taken"),
                Query("sum(rate(kefu_vlm_cancelled_total{NS, VLM}[W]))", "cancelled"),
                Query("sum(rate(kefu_vlm_refused_total{NS, VLM}[W]))", "refused"),
                Query("sum(rate(kefu_vlm_failed_total{NS, VLM}[W]))", "failed"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Waiting in Triton",
                "Requests that Triton has accepted and not yet handed to a model. Admission should keep this near 0.",
                "short",
                Query("sum by (model) (nv_inference_pending_request_count{NS, VLM})", "{{model}}"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Triton's CPU and memory",
                "Busy share of the machine's CPUs and used share of its memory, as Triton reports them.",
                "percentunit",
                Query("nv_cpu_utilization{NS}", "CPU {{instance}}"),
                Query(
                    "nv_cpu_memory_used_bytes{NS} / nv_cpu_memory_total_bytes{NS}",
                    "memory {{instance}}",
                ),
                width=8,
                most=1,
            )
        )
    )
