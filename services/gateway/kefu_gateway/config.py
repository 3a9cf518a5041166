"""The gateway's settings, their limits and what they mean, read once from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kefu_common.environment import setting

PREFIX = "KEFU_GATEWAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every field names its variable; `python -m kefu_gateway --help` lists them."""

    address: str = setting(
        "KEFU_GATEWAY_ADDRESS",
        "127.0.0.1:50051",
        "where to listen: host:port (port 0 chooses one) or unix:/path",
    )
    metrics_address: str = setting(
        "KEFU_GATEWAY_METRICS_ADDRESS", "127.0.0.1:9464", "where Prometheus scrapes; empty: nowhere"
    )
    reflection: bool = setting(
        "KEFU_GATEWAY_REFLECTION", True, "serve gRPC reflection (grpcurl needs it)"
    )
    log_level: str = setting(
        "KEFU_GATEWAY_LOG_LEVEL",
        "info",
        "debug, info, warning or error",
        choices=("debug", "info", "warning", "error"),
    )
    triton_address: str = setting(
        "KEFU_GATEWAY_TRITON_ADDRESS", "127.0.0.1:8001", "Triton's gRPC door, host:port"
    )
    triton_metrics_url: str = setting(
        "KEFU_GATEWAY_TRITON_METRICS_URL",
        "http://127.0.0.1:8002/metrics",
        "Triton's metrics, for the GPU figures; empty: none are shown",
    )
    preprocess_address: str = setting(
        "KEFU_GATEWAY_PREPROCESS_ADDRESS",
        "unix:/tmp/kefu-preprocess.sock",
        "the sidecar's gRPC door, unix:/path or host:port",
    )
    model_repository: Path = setting(
        "KEFU_GATEWAY_MODEL_REPOSITORY",
        Path("deploy/triton_models"),
        "the folder with a folder a model, the same that Triton serves",
    )
    weights: Path = setting(
        "KEFU_WEIGHTS_DIR",
        Path(".kefu/weights"),
        "the folder with weights and tokenizers, one a model",
    )
    models: str = setting(
        "KEFU_GATEWAY_MODELS",
        "reader",
        "names of the hosted models, separated by commas; the first is the default one",
    )
    max_turns: int = setting(
        "KEFU_GATEWAY_MAX_TURNS", 64, "turns that run at once", minimum=1, maximum=100_000
    )
    max_tokens_in_flight: int = setting(
        "KEFU_GATEWAY_MAX_TOKENS_IN_FLIGHT",
        262_144,
        "tokens (text, visual and answer) that the running turns may take together",
        minimum=1,
    )
    max_queue: int = setting(
        "KEFU_GATEWAY_MAX_QUEUE", 256, "turns that may wait to be admitted", minimum=0
    )
    turn_seconds: float = setting(
        "KEFU_GATEWAY_TURN_SECONDS",
        120.0,
        "most seconds a turn may take, whatever the caller's deadline",
        minimum=1,
    )
    first_token_seconds: float = setting(
        "KEFU_GATEWAY_FIRST_TOKEN_SECONDS",
        60.0,
        "seconds without a first token after which the model server is taken for dead",
        minimum=0.1,
    )
    next_token_seconds: float = setting(
        "KEFU_GATEWAY_NEXT_TOKEN_SECONDS",
        20.0,
        "seconds without a next token after which the model server is taken for dead",
        minimum=0.1,
    )
    picture_bytes: int = setting(
        "KEFU_GATEWAY_PICTURE_BYTES",
        20 * 1024 * 1024,
        "most bytes of one picture",
        minimum=1024,
        maximum=64 * 1024 * 1024,
    )
    message_bytes: int = setting(
        "KEFU_GATEWAY_MESSAGE_BYTES",
        64 * 1024 * 1024,
        "most bytes of one gRPC message",
        minimum=1024 * 1024,
        maximum=512 * 1024 * 1024,
    )
    scale_down_oversized: bool = setting(
        "KEFU_GATEWAY_SCALE_DOWN_OVERSIZED",
        False,
        "scale pictures of too many pixels down instead of refusing them",
    )
    health_seconds: float = setting(
        "KEFU_GATEWAY_HEALTH_SECONDS",
        5.0,
        "seconds between two checks of a dependency",
        minimum=0.1,
    )
    settle_seconds: float = setting(
        "KEFU_GATEWAY_SETTLE_SECONDS",
        0.5,
        "on SIGTERM: seconds in which health says no but calls are still taken (5 behind a load balancer)",
        minimum=0,
    )
    drain_seconds: float = setting(
        "KEFU_GATEWAY_DRAIN_SECONDS",
        30.0,
        "on SIGTERM: seconds that running turns have to finish",
        minimum=0,
    )

    @property
    def model_names(self) -> list[str]:
        return [name.strip() for name in self.models.split(",") if name.strip()]
