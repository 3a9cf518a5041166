"""One tenant can never see another's: a case for every method of every service, found in the descriptors.

In each case "shop" was there first, and "bank" uses the very same names and bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1 import (
    answer_pb2,
    chat_service_pb2,
    model_service_pb2,
    question_pb2,
    session_service_pb2,
)
from kefu.media.v1 import media_service_pb2
from kefu_common.errors import Reason
from tests.fakes.triton import Script
from tests.rpc.gateway.test_chat_road import ask
from tests.rpc.identity.houses import (
    GuardedHouse,
    Tenant,
    details_of,
    error_of,
    open_house,
    write_keys,
)

SESSION, REQUEST, PICTURE, SECRET = "s-1", "r-1", b"shop's own picture", "订单 8812 的密码是 4711"
SERVICES = [
    service
    for file in (chat_service_pb2, session_service_pb2, model_service_pb2, media_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
]
METHODS = [f"{service.name}/{method.name}" for service in SERVICES for method in service.methods]


@dataclass
class Two:
    house: GuardedHouse
    shop: Tenant
    bank: Tenant


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    shop, bank = write_keys(tmp_path / "keys", "shop", "bank")
    async with open_house(tmp_path, keys=str(tmp_path / "keys")) as house:
        yield Two(house, house.caller(shop), house.caller(bank))


def question(**fields: object) -> question_pb2.Question:
    fields = {"session_id": SESSION, "request_id": REQUEST, **fields}
    generation = question_pb2.Generation(temperature=0)
    return ask(SECRET, PICTURE, generation=generation, **fields)


async def first(two: Two) -> answer_pb2.Answer:
    """What the shop did."""
    two.house.triton.script = Script(["只有", "shop", "知道"])
    answer = await two.shop.ask(question())
    two.house.triton.script = Script(["给", "bank", "的"])
    return answer


def untouched(two: Two, theirs: answer_pb2.Answer) -> None:
    """The bank's answer was worked out for the bank alone, from nothing but what it sent itself."""
    assert theirs.text == "给bank的"
    assert not theirs.cached
    assert theirs.joined_requests == 1
    assert [report.cached for report in theirs.pictures] == [False]
    assert theirs.usage.history_rounds == 0
    assert len(two.house.triton.seen) == 2, "the model was asked again"
    assert two.house.triton.seen[1].pictures == [PICTURE]
    scopes = [request.cache_scope for request in two.house.sidecar.seen]
    assert len(scopes) == len(set(scopes)) == 2, "the sidecar remembers each tenant's apart"
    salts = {seen.sampling["cache_scope"] for seen in two.house.triton.seen}
    assert len(salts) == 2, "and so does the model host"
    assert not salts & {"shop", "bank"}, "which need not know their names"


async def chat(two: Two) -> None:
    await first(two)
    untouched(two, await two.bank.ask(question()))
    again = await two.shop.ask(question())
    assert (again.text, again.cached) == ("只有shop知道", True)


async def stream_chat(two: Two) -> None:
    await first(two)
    request = chat_service_pb2.StreamChatRequest(question=question())
    call = two.bank.chat.StreamChat(request, metadata=two.bank.header, timeout=60)
    events = [event async for event in call]
    assert "shop" not in "".join(event.delta.text for event in events)
    untouched(two, events[-1].answer)


async def converse(two: Two) -> None:
    """Neither resuming the other's request nor speaking into its session reaches it."""
    await first(two)

    async def hear(
        tenant: Tenant, *requests: chat_service_pb2.ConverseRequest
    ) -> chat_service_pb2.ConverseResponse:
        call = tenant.chat.Converse(metadata=tenant.header, timeout=60)
        for request in requests:
            await call.write(request)
        await call.done_writing()
        return [response async for response in call][-1]

    def start(resume: str) -> chat_service_pb2.ConverseRequest:
        begin = chat_service_pb2.ConverseStart(session_id=SESSION, resume_request_id=resume)
        return chat_service_pb2.ConverseRequest(start=begin)

    theirs = (await hear(two.bank, start(REQUEST))).error
    nobodys = (await hear(two.bank, start("r-nobody"))).error
    assert theirs.reason == nobodys.reason == Reason.FIELD_INVALID.value
    assert theirs.message == nobodys.message
    said = await hear(two.bank, start(""), chat_service_pb2.ConverseRequest(question=question()))
    untouched(two, said.answer)
    assert (await hear(two.shop, start(REQUEST))).answer.text == "只有shop知道"
    more = chat_service_pb2.ConverseRequest(question=ask("还有呢?", request_id="r-2"))
    assert (await hear(two.shop, start(""), more)).answer.usage.history_rounds == 1
    shops = session_service_pb2.GetSessionRequest(session_id=SESSION)
    kept = await two.shop.sessions.GetSession(shops, metadata=two.shop.header)
    assert kept.session.turns == 2


