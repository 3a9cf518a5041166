"""The gRPC server: which services it has, and where it listens."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kefu.chat.v1 import (
    chat_service_pb2,
    chat_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
)
from kefu.media.v1 import media_service_pb2, media_service_pb2_grpc
from kefu_common.server import CallInterceptor, channel_options
from kefu_gateway.adapters.health import Health
from kefu_gateway.adapters.identity.callers import Callers
from kefu_gateway.adapters.model_states import ModelStates
from kefu_gateway.adapters.telemetry import PrometheusTelemetry
from kefu_gateway.app.stores import Stores
from kefu_gateway.config import Settings
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.servicers.chat import ChatServicer
from kefu_gateway.servicers.door import Door, tenant_of
from kefu_gateway.servicers.media import MediaServicer
from kefu_gateway.servicers.models import ModelServicer
from kefu_gateway.servicers.sessions import SessionServicer


def make_server(
    settings: Settings,
    telemetry: PrometheusTelemetry,
    chat: ChatServicer,
    stores: Stores,
    cards: Mapping[str, ModelCard],
    health: Health,
    states: ModelStates,
    callers: Callers,
    calls: CallInterceptor,
) -> grpc.aio.Server:
    server = grpc.aio.server(
        # In this order: what the door refuses is counted and told like every other error.
        interceptors=[calls, Door(callers)],
        options=channel_options(settings.message_bytes),
    )
    models = ModelServicer(cards, next(iter(cards)), settings.limits, states.now)
    sessions = SessionServicer(stores.sessions, stores.pictures, tenant_of)
    media = MediaServicer(
        stores.uploads, settings.upload_limits, tenant_of, received=telemetry.upload
    )
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


def listen(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None
) -> str:
    """Binds, with TLS where there are credentials, and gives the address with the port that was chosen. Raises
    RuntimeError when it is taken."""
    port = (
        server.add_insecure_port(address)
        if credentials is None
        else server.add_secure_port(address, credentials)
    )
    if address.startswith("unix:"):
        return address
    return f"{address.rpartition(':')[0]}:{port}"
