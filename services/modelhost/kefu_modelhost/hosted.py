"""A model of this host: its card, what is known of it, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

from kefu_modelhost.card import ModelCard
from kefu_modelhost.probe import Probe
from kefu_modelhost.retries import Retry
from kefu_modelhost.status import ModelStatus


@dataclass(slots=True)
class Hosted:
    """`probe` is made when its tokenizer is first needed. `in_server`: Triton has it, whether it answers or not.
    `tried`: its first load in this server is over, however it went; it failed before, or it is not waited for."""

    card: ModelCard
    retry: Retry
    status: ModelStatus = field(default_factory=ModelStatus)
    probe: Probe | None = None
    in_server: bool = False
    tried: bool = False

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def ready(self) -> bool:
        return self.status.state == "ready"

    @property
    def failed(self) -> bool:
        """By this server."""
        return self.tried and self.status.state == "failed"

    def try_anew(self) -> None:
        """It failed, and so did all others: by the next server it is tried at once."""
        self.tried = False
        self.retry.at_once()

    def forget_server(self) -> None:
        """Its server is gone: what it had loaded is to be loaded again; what failed still has."""
        self.in_server = False
        self.tried = self.status.state == "failed"
        if not self.tried:
            if self.ready:
                self.retry.failures = 0
            self.status.change("waiting")
            self.retry.at_once()


def seconds_to_load(card: ModelCard, default: float) -> float:
    """How long a load may take: the card's own limit where it has one."""
    return card.load_seconds or default