async def unseen(two: Two, method: str, request_type: type) -> None:
    """The other's session is refused with the same words as one that is not there."""
    await first(two)
    call = getattr(two.bank.sessions, method)
    told = []
    for session_id in (SESSION, "s-2"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request_type(session_id=session_id), metadata=two.bank.header)
        assert error_of(caught.value).reason is Reason.SESSION_NOT_FOUND
        told.append(details_of(caught.value))
    code, words, status = told[0]
    assert isinstance(status, bytes)
    assert (code, words, status.replace(b"s-1", b"s-2")) == told[1]
    answer = await getattr(two.shop.sessions, method)(
        request_type(session_id=SESSION), metadata=two.shop.header
    )
    assert answer.ByteSize() > 0


async def get_session(two: Two) -> None:
    await unseen(two, "GetSession", session_service_pb2.GetSessionRequest)


async def list_turns(two: Two) -> None:
    await unseen(two, "ListTurns", session_service_pb2.ListTurnsRequest)


async def export_session(two: Two) -> None:
    await unseen(two, "ExportSession", session_service_pb2.ExportSessionRequest)


async def delete_session(two: Two) -> None:
    """Neither the session goes, nor its picture: not even where both tenants sent the same bytes."""
    await first(two)
    await two.bank.ask(question())
    request = session_service_pb2.DeleteSessionRequest(session_id=SESSION)
    await two.bank.sessions.DeleteSession(request, metadata=two.bank.header)
    folder = two.house.gateway.settings.state / "objects" / "pictures"
    sha256 = hashlib.sha256(PICTURE).hexdigest()
    (kept,) = [path for path in folder.rglob(sha256) if path.is_file()]
    assert kept.parts[-3] == hashlib.sha256(b"shop").hexdigest()
    follow_up = await two.shop.ask(ask("再说一遍?", session_id=SESSION))
    assert follow_up.usage.history_rounds == 1
    assert two.house.triton.seen[-1].pictures == [PICTURE]


