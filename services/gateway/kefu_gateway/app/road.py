"""The road of `domain/road.py`, with its stages built from the settings."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kefu_gateway.adapters.courier import StoreCourier
from kefu_gateway.adapters.preprocess import SidecarPreparer
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.adapters.telemetry import PrometheusTelemetry
from kefu_gateway.adapters.triton import TritonHost
from kefu_gateway.app.fetching import open_fetcher
from kefu_gateway.app.stores import Stores
from kefu_gateway.app.tasks import cancel_all
from kefu_gateway.config import Settings
from kefu_gateway.domain.accounts import Accounts
from kefu_gateway.domain.answer_cache import AnswerCacheLimits, CachedHost
from kefu_gateway.domain.artefacts import Artefacts
from kefu_gateway.domain.bursts import BurstRules
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.conversations import Conversations
from kefu_gateway.domain.holder import HolderSettings
from kefu_gateway.domain.merging import TurnMerger
from kefu_gateway.domain.pictures import PicturesAtHand, PictureShelf
from kefu_gateway.domain.replicas import AnyReplica
from kefu_gateway.domain.road import Half, Road, TurnHalf
from kefu_gateway.domain.spans import Spans
from kefu_gateway.domain.stages.admit import Admit
from kefu_gateway.domain.stages.compose import Compose
from kefu_gateway.domain.stages.fit import Fit
from kefu_gateway.domain.stages.gather import Gather
from kefu_gateway.domain.stages.infer import Infer
from kefu_gateway.domain.stages.join import Join
from kefu_gateway.domain.stages.judge import Judge
from kefu_gateway.domain.stages.recall import Recall
from kefu_gateway.domain.stages.remember import Remember


@asynccontextmanager
async def _open_conversations(
    settings: Settings, stores: Stores, maker: TurnMerger, telemetry: PrometheusTelemetry
) -> AsyncIterator[Conversations]:
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
        restarted=telemetry.restarted,
    )
    receiving = asyncio.create_task(courier.run(conversations.receive))
    try:
        yield conversations
    finally:
        await conversations.close()
        await cancel_all([receiving])


@asynccontextmanager
async def open_road(
    settings: Settings,
    *,
    cards: Mapping[str, ModelCard],
    encoders: Mapping[str, ModelPrompts],
    stores: Stores,
    host: TritonHost,
    preparer: SidecarPreparer,
    accounts: Accounts,
    telemetry: PrometheusTelemetry,
    spans: Spans,
) -> AsyncIterator[tuple[Road, Conversations]]:
    """The road and the conversations that run its turns; open turns are ended when it closes."""
    answers = CachedHost(
        AnyReplica(host, clock=time.monotonic),
        AnswerCacheLimits(seconds=settings.answer_cache_seconds),
        clock=time.monotonic,
        counted=telemetry.answer_cache,
    )
    shelf = PictureShelf(preparer, stores.pictures, cache_bytes=settings.picture_cache_bytes)
    turns = TurnHalf(
        (
            Recall(stores.sessions, shelf, rounds=settings.history_rounds),
            Compose(),
            Fit(encoders),
            Infer(answers),
            Judge(Artefacts(stores.uploads)),
            Remember(
                stores.sessions,
                session_seconds=settings.session_seconds,
                outcome_seconds=settings.outcome_seconds,
            ),
        ),
        telemetry,
        spans,
    )
    at_hand = PicturesAtHand()
    maker = TurnMerger(
        cards=cards,
        shelf=shelf,
        at_hand=at_hand,
        run=turns.run,
        turn_seconds=settings.turn_seconds,
    )
    async with _open_conversations(settings, stores, maker, telemetry) as conversations:
        requests = Half(
            (
                Admit(settings.limits),
                Gather(
                    shelf,
                    stores.uploads,
                    preparer,
                    settings.limits,
                    open_fetcher(settings, telemetry.url_fetch),
                ),
                Join(conversations, stores.sessions, shelf, at_hand, turns.run, spans),
            ),
            telemetry,
            spans,
        )
        road = Road(
            cards=cards,
            default_model=next(iter(cards)),
            limits=settings.limits,
            requests=requests,
            accounts=accounts,
            telemetry=telemetry,
        )
        yield road, conversations
