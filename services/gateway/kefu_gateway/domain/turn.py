"""The working papers of one turn: each stage reads what earlier ones wrote and writes its own part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from kefu_gateway.domain.accounts import Account
from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.ports import Message, PreparedPicture, Sampling
from kefu_gateway.domain.question import Question
from kefu_gateway.domain.session import KeptPart, SessionKey
from kefu_gateway.domain.turnstile import Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A turn of a session: whose it is, the fence under which it may be written, and the requests that it joins.

    `keep_turn` False: a one-off whose outcome alone is kept, so that its `request_id` gives the same answer again.
    """

    key: SessionKey
    fence: int
    request_ids: tuple[str, ...]
    parts: tuple[KeptPart, ...]
    keep_turn: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """An earlier round in the prompt: what the customer said, what was answered, and the pictures in between."""

    question: Message
    answer: Message
    pictures: Sequence[PreparedPicture] = ()


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
    # Seconds since the epoch: the burst rules count from a request's arrival, wherever it is answered.
    arrived_at: float = 0.0
    ticket: Ticket | None = None
    account: Account | None = None
    claim: Claim | None = None  # join
    # The traces of the requests that it joins, as `Question.trace` has them.
    traces: Sequence[tuple[tuple[str, str], ...]] = ()

    timings: dict[str, float] = field(default_factory=dict)  # the road: milliseconds by stage
    awaited: float = 0.0  # join: milliseconds of the stages of a turn that another task runs
    pictures: list[PreparedPicture] = field(default_factory=list)  # gather
    originals: list[bytes] = field(default_factory=list)  # gather: the pictures as sent
    number: int = 1  # recall
    chain: int = 1  # recall
    rounds: Sequence[Round] = ()  # recall, oldest first
    system: Message | None = None  # compose
    asked: Message | None = None  # compose
    input_ids: Sequence[int] = ()  # fit
    prompt_pictures: Sequence[PreparedPicture] = ()  # fit, in the order of the placeholders
    dropped_rounds: int = 0  # fit
    sampling: Sampling | None = None  # fit
    text: str = ""  # infer
    finish_reason: str = ""  # infer
    logprobs: list[float] = field(default_factory=list)  # infer
    details: dict[str, Any] = field(default_factory=dict)  # infer
    usage: tuple[int, int, int] = (0, 0, 0)  # infer
    first_token_at: float | None = None  # infer
    cached: bool = False  # infer
    answer: Answer | None = None  # judge
