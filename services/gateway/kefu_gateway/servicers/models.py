"""ModelService: what is hosted, whether it answers, and within which limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import grpc

from kefu.chat.v1 import model_service_pb2 as pb
from kefu.chat.v1 import model_service_pb2_grpc as pb_grpc
from kefu_gateway.domain.card import ModelCard, find_card
from kefu_gateway.domain.hosted import ModelNow
from kefu_gateway.domain.question import ACCEPTED_TYPES, Limits

_STATES = {
    "ready": pb.MODEL_STATE_READY,
    "loading": pb.MODEL_STATE_LOADING,
    "unavailable": pb.MODEL_STATE_UNAVAILABLE,
}


class ModelServicer(pb_grpc.ModelServiceServicer):
    def __init__(
        self,
        cards: Mapping[str, ModelCard],
        default_model: str,
        limits: Limits,
        now_of: Callable[[str], ModelNow],
    ) -> None:
        self._cards = cards
        self._default = default_model
        self._limits = limits
        self._now_of = now_of

    async def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListModelsResponse:
        ordered = sorted(self._cards.values(), key=lambda card: card.name != self._default)
        return pb.ListModelsResponse(
            models=[self._model(card) for card in ordered], limits=_limits(self._limits)
        )

    async def GetModel(
        self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetModelResponse:
        card = find_card(self._cards, request.name, self._default)
        return pb.GetModelResponse(model=self._model(card))

    def _model(self, card: ModelCard) -> pb.Model:
        now = self._now_of(card.name)
        return pb.Model(
            name=card.name,
            description=card.description,
            engine=card.engine,
            state=_STATES[now.state],
            state_milliseconds=round(now.seconds * 1000),
            advice=now.advice,
            context_tokens=card.context_tokens,
            max_pictures=card.max_pictures,
            max_pixels=card.preprocess.max_pixels,
            licence=card.licence,
            sees=card.sees,
            is_default=card.name == self._default,
        )


def _limits(limits: Limits) -> pb.Limits:
    return pb.Limits(
        picture_bytes=limits.picture_bytes,
        picture_pixels=limits.picture_pixels,
        parts=limits.parts,
        pictures=limits.pictures,
        message_bytes=limits.message_bytes,
        turn_milliseconds=round(limits.turn_seconds * 1000),
        media_types=ACCEPTED_TYPES,
    )
