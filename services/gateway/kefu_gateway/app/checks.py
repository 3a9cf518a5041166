"""What the health service asks of each dependency, and how often."""

from __future__ import annotations

import grpc

from kefu_gateway.adapters.health import Check, ask_health
from kefu_gateway.adapters.model_states import ModelStates
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.adapters.triton import TritonHost
from kefu_gateway.app.stores import Stores
from kefu_gateway.config import Settings
from kefu_gateway.domain.ports import Inference, Message, Sampling


def sidecar_check(settings: Settings, channel: grpc.aio.Channel) -> Check:
    async def probe() -> None:
        await ask_health(channel)

    return Check("preprocess", probe, every=settings.health_seconds, timeout=3.0)


def store_check(settings: Settings, stores: Stores) -> Check:
    return Check("store", stores.sessions.ping, every=settings.health_seconds, timeout=3.0)


def triton_check(settings: Settings, host: TritonHost) -> Check:
    return Check("triton", host.alive, every=settings.health_seconds, timeout=3.0)


def model_check(
    settings: Settings, host: TritonHost, states: ModelStates, encoder: ModelPrompts, model: str
) -> Check:
    ids = encoder.encode([Message("user", [{"type": "text", "text": "1"}])], language="en")
    smallest = Inference(
        model=model,
        input_ids=ids,
        pictures=(),
        sampling=Sampling(max_tokens=1, temperature=0, top_p=1),
    )
    timeout = max(10.0, settings.health_seconds)

    async def probe() -> None:
        try:
            await host.probe(smallest, fresh=settings.health_seconds, timeout=timeout)
        except Exception:  # whatever it is: it does not answer
            await states.look(model, answers=False)
            raise
        await states.look(model, answers=True)

    # A little longer than the probe itself: what the model does is asked after it.
    return Check(f"model.{model}", probe, every=settings.health_seconds, timeout=timeout + 5)
