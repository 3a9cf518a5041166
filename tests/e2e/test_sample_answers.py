"""The project's own sample pictures, through every process to the answer and back."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.e2e.road import Heard, Road, picture, question
from tools.house import ROOT

pytestmark = [pytest.mark.triton, pytest.mark.weights, pytest.mark.asyncio(loop_scope="session")]
SAMPLES = ROOT / "samples"
STAGES = ["admit", "gather", "join", "recall", "compose", "fit", "infer", "judge", "remember"]
# A model of half a billion parameters is not always right: one question in each language may go wrong.
MAY_BE_WRONG = 1


@dataclass(frozen=True, slots=True)
class Asked:
    language: str
    words: str
    right: bool
    heard: Heard


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def asked(reader_road: Road) -> list[Asked]:
    """All questions of the samples, by three callers: more would only wait for the reader's cores."""
    lines = (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    callers = asyncio.Semaphore(3)

    async def hear(entry: dict[str, str]) -> Heard:
        async with callers:
            sent = question(picture(SAMPLES / entry["picture"]), entry["question"])
            return await reader_road.hear(sent, seconds=110)

    heard = await asyncio.gather(*map(hear, entries))
    return [
        Asked(
            entry["language"],
            entry["question"],
            re.search(entry["answer_regex"], one.answer.text) is not None,
            one,
        )
        for entry, one in zip(entries, heard, strict=True)
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_samples_are_answered_rightly(asked: list[Asked], language: str) -> None:
    mine = [one for one in asked if one.language == language]
    wrong = {one.words: one.heard.answer.text for one in mine if not one.right}
    assert len(mine) >= 4
    assert len(wrong) <= MAY_BE_WRONG, wrong


async def test_events_come_in_order(asked: list[Asked]) -> None:
    for one in asked:
        kinds = one.heard.kinds
        assert kinds[0] == "picture"
        assert kinds[-1] == "answer"
        assert set(kinds[1:-1]) == {"delta"}, (
            "the text comes between the picture's report and the answer"
        )
        assert one.heard.text == one.heard.answer.text


async def test_answers_say_how_long_each_stage_took(asked: list[Asked]) -> None:
    for one in asked:
        timings = {timing.stage: timing.milliseconds for timing in one.heard.answer.timings}
        assert list(timings) == STAGES
        assert all(milliseconds >= 0 for milliseconds in timings.values())
        assert timings["infer"] > 0
        assert sum(timings.values()) <= one.heard.seconds * 1000


async def test_evidence_lies_within_the_picture_as_sent(asked: list[Asked]) -> None:
    for one in asked:
        answer = one.heard.answer
        size = answer.pictures[0].original
        for row in answer.evidence:
            assert row.picture == 0
            assert row.text
            assert 0 <= row.box.left < row.box.right <= size.width
            assert 0 <= row.box.top < row.box.bottom <= size.height
    with_evidence = sum(bool(one.heard.answer.evidence) for one in asked)
    assert with_evidence >= len(asked) - 2 * MAY_BE_WRONG, (
        "answers come with the rows that they rest on"
    )


async def test_answers_carry_usage_confidence_and_the_picture_report(asked: list[Asked]) -> None:
    for one in asked:
        answer = one.heard.answer
        assert answer.model == "reader"
        assert answer.usage.prompt_text_tokens > 0
        assert answer.usage.visual_tokens > 0
        assert answer.usage.completion_tokens > 0
        assert 0 < answer.confidence.weakest <= answer.confidence.score <= 1
        report = answer.pictures[0]
        assert report.media_type == "image/png"
        assert report.prepared.width * report.prepared.height <= 1_200_000
        assert report.crop.top_px > 0, "every sample has a status bar, which is no part of the page"
