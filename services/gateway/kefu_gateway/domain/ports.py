"""What the domain needs from outside, as Protocols; `adapters/` implements them, `app.py` puts them together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kefu_gateway.domain.answer import Answer, PictureReport
from kefu_gateway.domain.card import ModelCard, SamplingExtras
from kefu_gateway.domain.question import PicturePart


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPicture:
    """Encoded bytes as the model receives them, and the report of how they came about.

    `id`: the same for equal bytes sent and prepared alike, so that nobody needs to hash the prepared bytes again.
    """

    data: bytes
    report: PictureReport
    id: str = ""


class PicturePreparer(Protocol):
    """The sidecar."""

    async def prepare(
        self,
        picture: PicturePart,
        data: bytes,
        card: ModelCard,
        *,
        tenant: str,
        language: str,
        timeout: float,
    ) -> PreparedPicture:
        """Prepares one picture within `timeout` seconds; what is remembered of it serves its tenant alone.

        Raises KefuError whose field is "data" or "media_type"."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPage:
    """A page of a document as an encoded picture; `number` counts from 1."""

    number: int
    data: bytes
    media_type: str


class DocumentRenderer(Protocol):
    """The sidecar."""

    async def render(
        self,
        data: bytes,
        media_type: str,
        *,
        tenant: str,
        max_pages: int,
        max_pixels: int,
        timeout: float,
    ) -> Sequence[RenderedPage]:
        """Every page of a document in order, each of at most `max_pixels`. The same document gives the same bytes; what
        is remembered of it serves its tenant alone.
        Raises KefuError whose field is "data" or "media_type"; TOO_MANY_PICTURES where it has more than `max_pages`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings of one inference, complete: nothing is left to a default."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: str = ""
    extras: SamplingExtras = SamplingExtras()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """One request to the model host: token ids with one placeholder a picture, and the encoded pictures in order.

    `streamed`: somebody reads along; else the answer may come in few, large chunks.
    """

    model: str
    input_ids: Sequence[int]
    pictures: Sequence[bytes]
    # The pictures' ids, in the same order: equal ids are equal bytes.
    picture_ids: Sequence[str] = ()
    sampling: Sampling
    tenant: str = ""
    debug: bool = False
    streamed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChunk:
    """What one response of the model host brings. `finish_reason` is empty until the last one.

    `logprobs`: natural logarithms, one a token id. `details` and `usage` (prompt text, visual, completion tokens) come
    with the last chunk. `cached`: an earlier equal question's answer.
    """

    token_ids: Sequence[int] = ()
    text: str = ""
    logprobs: Sequence[float] = ()
    finish_reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    usage: tuple[int, int, int] = (0, 0, 0)
    cached: bool = False


class ModelHost(Protocol):
    """NVIDIA Triton, or what speaks its protocol."""

    def infer(self, inference: Inference, *, timeout: float) -> AsyncGenerator[TokenChunk, None]:
        """Streams the answer. Closing the iterator cancels the work in the host. Raises KefuError:
        MODEL_SERVER_UNAVAILABLE, MODEL_NOT_READY, DEADLINE_EXCEEDED, PROMPT_TOO_LONG, SCHEMA_INVALID, INTERNAL."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, in the shape that chat templates expect."""

    role: str
    content: Sequence[Mapping[str, str]]


class PromptEncoder(Protocol):
    """A model's own chat template and tokenizer."""

    def encode(self, messages: Sequence[Message], *, language: str) -> list[int]:
        """Token ids of the rendered chat, ready for the answer to begin; one placeholder a picture. Text of the
        messages is never read as a special token."""
        ...


class Telemetry(Protocol):
    """Where the road's figures go. Seconds and counts; never an id."""

    def stage(self, name: str, seconds: float) -> None: ...

    def question(self, outcome: str) -> None:
        """A question came to its end: "answered", "cancelled" by its caller, or the reason why it failed."""
        ...

    def turn(self, answer: Answer) -> None:
        """A turn was answered; `answer` is what all its requests receive."""
        ...

    def first_token(self, model: str, seconds: float) -> None: ...

    def answered(
        self, model: str, seconds: float, after_first: float, usage: Mapping[str, int]
    ) -> None: ...