def uploading(data: bytes) -> list[media_service_pb2.UploadRequest]:
    start = media_service_pb2.UploadStart(
        upload_id="u-1",
        media_type="image/png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    chunk = media_service_pb2.UploadChunk(offset=0, data=data)
    return [
        media_service_pb2.UploadRequest(start=start),
        media_service_pb2.UploadRequest(chunk=chunk),
    ]


async def upload_as(tenant: Tenant, data: bytes) -> media_service_pb2.UploadStatus:
    call = tenant.media.Upload(iter(uploading(data)), metadata=tenant.header, timeout=60)
    return (await call).status


def using_upload() -> question_pb2.Question:
    picture = question_pb2.Picture(upload_id="u-1")
    return question_pb2.Question(parts=[question_pb2.Part(picture=picture)])


async def upload(two: Two) -> None:
    """The same id and other bytes: no mismatch tells of the first, and each asks about its own."""
    await upload_as(two.shop, PICTURE)
    # Nor is an upload of the same bytes complete before they were sent: that would say that somebody has them.
    call = two.bank.media.Upload(iter(uploading(PICTURE)[:1]), metadata=two.bank.header, timeout=60)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = error_of(caught.value)
    assert (error.reason, error.metadata["expected_offset"]) == (Reason.UPLOAD_MISMATCH, "0")
    request = media_service_pb2.DeleteUploadRequest(upload_id="u-1")
    await two.bank.media.DeleteUpload(request, metadata=two.bank.header)
    assert (await upload_as(two.bank, b"the bank's bytes")).complete
    for tenant, data in ((two.bank, b"the bank's bytes"), (two.shop, PICTURE)):
        await tenant.ask(using_upload())
        assert two.house.triton.seen[-1].pictures == [data]


async def get_upload(two: Two) -> None:
    await upload_as(two.shop, PICTURE)
    request = media_service_pb2.GetUploadRequest(upload_id="u-1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await two.bank.media.GetUpload(request, metadata=two.bank.header)
    assert error_of(caught.value).reason is Reason.UPLOAD_NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await two.bank.ask(using_upload())
    assert error_of(caught.value).reason is Reason.UPLOAD_NOT_FOUND
    assert two.house.triton.seen == []


async def download(two: Two) -> None:
    await upload_as(two.shop, PICTURE)
    request = media_service_pb2.DownloadRequest(upload_id="u-1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await two.bank.media.Download(request, metadata=two.bank.header).read()
    assert error_of(caught.value).reason is Reason.UPLOAD_NOT_FOUND
    got = await two.shop.media.Download(request, metadata=two.shop.header).read()
    assert got.chunk.data == PICTURE


async def delete_upload(two: Two) -> None:
    await upload_as(two.shop, PICTURE)
    request = media_service_pb2.DeleteUploadRequest(upload_id="u-1")
    await two.bank.media.DeleteUpload(request, metadata=two.bank.header)
    await two.shop.ask(using_upload())
    assert two.house.triton.seen[-1].pictures == [PICTURE]


async def same_for_both(two: Two, method: str, request: object) -> None:
    """What is hosted is nobody's in particular: what the other one did changes nothing of it."""
    hosted = model_service_pb2.GetModelRequest()
    ready = model_service_pb2.MODEL_STATE_READY
    while (await two.shop.models.GetModel(hosted, metadata=two.shop.header)).model.state != ready:
        pass
    answers = []
    for tenant in (two.bank, two.shop, two.bank):
        answer = await getattr(tenant.models, method)(request, metadata=tenant.header)
        for model in answer.models if method == "ListModels" else [answer.model]:
            model.state_milliseconds = 0  # the time goes on between two calls
        answers.append(answer)
        await two.shop.ask(ask(SECRET))
    assert answers[0] == answers[1] == answers[2]
    assert SECRET not in str(answers)


async def list_models(two: Two) -> None:
    await same_for_both(two, "ListModels", model_service_pb2.ListModelsRequest())


async def get_model(two: Two) -> None:
    await same_for_both(two, "GetModel", model_service_pb2.GetModelRequest())


CASES: dict[str, Callable[[Two], Awaitable[None]]] = {
    "ChatService/Chat": chat,
    "ChatService/StreamChat": stream_chat,
    "ChatService/Converse": converse,
    "SessionService/GetSession": get_session,
    "SessionService/ListTurns": list_turns,
    "SessionService/ExportSession": export_session,
    "SessionService/DeleteSession": delete_session,
    "MediaService/Upload": upload,
    "MediaService/GetUpload": get_upload,
    "MediaService/Download": download,
    "MediaService/DeleteUpload": delete_upload,
    "ModelService/ListModels": list_models,
    "ModelService/GetModel": get_model,
}


def test_every_method_has_a_case() -> None:
    """A new method needs one: write down what another tenant must not see of it."""
    assert set(METHODS) == set(CASES)


@pytest.mark.parametrize("method", METHODS)
async def test_another_tenants_is_out_of_reach(two: Two, method: str) -> None:
    await CASES[method](two)


async def test_tenants_of_an_open_gateway_and_of_keys_are_not_the_same(tmp_path: Path) -> None:
    """Keys were switched on for a gateway that had been open: what was everybody's is nobody's now."""
    async with open_house(tmp_path) as house:
        await house.caller().ask(question())
    (shop,) = write_keys(tmp_path / "keys", "shop")
    async with open_house(tmp_path, keys=str(tmp_path / "keys")) as house:
        answer = await house.caller(shop).ask(question())
        assert (answer.cached, answer.usage.history_rounds) == (False, 0)


async def test_documents_are_drawn_for_each_tenant_alone(two: Two) -> None:
    for tenant in (two.shop, two.bank):
        await tenant.ask(ask("总额?", b"%PDF-first page|second page"))
    assert [one.cache_scope for one in two.house.sidecar.documents] == ["shop", "bank"]
    assert [one.cache_scope for one in two.house.sidecar.seen] == ["shop"] * 2 + ["bank"] * 2
