"""The working papers of one turn: each stage reads what earlier ones wrote and writes its own part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.ports import Message, PreparedPicture, Sampling
from kefu_gateway.domain.question import Question


@dataclass(slots=True, kw_only=True)
class Turn:
    """One turn on its way down the road. The comment behind a field names the stage that writes it."""

    question: Question
    card: ModelCard
    deadline: Deadline
    language: str
    # Held until the turn ends, in reverse order: the admission's place, for one.
    resources: AsyncExitStack
    started: float

    timings: dict[str, float] = field(default_factory=dict)  # the road: milliseconds by stage
    pictures: list[PreparedPicture] = field(default_factory=list)  # gather
    messages: Sequence[Message] = ()  # compose
    input_ids: Sequence[int] = ()  # fit
    prompt_pictures: Sequence[PreparedPicture] = ()  # fit
    sampling: Sampling | None = None  # fit
    text: str = ""  # infer
    finish_reason: str = ""  # infer
    logprobs: list[float] = field(default_factory=list)  # infer
    details: dict[str, Any] = field(default_factory=dict)  # infer
    usage: tuple[int, int, int] = (0, 0, 0)  # infer
    first_token_at: float | None = None  # infer
    answer: Answer | None = None  # judge
