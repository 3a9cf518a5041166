"""SessionService as its callers see it."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from kefu.chat.v1 import session_service_pb2 as pb
from kefu_common.errors import KefuError, Reason
from kefu_common.status import from_call_error
from kefu_gateway.adapters.stores.pictures import ObjectPictures
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.domain.session import KeptTurn, SessionKey, SessionStore
from kefu_gateway.wire.answers import answer_from_proto
from kefu_gateway.wire.transcripts import read_export
from tests.contract.stores.builders import Clock, sha, turn

KEY = SessionKey("acme", "s-1")
TENANT = (("tenant", "acme"),)


def kept(count: int, *pictures: str) -> list[KeptTurn]:
    return [
        turn(number, request_ids=(f"r-{number}",), pictures=pictures if number == 1 else ())
        for number in range(1, count + 1)
    ]


async def refused(call: Awaitable[Any]) -> KefuError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = from_call_error(raised.value)
    assert error is not None
    return error


async def page(sessions: Any, **fields: Any) -> pb.ListTurnsResponse:
    request = pb.ListTurnsRequest(session_id="s-1", **fields)
    response: pb.ListTurnsResponse = await sessions.ListTurns(request, metadata=TENANT)
    return response


async def test_a_session_is_described(sessions: Any, store: SessionStore, clock: Clock) -> None:
    turns = kept(3)
    await store.restore(KEY, turns, seconds_to_live=3600)
    request = pb.GetSessionRequest(session_id="s-1")
    session = (await sessions.GetSession(request, metadata=TENANT)).session
    assert (session.session_id, session.turns) == ("s-1", 3)
    assert session.create_time.ToMicroseconds() == round(turns[0].created_at * 1e6)
    assert session.update_time.ToMicroseconds() == round(turns[2].created_at * 1e6)
    assert session.expire_time.ToMicroseconds() == round((clock() + 3600) * 1e6)


async def test_turns_are_listed_page_by_page(sessions: Any, store: SessionStore) -> None:
    await store.restore(KEY, kept(45), seconds_to_live=3600)
    numbers: list[int] = []
    sizes: list[int] = []
    token = ""
    while True:
        answer = await page(sessions, page_token=token)
        numbers += [one.number for one in answer.turns]
        sizes.append(len(answer.turns))
        token = answer.next_page_token
        if not token:
            break
    assert numbers == list(range(1, 46))
    assert sizes == [20, 20, 5]
    assert len((await page(sessions, page_size=100)).turns) == 45
    exact = await page(sessions, page_size=45)
    assert exact.next_page_token == "", "the last page says so"
    assert [one.number for one in (await page(sessions, page_size=1)).turns] == [1]


async def test_a_turn_is_told_with_its_parts_and_answer(sessions: Any, store: SessionStore) -> None:
    (only,) = kept(1, sha("a"))
    await store.restore(KEY, [only], seconds_to_live=3600)
    (told,) = (await page(sessions)).turns
    assert (told.number, told.chain) == (1, 1)
    assert [part.WhichOneof("content") for part in told.parts] == ["text", "picture_sha256"]
    assert told.parts[0].text == "这张呢?"
    assert told.parts[1].picture_sha256 == sha("a")
    assert {part.request_id for part in told.parts} == {"r-1"}
    answer = answer_from_proto(told.answer)
    assert (answer.text, answer.action, answer.handover, answer.evidence) == (
        only.answer.text,
        only.answer.action,
        only.answer.handover,
        only.answer.evidence,
    )


@pytest.mark.parametrize(
    "token", ["x", "YWZ0ZXI6", "YWZ0ZXI6LTE=", "YWZ0ZXI6MTIzNDU2Nzg5MDEyMw==", "租户", "a" * 5000]
)
async def test_a_page_token_of_another_make_is_refused(
    sessions: Any, store: SessionStore, token: str
) -> None:
    await store.restore(KEY, kept(3), seconds_to_live=3600)
    error = await refused(page(sessions, page_token=token))
    assert (error.reason, error.field) == (Reason.FIELD_INVALID, "page_token")


async def test_a_page_is_not_too_large(sessions: Any) -> None:
    error = await refused(page(sessions, page_size=101))
    assert (error.reason, error.field) == (Reason.FIELD_INVALID, "page_size")
    assert (error.metadata["limit"], error.metadata["got"]) == ("100", "101")


async def test_an_export_reads_back_into_an_identical_session(
    sessions: Any, store: SqliteSessions
) -> None:
    # More than one page of the store; two chains.
    turns = [
        turn(n, chain=1 + n // 100, request_ids=(f"r-{n}", f"q-{n}"), pictures=(sha(f"{n}"),))
        for n in range(1, 251)
    ]
    await store.restore(KEY, turns, seconds_to_live=3600)
    request = pb.ExportSessionRequest(session_id="s-1")
    first = (await sessions.ExportSession(request, metadata=TENANT)).json
    document = json.loads(first)
    assert document["kefu_session"] == 1
    transcript = read_export(first)
    assert list(transcript.turns) == turns
    await store.delete(KEY)
    await store.restore(
        SessionKey("acme", transcript.session_id), transcript.turns, seconds_to_live=3600
    )
    second = (await sessions.ExportSession(request, metadata=TENANT)).json
    assert second == first


async def test_deleting_takes_the_pictures_that_nobody_else_uses(
    sessions: Any, store: SqliteSessions, pictures: ObjectPictures
) -> None:
    mine = await pictures.put("acme", b"mine")
    shared = await pictures.put("acme", b"shared")
    foreign = await pictures.put("other", b"mine")
    await store.restore(KEY, kept(1, mine, shared), seconds_to_live=3600)
    await store.restore(SessionKey("acme", "s-2"), kept(1, shared), seconds_to_live=3600)
    for _ in range(2):
        request = pb.DeleteSessionRequest(session_id="s-1")
        await sessions.DeleteSession(request, metadata=TENANT)
    assert await pictures.get("acme", mine) is None
    assert await pictures.get("acme", shared) == b"shared"
    assert await pictures.get("other", foreign) == b"mine"
    assert await store.session(KEY) is None


CALLS = [
    ("GetSession", pb.GetSessionRequest),
    ("ListTurns", pb.ListTurnsRequest),
    ("ExportSession", pb.ExportSessionRequest),
]


@pytest.mark.parametrize(("method", "request_type"), CALLS)
async def test_what_is_not_there_is_not_found(
    sessions: Any, store: SessionStore, clock: Clock, method: str, request_type: Any
) -> None:
    call = getattr(sessions, method)
    await store.restore(KEY, kept(1), seconds_to_live=100)
    request = request_type(session_id="s-1")
    error = await refused(call(request, metadata=(("tenant", "other"),)))
    assert (error.reason, error.metadata["session_id"]) == (Reason.SESSION_NOT_FOUND, "s-1")
    await call(request, metadata=TENANT)
    clock.advance(101)
    assert (await refused(call(request, metadata=TENANT))).reason is Reason.SESSION_NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_type"), [*CALLS, ("DeleteSession", pb.DeleteSessionRequest)]
)
@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 129, "租户"])
async def test_a_name_that_is_none_is_refused(
    sessions: Any, method: str, request_type: Any, name: str
) -> None:
    error = await refused(getattr(sessions, method)(request_type(session_id=name)))
    assert (error.reason, error.field) == (Reason.FIELD_INVALID, "session_id")
