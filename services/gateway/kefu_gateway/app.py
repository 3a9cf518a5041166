"""Puts the gateway together. Nothing else constructs anything: read this after `domain/road.py`.

async with Gateway.open(settings) as gateway:
    print(gateway.address)
    await gateway.run()
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from kefu.chat.v1 import (
    chat_service_pb2,
    chat_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
)
from kefu.media.v1 import media_service_pb2, media_service_pb2_grpc
from kefu_common.lifecycle import run_until_signal
from kefu_common.metrics import metrics_endpoint
from kefu_common.server import CallInterceptor, channel_options, upstream_options
from kefu_gateway.adapters.courier import StoreCourier
from kefu_gateway.adapters.gpu import GpuFigures
from kefu_gateway.adapters.health import Check, Health, ask_health
from kefu_gateway.adapters.preprocess import SidecarPreparer
from kefu_gateway.adapters.prompts import ModelPrompts, load_cards
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.opening import open_sessions
from kefu_gateway.adapters.stores.pictures import ObjectPictures
from kefu_gateway.adapters.stores.sweeper import sweep_forever
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.adapters.telemetry import PrometheusTelemetry
from kefu_gateway.adapters.triton import StallLimits, TritonHost
from kefu_gateway.config import Settings
from kefu_gateway.domain.admission import Admission, AdmissionLimits
from kefu_gateway.domain.answer_cache import AnswerCacheLimits, CachedHost
from kefu_gateway.domain.bursts import BurstRules
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.conversations import Conversations
from kefu_gateway.domain.holder import HolderSettings
from kefu_gateway.domain.merging import TurnMerger
from kefu_gateway.domain.pictures import PicturesAtHand, PictureShelf
from kefu_gateway.domain.ports import Inference, Message, Sampling
from kefu_gateway.domain.road import Half, Road, TurnHalf
from kefu_gateway.domain.session import PictureStore, SessionStore
from kefu_gateway.domain.stages.admit import Admit
from kefu_gateway.domain.stages.compose import Compose
from kefu_gateway.domain.stages.fit import Fit
from kefu_gateway.domain.stages.gather import Gather
from kefu_gateway.domain.stages.infer import Infer
from kefu_gateway.domain.stages.join import Join
from kefu_gateway.domain.stages.judge import Judge
from kefu_gateway.domain.stages.recall import Recall
from kefu_gateway.domain.stages.remember import Remember
from kefu_gateway.domain.uploads import UploadStore
from kefu_gateway.servicers.chat import ChatServicer
from kefu_gateway.servicers.converse import Converser
from kefu_gateway.servicers.media import MediaServicer
from kefu_gateway.servicers.models import ModelServicer
from kefu_gateway.servicers.sessions import SessionServicer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where state is kept. Tests and several gateways in one process may share one."""

    sessions: SessionStore
    pictures: PictureStore
    uploads: UploadStore


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A gateway that listens."""

    settings: Settings
    server: grpc.aio.Server
    health: Health
    admission: Admission
    address: str
    metrics_port: int | None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, *, shared: Stores | None = None
    ) -> AsyncIterator[Gateway]:
        """Builds everything, starts listening and checking, and takes it all down again at the end.

        `shared`: used instead of those that the settings name. Raises CardError where a model's files do not fit, and
        RuntimeError where the address is taken.
        """
        cards = load_cards(settings.model_repository, settings.model_names)
        encoders = {name: _encoder(settings, card) for name, card in cards.items()}
        registry = CollectorRegistry()
        telemetry = PrometheusTelemetry(registry)
        admission = Admission(
            AdmissionLimits(
                turns=settings.max_turns,
                tokens=settings.max_tokens_in_flight,
                queue=settings.max_queue,
            ),
            telemetry.admission,
        )
        async with AsyncExitStack() as stack:
            if shared is None:
                stores = await stack.enter_async_context(_open_stores(settings))
            else:
                stores = shared
            options = upstream_options(settings.message_bytes)
            triton = await stack.enter_async_context(
                grpc.aio.insecure_channel(settings.triton_address, options=options)
            )
            sidecar = await stack.enter_async_context(
                grpc.aio.insecure_channel(settings.preprocess_address, options=options)
            )
            stall = StallLimits(
                first_token=settings.first_token_seconds, next_token=settings.next_token_seconds
            )
            host = TritonHost(triton, stall, prober=TritonHost(triton, stall))
            checks = [
                _sidecar_check(settings, sidecar),
                _store_check(settings, stores),
                _triton_check(settings, host),
                *(_model_check(settings, host, encoders[name], name) for name in cards),
            ]
            health = Health(checks, telemetry.dependency)
            background: list[asyncio.Task[None]] = [asyncio.create_task(health.run())]
            stack.push_async_callback(_cancel, background)
            preparer = SidecarPreparer(sidecar, scale_down_oversized=settings.scale_down_oversized)
            answers = CachedHost(
                host,
                AnswerCacheLimits(seconds=settings.answer_cache_seconds),
                clock=time.monotonic,
                counted=telemetry.answer_cache,
            )
            shelf = PictureShelf(
                preparer, stores.pictures, cache_bytes=settings.picture_cache_bytes
            )
            turns = TurnHalf(
                (
                    Recall(stores.sessions, shelf, rounds=settings.history_rounds),
                    Compose(),
                    Fit(encoders),
                    Infer(answers),
                    Judge(),
                    Remember(
                        stores.sessions,
                        session_seconds=settings.session_seconds,
                        outcome_seconds=settings.outcome_seconds,
                    ),
                ),
                telemetry,
            )
            at_hand = PicturesAtHand()
            maker = TurnMerger(
                cards=cards,
                shelf=shelf,
                at_hand=at_hand,
                run=turns.run,
                turn_seconds=settings.turn_seconds,
            )
            conversations = _conversations(settings, stores, maker, background)
            stack.push_async_callback(conversations.close)
            requests = Half(
                (
                    Admit(admission, settings.limits),
                    Gather(shelf, stores.uploads, preparer, settings.limits),
                    Join(conversations, stores.sessions, shelf, at_hand, turns.run),
                ),
                telemetry,
            )
            default = next(iter(cards))
            road = Road(
                cards=cards,
                default_model=default,
                limits=settings.limits,
                requests=requests,
                telemetry=telemetry,
            )
            converser = Converser(
                road,
                conversations,
                settings.limits,
                keep_alive=settings.keep_alive_seconds,
            )
            chat = ChatServicer(road, converser)
            server = _server(settings, telemetry, chat, stores, cards, default, health)
            address = _listen(server, settings.address)
            await server.start()
            stack.push_async_callback(server.stop, 0)
            if settings.triton_metrics_url not in ("", "-"):
                gpu = GpuFigures(settings.triton_metrics_url, registry)
                background.append(asyncio.create_task(gpu.watch(settings.health_seconds)))
            port = stack.enter_context(metrics_endpoint(settings.metrics_address, registry))
            log.info("listening", address=address, metrics_port=port, models=list(cards))
            yield cls(
                settings=settings,
                server=server,
                health=health,
                admission=admission,
                address=address,
                metrics_port=port,
            )

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains."""
        await run_until_signal(
            self.server,
            begin_drain=self.health.drain,
            stop_admitting=self.admission.drain,
            idle=self.admission.idle,
            settle=self.settings.settle_seconds,
            drain=self.settings.drain_seconds,
        )


