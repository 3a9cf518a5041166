"""KefuClient against a gateway on a real port: what is sent, and what comes back."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta, StreamChatRequest
from kefu.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from kefu.chat.v1.model_service_pb2 import Limits, ListModelsResponse, Model
from kefu.media.v1.picture_pb2 import CropMode, PictureReport
from kefu_client import (
    MESSAGE_BYTES,
    Health,
    InputError,
    KefuCallError,
    KefuClient,
    channel_options,
    picture,
    question,
)
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway, Gate, Status


def test_ask_sends_the_parts_in_order_and_gives_the_answer(
    gateway: FakeGateway, client: KefuClient, tmp_path: Path
) -> None:
    path = tmp_path / "订单.png"
    path.write_bytes(b"first")
    gateway.will(Answer(text="299 元", model="reader"))
    answer = client.ask(
        picture(path),
        picture(b"second", crop="forbid", elements=True),
        "多少钱?",
        session_id="s-1",
        temperature=0,
        stop=["。"],
        context={"level": "gold", "orders": 3},
    )
    assert (answer.text, answer.model) == ("299 元", "reader")
    sent = gateway.calls[0].question
    assert [part.WhichOneof("content") for part in sent.parts] == ["picture", "picture", "text"]
    assert sent.parts[0].picture.data == b"first"
    assert sent.parts[0].picture.crop_mode == CropMode.CROP_MODE_AUTO
    assert sent.parts[1].picture.crop_mode == CropMode.CROP_MODE_FORBID
    assert sent.parts[1].picture.find_elements
    assert sent.session_id == "s-1"
    # 0 was asked for, so it must be there: an absent temperature means the model's default.
    assert sent.generation.HasField("temperature")
    assert not sent.generation.HasField("max_tokens")
    assert list(sent.generation.stop) == ["。"]
    assert sent.context["level"] == "gold"


def test_every_call_has_a_request_id_and_tells_it_in_a_header(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Answer())
    gateway.will(Answer())
    client.ask("hi")
    client.ask("hi", request_id="mine-1")
    first, second = gateway.calls
    assert len(first.question.request_id) == 32
    assert first.metadata["x-request-id"] == first.question.request_id
    assert second.question.request_id == second.metadata["x-request-id"] == "mine-1"


def test_a_request_id_that_no_header_can_carry_is_left_to_the_server_to_refuse(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(
        KefuError(Reason.FIELD_INVALID, "odd characters in an id", field="question.request_id")
    )
    with pytest.raises(KefuCallError) as caught:
        client.ask("hi", request_id="单号")
    assert caught.value.field == "question.request_id"
    assert "x-request-id" not in gateway.calls[0].metadata


def test_events_come_one_by_one_while_the_server_still_works(
    gateway: FakeGateway, client: KefuClient
) -> None:
    first, second = Gate(), Gate()
    gateway.will(
        PictureReport(index=0),
        first,
        Delta(text="你"),
        second,
        Delta(text="好"),
        Answer(text="你好"),
    )
    with client.stream("hi", picture(b"x")) as stream:
        assert isinstance(next(stream), PictureReport)
        first.open()
        event = next(stream)
        assert isinstance(event, Delta)
        assert event.text == "你"
        with pytest.raises(RuntimeError, match="to its end"):
            _ = stream.answer
        second.open()
        assert list(stream.text()) == ["好"]
        assert stream.answer.text == "你好"
        assert list(stream) == []


def test_leaving_a_stream_early_cancels_the_call_at_the_server(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Delta(text="a"), Gate(), Answer())
    with client.stream("hi") as stream:
        next(stream)
    assert gateway.calls[0].cancelled.wait(60)


def test_a_stream_that_ends_without_an_answer_is_an_error(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Delta(text="half"))
    with client.stream("hi") as stream, pytest.raises(KefuCallError) as caught:
        list(stream)
    assert caught.value.code is grpc.StatusCode.DATA_LOSS
    assert caught.value.request_id == stream.request_id


def test_the_deadline_ends_a_call_at_both_ends(gateway: FakeGateway, client: KefuClient) -> None:
    client.health()  # connected before the clock runs, so that the call is sure to get there
    gateway.will(Gate(), Answer())
    with pytest.raises(KefuCallError) as caught:
        client.ask("hi", timeout=1)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not caught.value.from_kefu
    assert gateway.calls[0].cancelled.wait(60)
    assert gateway.calls[0].seconds_left < 2


def test_errors_carry_reason_field_metadata_and_id(
    gateway: FakeGateway, client: KefuClient
) -> None:
    failure = KefuError(
        Reason.PICTURE_TOO_LARGE,
        "the picture has too many bytes",
        field="question.parts[0].picture.data",
        limit=20971520,
        got=20971521,
    )
    gateway.will(failure)
    gateway.will(failure)
    with pytest.raises(KefuCallError) as asked:
        client.ask(picture(b"x"))
    with client.stream(picture(b"x")) as stream, pytest.raises(KefuCallError) as streamed:
        next(stream)
    for error in (asked.value, streamed.value):
        assert error.from_kefu
        assert error.reason == "PICTURE_TOO_LARGE"
        assert error.message == "the picture has too many bytes"
        assert error.field == "question.parts[0].picture.data"
        assert error.metadata == {"limit": "20971520", "got": "20971521"}
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert error.retry_after is None
    assert streamed.value.request_id == stream.request_id


def test_a_bare_status_keeps_its_code_and_its_words(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Status(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests"))
    with pytest.raises(KefuCallError) as caught:
        client.ask("hi")
    assert caught.value.reason == "RESOURCE_EXHAUSTED"
    assert caught.value.message == "too many requests"
    assert not caught.value.from_kefu


def test_nobody_listens(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/nobody.sock"
    with KefuClient(address) as client, pytest.raises(KefuCallError) as caught:
        client.ask("hi")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert caught.value.retry_after is None


def test_unix_socket(tmp_path: Path) -> None:
    with FakeGateway(f"unix:{tmp_path}/gateway.sock") as gateway:
        gateway.will(Answer(text="over a socket"))
        with KefuClient(gateway.address) as client:
            assert client.ask("hi").text == "over a socket"


def test_models_and_health(gateway: FakeGateway, client: KefuClient) -> None:
    gateway.models = ListModelsResponse(models=[Model(name="reader")])
    gateway.is_healthy("")
    gateway.is_healthy("kefu.dependency.triton", False)
    assert client.models().models[0].name == "reader"
    assert client.health() is Health.SERVING
    assert client.health("kefu.dependency.triton") is Health.NOT_SERVING
    assert client.health("kefu.dependency.nobody") is Health.SERVICE_UNKNOWN


def test_the_token_goes_along_with_every_call(gateway: FakeGateway) -> None:
    gateway.will(Answer())
    with KefuClient(gateway.address, token="key-1") as client:
        client.ask("hi")
    assert gateway.calls[0].metadata["authorization"] == "Bearer key-1"


def test_a_large_question_is_sent_only_where_the_server_takes_it() -> None:
    part = picture(bytes(11 * 2**20))
    with FakeGateway(message_bytes=32 * 2**20) as gateway, KefuClient(gateway.address) as client:
        gateway.models = ListModelsResponse(limits=Limits(message_bytes=MESSAGE_BYTES))
        with pytest.raises(InputError, match=r"22\.0 MiB.*kefu upload FILE"):
            client.ask(part, part)
        assert gateway.calls == []
        gateway.models = ListModelsResponse(limits=Limits(message_bytes=32 * 2**20))
        gateway.will(Answer(text="seen"))
        assert client.ask(part, part).text == "seen"


async def test_from_asyncio_with_the_same_building_blocks(gateway: FakeGateway) -> None:
    """What the package's docstring shows."""
    gateway.will(Delta(text="a"), Answer(text="a"))
    gateway.will(KefuError(Reason.OVERLOADED, "full", retry_after=0.5))
    async with grpc.aio.insecure_channel(
        gateway.address, options=channel_options(gateway.address)
    ) as channel:
        stub = ChatServiceStub(channel)
        request = StreamChatRequest(question=question("hi", picture(b"x")))
        kinds = [r.WhichOneof("event") async for r in stub.StreamChat(request, timeout=60)]
        assert kinds == ["delta", "answer"]
        with pytest.raises(grpc.RpcError) as caught:
            _ = [r async for r in stub.StreamChat(request, timeout=60)]
    error = KefuCallError.of(caught.value)
    assert (error.reason, error.retry_after) == ("OVERLOADED", 0.5)


def test_calls_go_in_turn_to_every_gateway_of_a_name() -> None:
    """gRPC's own choice is one address for every call: behind a headless Service one gateway had all the work."""
    with FakeGateway() as one, FakeGateway() as other:
        other.is_healthy("", False)
        with KefuClient(f"ipv4:{one.address},{other.address}") as client:
            give_up = time.monotonic() + 60
            seen: set[Health] = set()
            while len(seen) < 2 and time.monotonic() < give_up:  # until it is connected to both
                seen.add(client.health())
            asked = [client.health() for _ in range(10)]
    assert asked.count(Health.SERVING) == asked.count(Health.NOT_SERVING) == 5
