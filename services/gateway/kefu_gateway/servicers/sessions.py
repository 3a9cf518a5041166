"""SessionService: translates between the wire and the session store; decides nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import grpc

from kefu.chat.v1 import session_service_pb2 as pb
from kefu.chat.v1 import session_service_pb2_grpc as pb_grpc
from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.question import IDENTIFIER
from kefu_gateway.domain.session import KeptTurn, PictureStore, Session, SessionKey, SessionStore
from kefu_gateway.wire.transcripts import export_session, session_to_proto, turn_to_proto

DEFAULT_PAGE = 20
LARGEST_PAGE = 100


class SessionServicer(pb_grpc.SessionServiceServicer):
    """`tenant_of(context)` says whose sessions the caller sees."""

    def __init__(
        self,
        sessions: SessionStore,
        pictures: PictureStore,
        tenant_of: Callable[[grpc.aio.ServicerContext], str] = lambda context: "",
    ) -> None:
        self._sessions = sessions
        self._pictures = pictures
        self._tenant_of = tenant_of

    async def GetSession(
        self, request: pb.GetSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetSessionResponse:
        session = await self._find(request.session_id, context)
        return pb.GetSessionResponse(session=session_to_proto(session))

    async def ListTurns(
        self, request: pb.ListTurnsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListTurnsResponse:
        size = request.page_size or DEFAULT_PAGE
        if size > LARGEST_PAGE:
            raise KefuError(
                Reason.FIELD_INVALID,
                f"a page has 1 to {LARGEST_PAGE} turns",
                field="page_size",
                limit=LARGEST_PAGE,
                got=size,
            )
        after = _read_token(request.page_token) if request.page_token else 0
        session = await self._find(request.session_id, context)
        turns = await self._sessions.turns(session.key, after=after, limit=size)
        more = bool(turns) and turns[-1].number < session.turns
        return pb.ListTurnsResponse(
            turns=[turn_to_proto(turn) for turn in turns],
            next_page_token=_token(turns[-1].number) if more else "",
        )

    async def ExportSession(
        self, request: pb.ExportSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.ExportSessionResponse:
        session = await self._find(request.session_id, context)
        turns: list[KeptTurn] = []
        while len(turns) < session.turns:
            page = await self._sessions.turns(session.key, after=len(turns), limit=LARGEST_PAGE)
            if not page:  # deleted meanwhile
                raise _not_found(request.session_id)
            # Not further than the session that was found: the transcript is of one moment.
            turns += page[: session.turns - len(turns)]
        return pb.ExportSessionResponse(json=export_session(session, turns))

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteSessionResponse:
        key = self._key(request.session_id, context)
        for sha256 in await self._sessions.delete(key):
            await self._pictures.delete(key.tenant, sha256)
        return pb.DeleteSessionResponse()

    def _key(self, session_id: str, context: grpc.aio.ServicerContext) -> SessionKey:
        if not IDENTIFIER.fullmatch(session_id):
            raise KefuError(
                Reason.FIELD_INVALID,
                "session_id must have 1 to 128 of the characters A-Z a-z 0-9 . _ : -",
                field="session_id",
            )
        return SessionKey(self._tenant_of(context), session_id)

    async def _find(self, session_id: str, context: grpc.aio.ServicerContext) -> Session:
        session = await self._sessions.session(self._key(session_id, context))
        if session is None:
            raise _not_found(session_id)
        return session


def _not_found(session_id: str) -> KefuError:
    return KefuError(
        Reason.SESSION_NOT_FOUND,
        "there is no such session, or its time to live is over",
        session_id=session_id,
    )


def _token(after: int) -> str:
    """Opaque, so that nobody counts on what is in it."""
    return base64.urlsafe_b64encode(b"after:%d" % after).decode()


def _read_token(token: str) -> int:
    try:
        name, _, number = base64.urlsafe_b64decode(token.encode()).partition(b":")
        if name == b"after" and number.isdigit() and len(number) < 10:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise KefuError(
        Reason.FIELD_INVALID, "the page token is not one that this service gave", field="page_token"
    )