@asynccontextmanager
async def _open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """The stores that the settings name, swept of what has outlived its time. Raises ValueError, naming the setting."""
    objects = open_objects(settings.objects_url)
    limits = settings.upload_limits
    uploads = ObjectUploads(objects, limits)
    pictures = ObjectPictures(objects)
    async with open_sessions(settings.sessions_url) as sessions:
        sweeping = asyncio.create_task(
            sweep_forever(sessions, pictures, uploads, every=settings.sweep_seconds)
        )
        try:
            yield Stores(sessions=sessions, pictures=pictures, uploads=uploads)
        finally:
            await _cancel([sweeping])


def _conversations(
    settings: Settings,
    stores: Stores,
    maker: TurnMerger,
    background: list[asyncio.Task[None]],
) -> Conversations:
    # A name of its own for every start: posts to a gateway that was restarted must not reach its successor.
    name = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    courier = StoreCourier(stores.sessions, name)
    conversations = Conversations(
        store=stores.sessions,
        maker=maker,
        courier=courier,
        settings=HolderSettings(
            gateway=name,
            rules=BurstRules(
                window=settings.burst_window_seconds,
                hold=settings.burst_hold_seconds,
                most=settings.burst_requests,
            ),
            lease_seconds=settings.lease_seconds,
        ),
    )
    background.append(asyncio.create_task(courier.run(conversations.receive)))
    return conversations


