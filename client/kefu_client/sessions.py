"""Conversations that the gateway remembers: what is known of them, their turns, export and deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kefu.chat.v1.session_service_pb2 import (
    DeleteSessionRequest,
    ExportSessionRequest,
    GetSessionRequest,
    ListTurnsRequest,
    Session,
    Turn,
)
from kefu.chat.v1.session_service_pb2_grpc import SessionServiceStub
from kefu_client.caller import SMALL_CALL_SECONDS, Caller


class Sessions:
    """The calls of SessionService; `KefuClient` documents each."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub: Any = SessionServiceStub(caller.channel)

    def get(self, session_id: str) -> Session:
        request = GetSessionRequest(session_id=session_id)
        session: Session = self._call(self._stub.GetSession, request).session
        return session

    def turns(self, session_id: str, page_size: int) -> Iterator[Turn]:
        token = ""
        while True:
            request = ListTurnsRequest(session_id=session_id, page_size=page_size, page_token=token)
            page = self._call(self._stub.ListTurns, request)
            yield from page.turns
            token = page.next_page_token
            if not token:
                return

    def export(self, session_id: str) -> bytes:
        request = ExportSessionRequest(session_id=session_id)
        # As long as any other call may take: a transcript of hundreds of turns is read from the store.
        document: bytes = self._caller.call(self._stub.ExportSession, request).json
        return document

    def delete(self, session_id: str) -> None:
        self._call(self._stub.DeleteSession, DeleteSessionRequest(session_id=session_id))

    def _call(self, method: Any, request: Any) -> Any:
        return self._caller.call(method, request, timeout=SMALL_CALL_SECONDS)
