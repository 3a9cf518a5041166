"""What operators see: health that names what is missing, metrics, models, reflection, drain, log lines."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from kefu.chat.v1 import chat_service_pb2, model_service_pb2
from kefu_common.errors import Reason
from kefu_common.status import from_call_error
from tests.fakes.triton import Script
from tests.fixtures.logs import recorded_lines
from tests.rpc.gateway.conftest import House
from tests.rpc.gateway.test_chat_road import ask, refused, whole

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health_changes(house: House, service: str) -> AsyncIterator[int]:
    stub = health_pb2_grpc.HealthStub(house.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    async for response in stub.Watch(request, timeout=60):
        yield response.status


async def until(house: House, service: str, status: int) -> None:
    async for seen in health_changes(house, service):
        if seen == status:
            return


async def test_health_names_what_is_missing_and_finds_it_again(house: House) -> None:
    names = ("", "kefu.chat.v1.ChatService", "kefu.dependency.store", "kefu.dependency.triton")
    for service in names:
        await until(house, service, SERVING)
    await house.sidecar.stop()
    await until(house, "kefu.dependency.preprocess", NOT_SERVING)
    await until(house, "", NOT_SERVING)
    await until(house, "kefu.dependency.model.tiny", SERVING)
    await house.sidecar.start()
    await until(house, "", SERVING)


async def test_model_state_follows_the_model(house: House) -> None:
    await until(house, "kefu.dependency.model.tiny", SERVING)
    listed = await house.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [(model.name, model.is_default) for model in listed.models] == [("tiny", True)]
    assert listed.models[0].state == model_service_pb2.MODEL_STATE_READY
    assert listed.limits.picture_bytes == 20 * 1024 * 1024
    await house.triton.stop()
    await until(house, "kefu.dependency.model.tiny", NOT_SERVING)
    model = (await house.models.GetModel(model_service_pb2.GetModelRequest())).model
    assert model.state == model_service_pb2.MODEL_STATE_UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.models.GetModel(model_service_pb2.GetModelRequest(name="none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("house", [{"metrics_address": "127.0.0.1:0"}], indirect=True)
async def test_metrics_after_a_turn_and_a_refusal(house: House) -> None:
    house.triton.script = Script(["a", "b", "c"])
    await whole(house, ask("hi", b"AAA"))
    await refused(house, ask())

    def scrape() -> str:
        address = f"http://127.0.0.1:{house.gateway.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=60) as response:
            return response.read().decode()

    text = await asyncio.to_thread(scrape)
    for line in (
        'kefu_stage_duration_seconds_count{stage="infer"} 1.0',
        'kefu_stage_duration_seconds_count{stage="gather"} 1.0',
        'gen_ai_server_request_duration_seconds_count{gen_ai_request_model="tiny"} 1.0',
        'gen_ai_server_time_to_first_token_seconds_count{gen_ai_request_model="tiny"} 1.0',
        'gen_ai_server_time_per_output_token_seconds_count{gen_ai_request_model="tiny"} 1.0',
        'gen_ai_client_token_usage_sum{gen_ai_request_model="tiny",gen_ai_token_type="completion"} 3.0',
        'kefu_requests_rejected_total{reason="TURN_EMPTY"} 1.0',
        'kefu_calls_total{code="OK",method="/kefu.chat.v1.ChatService/Chat"} 1.0',
        "kefu_turn_parts_sum 1.0",
        "kefu_turns_running 0.0",
        "kefu_admission_queue_depth 0.0",
        "kefu_admission_oldest_wait_seconds 0.0",
        "kefu_first_token_objective_seconds 10.0",
        'kefu_questions_total{outcome="answered",reason=""} 1.0',
        'kefu_questions_total{outcome="refused",reason="TURN_EMPTY"} 1.0',
        'kefu_answers_total{finish_reason="stop",model="tiny"} 1.0',
        'kefu_pictures_total{source="sidecar"} 1.0',
    ):
        assert line in text


@pytest.mark.parametrize("house", [{"metrics_address": "127.0.0.1:0"}], indirect=True)
async def test_a_caller_that_waited_in_vain_has_not_left(house: House) -> None:
    """gRPC cancels the call when its deadline passes. Counted as the caller's own leaving, a gateway so slow that every
    caller gave up had no failures at all, and its error budget stayed whole."""
    house.triton.script = Script(["a", "b"], pause_after=1)
    # Connected before the clock runs, so that the call is sure to get there.
    await house.models.ListModels(model_service_pb2.ListModelsRequest())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.chat.Chat(chat_service_pb2.ChatRequest(question=ask("hi")), timeout=1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    leaving = house.chat.StreamChat(chat_service_pb2.StreamChatRequest(question=ask("hi")))
    await leaving.read()
    leaving.cancel()

    def counted() -> list[str]:
        address = f"http://127.0.0.1:{house.gateway.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=60) as response:
            lines = response.read().decode().splitlines()
        return [
            line for line in lines if line.startswith("kefu_questions_total") and " 0.0" not in line
        ]

    wanted = {
        'kefu_questions_total{outcome="failed",reason="DEADLINE_EXCEEDED"} 1.0',
        'kefu_questions_total{outcome="cancelled",reason=""} 1.0',
    }
    async with asyncio.timeout(60):
        while set(await asyncio.to_thread(counted)) != wanted:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("house", [{"metrics_address": "127.0.0.1:0"}], indirect=True)
async def test_the_join_stage_is_not_charged_for_the_turn_it_awaits(house: House) -> None:
    """A session's turn is run by its holder, and the request waits for it inside `join`: the histogram once said that
    joining took as long as the model."""
    house.triton.script = Script(["a"], pause_after=0)
    asked = asyncio.create_task(whole(house, ask("hi", session_id="s")))
    await house.triton.paused.wait()
    # From here on it is the model that takes long, however long the way to it took.
    asyncio.get_running_loop().call_later(0.2, house.triton.go_on.set)
    await asked

    def seconds(series: str) -> float:
        address = f"http://127.0.0.1:{house.gateway.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=60) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))

    stages = await asyncio.to_thread(seconds, "kefu_stage_duration_seconds_sum")
    infer = await asyncio.to_thread(seconds, 'kefu_stage_duration_seconds_sum{stage="infer"}')
    request = await asyncio.to_thread(seconds, "gen_ai_server_request_duration_seconds_sum")
    assert 0.1 <= infer <= stages <= request


async def test_reflection_gives_the_whole_api(house: House) -> None:
    """What grpcurl does: it knows nothing of our protos and asks the server for them."""

    def reflected() -> set[str]:
        with grpc.insecure_channel(house.gateway.address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            chat = pool.FindServiceByName("kefu.chat.v1.ChatService")
            assert "MediaService" in {name.rpartition(".")[2] for name in database.get_services()}
            return {method.name for method in chat.methods}

    assert await asyncio.to_thread(reflected) == {"Chat", "StreamChat", "Converse"}


async def test_drain_lets_the_running_answer_finish_and_refuses_new_ones(house: House) -> None:
    house.triton.script = Script(["a", "b"], pause_after=1)
    running = asyncio.create_task(house.gateway.run())
    stream = house.chat.StreamChat(chat_service_pb2.StreamChatRequest(question=ask("hi")))
    await stream.read()
    second = house.chat.StreamChat(chat_service_pb2.StreamChatRequest(question=ask("hi")))
    await second.read()
    os.kill(os.getpid(), signal.SIGTERM)
    await until(house, "", NOT_SERVING)
    refusal = await first_refusal(house)
    known = from_call_error(refusal)
    assert known is not None
    assert known.reason is Reason.DRAINING
    house.triton.go_on.set()
    for call in (stream, second):
        assert (await call.read()).delta.text == "b"
        assert (await call.read()).answer.text == "ab"
    await running


async def first_refusal(house: House) -> grpc.aio.AioRpcError:
    """Asks until the settling time, here 0 s, is over."""
    request = chat_service_pb2.ChatRequest(question=ask("new"))
    while True:
        try:
            await house.chat.Chat(request, timeout=1)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                return error


async def test_access_line_has_ids_and_counts_and_no_word_of_the_customer(house: House) -> None:
    question = ask("my phone is 13800138000")
    request = chat_service_pb2.ChatRequest(question=question)
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with recorded_lines() as lines:
        await house.chat.Chat(
            request, metadata=[("x-request-id", "call-7"), ("traceparent", traceparent)]
        )
    (line,) = lines.named("call")
    assert line.pop("milliseconds") > 0
    assert line.pop("timestamp")
    assert line == {
        "event": "call",
        "level": "info",
        "service": "test",
        "method": "/kefu.chat.v1.ChatService/Chat",
        "code": "OK",
        "reason": None,
        "request_id": "call-7",
        "trace_id": traceparent[3:35],
        "tenant": "",
        "model": "tiny",
        "tokens": line["tokens"],
    }
    assert set(line["tokens"]) == {"text", "visual", "completion"}
    assert "13800138000" not in lines.text


async def test_the_id_in_the_answer_leads_to_the_log_line(house: House) -> None:
    """Where the caller sent no id, the answer named one that no log line had: each asked for a new one."""
    with recorded_lines() as lines:
        response = await house.chat.Chat(chat_service_pb2.ChatRequest(question=ask("?")))
        own = ask("?", request_id="mine-1")
        await house.chat.Chat(chat_service_pb2.ChatRequest(question=own))
    first, second = lines.named("call")
    assert first["request_id"] == response.answer.request_id
    assert second["request_id"] == "mine-1"


@pytest.mark.parametrize("house", [{"log_text": True}], indirect=True)
async def test_text_is_logged_masked_where_the_operator_wants_it(house: House) -> None:
    house.triton.script = Script(["您的手机", "13800138000", " 已绑定"])
    question = ask("我叫张三，手机 138 0013 8000", b"picture", session_id="s", request_id="r-1")
    with recorded_lines() as lines:
        await house.chat.Chat(chat_service_pb2.ChatRequest(question=question))
    (asked,), (answered,) = lines.named("question"), lines.named("answer")
    assert (asked["text"], asked["pictures"]) == ("我叫[name],手机 [phone]", 1)
    assert answered["text"] == "您的手机[phone] 已绑定"
    assert asked["request_id"] == "r-1"
    assert "picture" not in lines.text.replace("pictures", "")
