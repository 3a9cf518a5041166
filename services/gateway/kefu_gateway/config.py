"""The gateway's settings, their limits and what they mean, read once from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kefu_common.environment import setting
from kefu_gateway.config_identity import IdentitySettings
from kefu_gateway.config_urls import UrlSettings
from kefu_gateway.config_watching import WatchingSettings
from kefu_gateway.domain.question import Limits
from kefu_gateway.domain.uploads import UploadLimits

PREFIX = "KEFU_GATEWAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(UrlSettings, IdentitySettings, WatchingSettings):
    """Every field names its variable; `python -m kefu_gateway --help` lists them."""

    address: str = setting(
        "KEFU_GATEWAY_ADDRESS",
        "127.0.0.1:50051",
        "where to listen: host:port (port 0 chooses one) or unix:/path",
    )
    metrics_address: str = setting(
        "KEFU_GATEWAY_METRICS_ADDRESS", "127.0.0.1:9464", "where Prometheus scrapes; - for nowhere"
    )
    health_address: str = setting(
        "KEFU_GATEWAY_HEALTH_ADDRESS",
        "-",
        "a second door with health alone, plain gRPC, for a kubelet's probes: host:port; - for none",
    )
    reflection: bool = setting(
        "KEFU_GATEWAY_REFLECTION", True, "serve gRPC reflection (grpcurl needs it)"
    )
    triton_address: str = setting(
        "KEFU_GATEWAY_TRITON_ADDRESS", "127.0.0.1:8001", "Triton's gRPC door, host:port"
    )
    triton_metrics_url: str = setting(
        "KEFU_GATEWAY_TRITON_METRICS_URL",
        "http://127.0.0.1:8002/metrics",
        "Triton's metrics, for the GPU figures; - for none",
    )
    modelhost_address: str = setting(
        "KEFU_GATEWAY_MODELHOST_ADDRESS",
        "-",
        "the model host's health door, host:port: it says why a model is not there; - for none",
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
    state: Path = setting(
        "KEFU_GATEWAY_STATE_DIR",
        Path(".kefu/state"),
        "folder of sessions and pictures, where the next two settings do not say otherwise",
    )
    sessions: str = setting(
        "KEFU_GATEWAY_SESSIONS",
        "",
        "where sessions are kept: sqlite:/path (one gateway), or valkey://, redis://, rediss:// (several)",
    )
    objects: str = setting(
        "KEFU_GATEWAY_OBJECTS",
        "",
        "where pictures and uploads are kept: file:///folder, s3://bucket/prefix, gs://, az://",
    )
    upload_seconds: float = setting(
        "KEFU_GATEWAY_UPLOAD_SECONDS", 86_400.0, "seconds that an upload is kept", minimum=1
    )
    sweep_seconds: float = setting(
        "KEFU_GATEWAY_SWEEP_SECONDS",
        60.0,
        "seconds between two sweeps of what has outlived its time",
        minimum=0.1,
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
    first_token_objective_seconds: float = setting(
        "KEFU_GATEWAY_FIRST_TOKEN_OBJECTIVE_SECONDS",
        10.0,
        "seconds in which 95 of 100 answers should begin: the alert on slow first tokens compares with it",
        minimum=0.001,
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
    picture_cache_bytes: int = setting(
        "KEFU_GATEWAY_PICTURE_CACHE_BYTES",
        128 * 1024 * 1024,
        "prepared pictures kept in memory for follow-ups, in bytes; 0: none",
        minimum=0,
    )
    answer_cache_seconds: float = setting(
        "KEFU_GATEWAY_ANSWER_CACHE_SECONDS",
        600.0,
        "seconds in which an equal question at temperature 0 gets the same answer; 0: never",
        minimum=0,
    )
    history_rounds: int = setting(
        "KEFU_GATEWAY_HISTORY_ROUNDS",
        5,
        "most earlier rounds of a session in a prompt",
        minimum=0,
        maximum=100,
    )
    session_seconds: float = setting(
        "KEFU_GATEWAY_SESSION_SECONDS",
        7 * 86_400.0,
        "seconds that a session lives after its last turn",
        minimum=1,
    )
    outcome_seconds: float = setting(
        "KEFU_GATEWAY_OUTCOME_SECONDS",
        86_400.0,
        "seconds in which a one-off's request_id finds its answer again",
        minimum=1,
    )
    burst_window_seconds: float = setting(
        "KEFU_GATEWAY_BURST_WINDOW_SECONDS",
        0.5,
        "most seconds that a picture waits for its question",
        minimum=0,
        maximum=60,
    )
    burst_hold_seconds: float = setting(
        "KEFU_GATEWAY_BURST_HOLD_SECONDS",
        10.0,
        "most seconds that more_to_come holds a turn open",
        minimum=0,
        maximum=600,
    )
    burst_requests: int = setting(
        "KEFU_GATEWAY_BURST_REQUESTS", 5, "most requests that one turn joins", minimum=1, maximum=20
    )
    lease_seconds: float = setting(
        "KEFU_GATEWAY_LEASE_SECONDS",
        6.0,
        "seconds after which the sessions of a dead gateway are taken over",
        minimum=0.3,
    )
    keep_alive_seconds: float = setting(
        "KEFU_GATEWAY_KEEP_ALIVE_SECONDS",
        15.0,
        "seconds of silence after which a Converse stream says that it lives",
        minimum=0.05,
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
    def limits(self) -> Limits:
        return Limits(
            picture_bytes=self.picture_bytes,
            message_bytes=self.message_bytes,
            turn_seconds=self.turn_seconds,
        )

    @property
    def upload_limits(self) -> UploadLimits:
        return UploadLimits(file_bytes=self.picture_bytes, seconds_to_live=self.upload_seconds)

    @property
    def sessions_url(self) -> str:
        return self.sessions or f"sqlite:{self.state / 'sessions.db'}"

    @property
    def objects_url(self) -> str:
        return self.objects or (self.state / "objects").absolute().as_uri()

    @property
    def model_names(self) -> list[str]:
        return [name.strip() for name in self.models.split(",") if name.strip()]
