"""The whole gateway, in the order in which it opens and closes.

async with Gateway.open(settings) as gateway:
    print(gateway.address)
    await gateway.run()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from prometheus_client import CollectorRegistry

from kefu_common.health_door import health_door
from kefu_common.lifecycle import run_until_signal
from kefu_common.metrics import metrics_endpoint
from kefu_common.server import CallInterceptor, upstream_options
from kefu_common.tracing import open_tracing
from kefu_gateway.adapters.gpu import GpuFigures
from kefu_gateway.adapters.health import Health
from kefu_gateway.adapters.preprocess import SidecarPreparer
from kefu_gateway.adapters.prompts import ModelPrompts, load_cards
from kefu_gateway.adapters.spans import RoadSpans
from kefu_gateway.adapters.stock import StockTensors
from kefu_gateway.adapters.stores.opening import open_quotas
from kefu_gateway.adapters.stores.quotas_local import LocalLedger
from kefu_gateway.adapters.telemetry import PrometheusTelemetry
from kefu_gateway.adapters.tenant_metrics import TenantMetrics
from kefu_gateway.adapters.text_log import TextLog
from kefu_gateway.app.checks import model_check, sidecar_check, store_check, triton_check
from kefu_gateway.app.identity import open_identity
from kefu_gateway.app.road import open_road
from kefu_gateway.app.server import listen, make_server
from kefu_gateway.app.stores import Stores, open_stores
from kefu_gateway.app.tasks import cancel_all
from kefu_gateway.app.upstream import open_states, open_triton
from kefu_gateway.config import Settings
from kefu_gateway.domain.accounts import Accounts
from kefu_gateway.domain.admission import Admission, AdmissionLimits
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.conversations import Conversations
from kefu_gateway.domain.quotas import QuotaLedger, Quotas
from kefu_gateway.domain.road import Way
from kefu_gateway.domain.spans import NoSpans
from kefu_gateway.servicers.chat import ChatServicer
from kefu_gateway.servicers.converse import Converser

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A gateway that listens."""

    settings: Settings
    server: grpc.aio.Server
    health: Health
    admission: Admission
    conversations: Conversations
    address: str
    metrics_port: int | None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, *, shared: Stores | None = None
    ) -> AsyncIterator[Gateway]:
        """Builds everything, starts listening and checking, and takes it all down again at the end.

        `shared`: used instead of those that the settings name. Raises CardError where a model's files do not fit, and
        RuntimeError where the address is taken, SettingsError where files of identity or TLS cannot be used.
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
        telemetry.models(cards)
        telemetry.watch_admission(admission)
        telemetry.first_token_objective(settings.first_token_objective_seconds)
        async with AsyncExitStack() as stack:
            tracing = await stack.enter_async_context(
                open_tracing("kefu-gateway", settings.traces, ratio=settings.trace_ratio)
            )
            identity = await stack.enter_async_context(open_identity(settings, registry))
            tenant_metrics = TenantMetrics(registry, identity.named)
            quotas = await stack.enter_async_context(_open_quotas(settings, tenant_metrics))
            if shared is None:
                stores = await stack.enter_async_context(open_stores(settings))
            else:
                stores = shared
            options = upstream_options(settings.message_bytes)
            sidecar = await stack.enter_async_context(
                grpc.aio.insecure_channel(settings.preprocess_address, options=options)
            )
            stock = {name: StockTensors(card, encoders[name]) for name, card in cards.items()}
            host = await stack.enter_async_context(open_triton(settings, identity.triton, stock))
            states = await stack.enter_async_context(open_states(settings, host))
            checks = [
                sidecar_check(settings, sidecar),
                store_check(settings, stores),
                triton_check(settings, host),
                *(model_check(settings, host, states, encoders[name], name) for name in cards),
            ]
            health = Health(checks, telemetry.dependency)
            await stack.enter_async_context(health_door(settings.health_address, health.servicer))
            background: list[asyncio.Task[None]] = [asyncio.create_task(health.run())]
            stack.push_async_callback(cancel_all, background)
            road, conversations = await stack.enter_async_context(
                open_road(
                    settings,
                    cards=cards,
                    encoders=encoders,
                    stores=stores,
                    host=host,
                    preparer=SidecarPreparer(
                        sidecar, scale_down_oversized=settings.scale_down_oversized
                    ),
                    accounts=Accounts(identity.tenants, quotas, admission, tenant_metrics),
                    telemetry=telemetry,
                    spans=NoSpans() if tracing is None else RoadSpans(tracing),
                )
            )
            telemetry.watch_sessions(lambda: conversations.held)
            way: Way = TextLog(road) if settings.log_text else road
            converser = Converser(
                way,
                conversations,
                settings.limits,
                keep_alive=settings.keep_alive_seconds,
            )
            chat = ChatServicer(way, converser, identity.callers.still)
            calls = CallInterceptor(telemetry.call, tracing)
            server = make_server(
                settings, telemetry, chat, stores, cards, health, states, identity.callers, calls
            )
            address = listen(server, settings.address, identity.credentials())
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
                conversations=conversations,
                address=address,
                metrics_port=port,
            )

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains."""
        await run_until_signal(
            self.server,
            begin_drain=self.health.drain,
            stop_admitting=self._stop_admitting,
            idle=self._idle,
            settle=self.settings.settle_seconds,
            drain=self.settings.drain_seconds,
        )

    def _stop_admitting(self) -> None:
        self.admission.drain()
        self.conversations.drain()

    async def _idle(self) -> None:
        """Our callers first: they may still begin turns."""
        await self.admission.idle()
        await self.conversations.idle()


@asynccontextmanager
async def _open_quotas(settings: Settings, metrics: TenantMetrics) -> AsyncIterator[Quotas]:
    """Without a file of tenants nobody has a quota, and no books are opened."""
    async with AsyncExitStack() as stack:
        ledger: QuotaLedger = LocalLedger()
        if settings.tenants:
            ledger = await stack.enter_async_context(open_quotas(settings.sessions_url))
        quotas = Quotas(ledger, metrics.quota)
        stack.push_async_callback(quotas.close)
        yield quotas


def _encoder(settings: Settings, card: ModelCard) -> ModelPrompts:
    return ModelPrompts.load(
        card,
        templates=settings.model_repository / card.name / "1",
        weights=settings.weights / card.name,
    )
