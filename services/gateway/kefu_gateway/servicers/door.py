"""The door: nobody gets to a method before it is known who calls. Health alone is open.

    server = grpc.aio.server(interceptors=[CallInterceptor(), Door(callers)])
    tenant_of(context)      # in a method: whose call it is

Headers are looked at before a byte of the request is read; so a stranger cannot make the gateway take in megabytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

import grpc

from kefu_common.calls import note
from kefu_common.errors import KefuError
from kefu_common.status import to_rpc_status
from kefu_gateway.domain.tenants import Caller

# Probes have no credential, and hear nothing but "serving" or "not serving".
_OPEN = ("/grpc.health.v1.Health/",)
# gRPC's own services, reflection for one: the interceptor that tells our errors leaves them alone.
_FOREIGN = "/grpc."

# Set for the task of the call, and so for everything that it starts. There is no default on purpose: a method that is
# reached past the door fails.
_CALLER: ContextVar[Caller] = ContextVar("caller")


class Callers(Protocol):
    """Says who makes a call. Every method may raise KefuError."""

    @property
    def asks_certificates(self) -> bool: ...

    async def by_headers(
        self, method: str, headers: Iterable[tuple[str, object]]
    ) -> Caller | None: ...

    def by_certificate(
        self, method: str, properties: Mapping[str, Iterable[bytes]], known: Caller | None
    ) -> Caller: ...

    def still(self, caller: Caller) -> None: ...


def caller_of(context: grpc.aio.ServicerContext) -> Caller:
    """Who makes this call."""
    return _CALLER.get()


def tenant_of(context: grpc.aio.ServicerContext) -> str:
    """Whose call this is."""
    return _CALLER.get().tenant


class Door(grpc.aio.ServerInterceptor):
    """Stands before every method."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        method = details.method
        if method.startswith(_OPEN):
            return await continuation(details)
        try:
            caller = await self._callers.by_headers(method, details.invocation_metadata or ())
        except KefuError as error:
            return _refusing(method, error)
        if caller is not None:
            # gRPC runs the method in the task that is running here.
            _CALLER.set(caller)
            note(tenant=caller.tenant)
        handler = await continuation(details)
        if handler is None or not self._callers.asks_certificates:
            return handler
        return self._with_certificate(method, handler, caller)

    def _with_certificate(
        self, method: str, handler: grpc.RpcMethodHandler, known: Caller | None
    ) -> grpc.RpcMethodHandler:
        """The certificate is known only where the method begins."""

        def enter(context: grpc.aio.ServicerContext) -> None:
            properties: Any = context.auth_context()
            caller = self._callers.by_certificate(method, properties, known)
            _CALLER.set(caller)
            note(tenant=caller.tenant)

        inner: Any = (
            handler.stream_stream
            or handler.stream_unary
            or handler.unary_stream
            or handler.unary_unary
        )

        async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
            enter(context)
            return await inner(request, context)

        async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            enter(context)
            responses = inner(request, context)
            try:
                async for response in responses:
                    yield response
            finally:
                await responses.aclose()

        make: Any = {
            (True, True): grpc.stream_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (False, False): grpc.unary_unary_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        wrapped: grpc.RpcMethodHandler = make(
            stream if handler.response_streaming else unary,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return wrapped


def _refusing(method: str, error: KefuError) -> grpc.RpcMethodHandler:
    """A method that says no. It takes a stream, whatever the real one takes: so no request is read."""

    async def refuse(requests: Any, context: Any) -> AsyncIterator[Any]:
        if method.startswith(_FOREIGN):
            await context.abort_with_status(to_rpc_status(error))
        raise error
        yield  # what makes this a generator

    made: grpc.RpcMethodHandler = grpc.stream_stream_rpc_method_handler(refuse)
    return made
