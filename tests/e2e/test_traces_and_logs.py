"""The real road, traced and logging all it can: one trace through every process, and not a word of a customer.

Every question here carries a mark, in its text, its picture, its context, its schema and its URL; the mark may come
back in the answer and nowhere else.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import grpc
import pytest
import pytest_asyncio
from PIL import Image, PngImagePlugin

from kefu.chat.v1 import chat_service_pb2, question_pb2
from tests.e2e.conftest import need_triton, open_road
from tests.e2e.road import Road, eventually, picture, question
from tests.fakes.collector import FakeCollector

pytestmark = [pytest.mark.triton, pytest.mark.asyncio(loop_scope="module")]

MARK = "暗号Zq7Marker"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STAGES = ("admit", "gather", "join", "recall", "compose", "fit", "infer", "judge", "remember")
CHAT = "kefu.chat.v1.ChatService/Chat"
PREPARE = "kefu.preprocess.v1.PreprocessService/Prepare"


@dataclass
class House:
    road: Road
    collector: FakeCollector

    async def ask(self, asked: question_pb2.Question, trace_id: str = TRACE) -> str:
        """The answer's text, "" where there was none."""
        traceparent = ("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01")
        request = chat_service_pb2.ChatRequest(question=asked)
        with suppress(grpc.aio.AioRpcError):
            response = await self.road.chat.Chat(request, metadata=[traceparent], timeout=60)
            return str(response.answer.text)
        return ""

    def logs(self) -> str:
        files = [
            *self.road.house.folder.glob("log/*.log"),
            *self.road.house.folder.glob("triton/*.log"),
        ]
        assert len(files) >= 4, "gateway, sidecar, model host and Triton"
        return "\n".join(file.read_text(errors="replace") for file in files)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    need_triton()
    async with FakeCollector() as collector:
        environment = {
            "KEFU_GATEWAY_TRACES": "otlp",
            "KEFU_PREPROCESS_TRACES": "otlp",
            "KEFU_TRITON_TRACES_URL": collector.http_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "KEFU_GATEWAY_LOG_LEVEL": "debug",
            "KEFU_PREPROCESS_LOG_LEVEL": "debug",
            "KEFU_GATEWAY_URL_HOSTS": "localhost",
        }
        folder = tmp_path_factory.mktemp("traced")
        async with open_road(folder, "echo", environment=environment) as road:
            yield House(road, collector)


def marked_png(width: int = 90) -> bytes:
    image, told = Image.new("RGB", (width, 160), "white"), PngImagePlugin.PngInfo()
    told.add_itxt("Comment", MARK)
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=told)
    return out.getvalue()


async def test_one_trace_through_every_process(house: House) -> None:
    text = await house.ask(question(picture(marked_png()), f"{MARK}?", session_id="t-1"))
    assert MARK in text
    spans = await house.collector.trace(TRACE, CHAT, PREPARE, "turn", "InferRequest", *STAGES)
    assert {span.service for span in spans.values()} == {
        "kefu-gateway",
        "kefu-preprocess",
        "triton",
    }
    assert spans[CHAT].parent_id == "00f067aa0ba902b7"
    assert spans[PREPARE].parent_id == spans["gather"].span_id
    assert spans["InferRequest"].parent_id == spans["infer"].span_id
    assert spans["echo"].parent_id == spans["InferRequest"].span_id
    assert spans["infer"].start <= spans["InferRequest"].start <= spans["infer"].end


async def test_no_word_of_a_customer_in_any_log_or_span(house: House) -> None:
    """Answered, refused and broken questions; with the gateway and the sidecar at their most talkative."""
    schema = json.dumps({"type": "object", "properties": {MARK: {"type": MARK}}})
    cut = marked_png()[:120]
    url = question_pb2.Part(
        picture=question_pb2.Picture(url=f"https://localhost/{MARK}?sign={MARK}#{MARK}")
    )
    other = question_pb2.Part(picture=question_pb2.Picture(url=f"https://u:{MARK}@{MARK}.test/"))
    asked = {
        "answered": question(picture(marked_png()), MARK, session_id="t-2"),
        "with facts and a stop": question(
            MARK, context={"name": MARK}, stop=[MARK + "."], debug=True
        ),
        "too long": question(MARK * 3000),
        "with an odd schema": question(MARK, json_schema=schema),
        "with a schema that is none": question(MARK, json_schema=MARK),
        "with a cut picture": question(picture(cut), MARK),
        "with no picture": question(picture(MARK.encode() * 9), MARK),
        "by URL": question_pb2.Question(parts=[url, question_pb2.Part(text=MARK)]),
        "by another URL": question_pb2.Question(parts=[other]),
        "for a model that is none": question(MARK, model="Zq7Marker-model"),
        "that breaks the engine": question(f"@echo fail_after=0\n{MARK}"),
        "that ends the engine's process": question(f"@echo crash_after=0\n{MARK}"),
    }
    trace_ids = {name: f"{number:032x}" for number, name in enumerate(asked, 1)}
    answers = {name: await house.ask(one, trace_ids[name]) for name, one in asked.items()}
    answered = {name for name, text in answers.items() if text}
    assert answered == {"answered", "with facts and a stop", "with an odd schema"}

    await house.collector.trace(trace_ids["that ends the engine's process"], CHAT)
    lines = house.logs()
    for name, trace_id in trace_ids.items():
        assert trace_id in lines, f"no line of the question {name}"
    sent = b"".join(house.collector.raw).decode("utf-8", "replace")
    escaped = json.dumps(MARK)[1:-1]
    for mark in (MARK, escaped, "Zq7Marker"):
        assert mark not in lines
        assert mark not in sent

    async def serves() -> bool:
        return await house.road.answers(question("up again?"))

    await eventually(serves, "the model host has restarted the model", seconds=60)


async def test_every_line_of_a_call_has_its_ids(house: House) -> None:
    trace_id = "f" * 32
    await house.ask(question(picture(marked_png(100)), "?", request_id="line-1"), trace_id)

    def lines_of(process: str) -> list[dict[str, object]]:
        text = (house.road.house.folder / "log" / f"{process}.log").read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("trace_id") == trace_id]

    (gateway,) = (line for line in lines_of("gateway") if line["event"] == "call")
    assert gateway["request_id"] == "line-1"
    assert gateway["code"] == "OK"
    assert gateway["model"] == "echo"
    (sidecar,) = (line for line in lines_of("preprocess") if line["event"] == "call")
    assert sidecar["request_id"] == "line-1"
    assert sidecar["method"] == f"/{PREPARE}"