def _encoder(settings: Settings, card: ModelCard) -> ModelPrompts:
    return ModelPrompts.load(
        card,
        templates=settings.model_repository / card.name / "1",
        weights=settings.weights / card.name,
    )


def _server(
    settings: Settings,
    telemetry: PrometheusTelemetry,
    chat: ChatServicer,
    stores: Stores,
    cards: Mapping[str, ModelCard],
    default: str,
    health: Health,
) -> grpc.aio.Server:
    def state_of(model: str) -> str:
        return "ready" if health.up(f"model.{model}") else "unavailable"

    server = grpc.aio.server(
        interceptors=[CallInterceptor(telemetry.call)],
        options=channel_options(settings.message_bytes),
    )
    models = ModelServicer(cards, default, settings.limits, state_of)
    sessions = SessionServicer(stores.sessions, stores.pictures)
    media = MediaServicer(stores.uploads, settings.upload_limits)
    chat_service_pb2_grpc.add_ChatServiceServicer_to_server(chat, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
    session_service_pb2_grpc.add_SessionServiceServicer_to_server(sessions, server)
    media_service_pb2_grpc.add_MediaServiceServicer_to_server(media, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    if settings.reflection:
        names = [
            chat_service_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name,
            model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
            session_service_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
            media_service_pb2.DESCRIPTOR.services_by_name["MediaService"].full_name,
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection.SERVICE_NAME,
        ]
        reflection.enable_server_reflection(names, server)
    return server


def _listen(server: grpc.aio.Server, address: str) -> str:
    """Binds, and gives the address with the port that was chosen. Raises RuntimeError when it is taken."""
    port = server.add_insecure_port(address)
    if address.startswith("unix:"):
        return address
    return f"{address.rpartition(':')[0]}:{port}"


def _sidecar_check(settings: Settings, channel: grpc.aio.Channel) -> Check:
    async def probe() -> None:
        await ask_health(channel)

    return Check("preprocess", probe, every=settings.health_seconds, timeout=3.0)


def _store_check(settings: Settings, stores: Stores) -> Check:
    return Check("store", stores.sessions.ping, every=settings.health_seconds, timeout=3.0)


def _triton_check(settings: Settings, host: TritonHost) -> Check:
    return Check("triton", host.alive, every=settings.health_seconds, timeout=3.0)


def _model_check(settings: Settings, host: TritonHost, encoder: ModelPrompts, model: str) -> Check:
    ids = encoder.encode([Message("user", [{"type": "text", "text": "1"}])], language="en")
    smallest = Inference(
        model=model,
        input_ids=ids,
        pictures=(),
        sampling=Sampling(max_tokens=1, temperature=0, top_p=1),
    )
    timeout = max(10.0, settings.health_seconds)

    async def probe() -> None:
        await host.probe(smallest, fresh=settings.health_seconds, timeout=timeout)

    return Check(f"model.{model}", probe, every=settings.health_seconds, timeout=timeout)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
