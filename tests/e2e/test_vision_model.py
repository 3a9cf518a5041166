"""The whole road with a model that sees: a tiny Qwen2.5-VL on the engine `transformers`.

Its weights are random, so what it says is nonsense; how it comes to say it is what a real one does.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio
from PIL import Image

from kefu.media.v1 import media_service_pb2, media_service_pb2_grpc
from kefu_gateway.domain.answer import Size
from kefu_gateway.domain.card import ModelCard
from tests.checkpoints.models import ENGINES, model_directories, require_engine
from tests.e2e.conftest import need_triton, open_road
from tests.e2e.road import Road, eventually, picture, question
from tests.fixtures.pictures import page, sample

pytestmark = [pytest.mark.triton, pytest.mark.asyncio(loop_scope="module")]
MODEL = "tiny_qwen2_5_vl"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    need_triton()
    require_engine("transformers")
    folder = tmp_path_factory.mktemp("vision")
    repository = model_directories(folder / "made", "transformers", names=(MODEL,))
    environment = {"KEFU_ENGINE_ENVS": str(ENGINES)}
    async with open_road(
        folder, MODEL, environment=environment, repositories=(repository,)
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def card(road: Road) -> ModelCard:
    path = road.house.folder.parent / "models" / MODEL / "1/model.json"
    return ModelCard.parse(json.loads(path.read_text(encoding="utf-8")))


async def test_a_question_about_pictures_is_streamed_and_answered(road: Road) -> None:
    heard = await road.hear(question("多少钱？", picture(sample("order")), max_tokens=24))
    assert heard.answer.text == heard.text != ""
    assert "\N{REPLACEMENT CHARACTER}" not in heard.text
    # Its steps take a millisecond: the tokens of ten of them come together.
    assert heard.kinds.count("delta") > 1
    usage = heard.answer.usage
    assert 0 < usage.completion_tokens <= 24
    assert 0 < heard.answer.confidence.score <= 1


async def test_the_gateway_counts_visual_tokens_as_the_engine_does(
    road: Road, card: ModelCard
) -> None:
    """The gateway counts before it asks, from sizes alone; the engine counts what it has made of the pictures."""
    sizes = [(640, 480), (333, 1000), (57, 61), (1179, 200)]
    shown = [picture(page("Total|12.50", size=size)) for size in sizes]
    answer = await road.ask(question("Which total?", *shown, max_tokens=4))
    prepared = [Size(p.prepared.width, p.prepared.height) for p in answer.pictures]
    assert answer.usage.visual_tokens == sum(card.visual_tokens(size) for size in prepared) > 500


async def test_the_next_question_of_a_session_sees_the_picture_again(road: Road) -> None:
    asked = question("What is it?", picture(page("Ticket")), session_id="v-1", max_tokens=6)
    first = await road.ask(asked)
    second = await road.ask(question("And now?", session_id="v-1", max_tokens=6))
    assert second.usage.history_rounds == 1
    assert second.usage.visual_tokens == first.usage.visual_tokens > 0


async def test_a_schema_comes_back_as_fields(road: Road) -> None:
    schema = {
        "type": "object",
        "properties": {"refund": {"type": "boolean"}, "count": {"enum": [1, 2, 3]}},
        "required": ["refund", "count"],
    }
    asked = question("Refund?", json_schema=json.dumps(schema), max_tokens=60)
    fields = json.loads((await road.ask(asked)).text)
    assert set(fields) == {"refund", "count"}


async def test_on_debug_the_answer_links_pictures_of_where_the_model_looked(road: Road) -> None:
    shown = [picture(page("Ticket", size=(640, 480))), picture(page("Bill", size=(300, 600)))]
    answer = await road.ask(question("Where is it?", *shown, debug=True, max_tokens=8))
    maps = answer.debug["attention"]
    assert [one["picture"] for one in maps] == [0, 1]
    media = media_service_pb2_grpc.MediaServiceStub(road.channel)
    for one, (width, height) in zip(maps, ((640, 480), (300, 600)), strict=True):
        assert "data" not in one.fields
        request = media_service_pb2.DownloadRequest(upload_id=one["upload_id"])
        data = b"".join([r.chunk.data async for r in media.Download(request, timeout=60)])
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as drawn:
            assert drawn.size == (one["width"], one["height"])
            assert drawn.width / drawn.height == pytest.approx(width / height, rel=0.15)
    plain = await road.ask(question("Where is it?", *shown, max_tokens=8))
    assert not plain.HasField("debug")
    assert plain.text == answer.text


async def test_a_caller_who_leaves_frees_the_place(road: Road) -> None:
    asked = question("A long story.", max_tokens=2000, temperature=1.0)
    async with aclosing(road.events(asked)) as events:
        async for event in events:
            if event.WhichOneof("event") == "delta":
                break

    async def idle() -> bool:
        samples = await road.triton_metrics()
        names = ("kefu_vlm_busy_slots", "kefu_vlm_active_requests")
        found = [v for k, v in samples.items() if k.startswith(names) and MODEL in k]
        return found == [0, 0]

    await eventually(idle, "the place is free again", seconds=60)
