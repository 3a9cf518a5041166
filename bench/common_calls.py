"""Calls that the gateway benchmark makes, as bytes: what the client itself costs shall not be measured.

The same question goes to the gateway whole, to the gateway streamed, and to Triton directly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc

from bench.common_hop import HOP
from kefu.chat.v1 import chat_service_pb2 as chat
from kefu.chat.v1 import question_pb2
from kefu.media.v1 import picture_pb2
from kefu.preprocess.v1 import preprocess_service_pb2 as prepare
from kefu.preprocess.v1 import preprocess_service_pb2_grpc as prepare_grpc
from kefu_gateway.adapters.preprocess import profile_of
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.adapters.triton import build_request
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import Inference, Message, Sampling

# One call: does it, checks that a whole answer came, and gives the answer's message.
Call = Callable[[int], Awaitable[bytes]]

OPTIONS = [
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]
TEXT = "我的订单什么时候发货？ When will my order be sent?"
_CHAT = "/kefu.chat.v1.ChatService/"
_EOF: Any = vars(grpc.aio)["EOF"]


def text_of(number: int, directive: str = "") -> str:
    """A question that nobody asked before: equal ones would come out of the gateway's answer cache."""
    return f"{directive}{number:08d} {TEXT}"


class Gateway:
    """The public door. `picture`: bytes that go with every question; or a function that makes new ones each time."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        picture: bytes | Callable[[], bytes] = b"",
        *,
        directive: str = "",
        session: bool = False,
    ) -> None:
        raw: Any = channel  # grpc-stubs ask for serialisers; without them bytes go as they are
        self._whole: Any = raw.unary_unary(f"{_CHAT}Chat")
        self._streamed: Any = raw.unary_stream(f"{_CHAT}StreamChat")
        self._picture = picture
        self._directive = directive
        self._session = session

    async def whole(self, number: int) -> bytes:
        # Both requests have the question as their field 1: the same bytes serve both methods.
        answer: bytes = await self._whole(self._request(number), timeout=60)
        return _checked(answer)

    async def streamed(self, number: int) -> bytes:
        last = b""
        async for event in self._streamed(self._request(number), timeout=60):
            last = event
        return _checked(last)

    def _request(self, number: int) -> bytes:
        parts = [question_pb2.Part(text=text_of(number, self._directive))]
        data = self._picture if isinstance(self._picture, bytes) else self._picture()
        if data:
            parts.insert(0, question_pb2.Part(picture=question_pb2.Picture(data=data)))
        question = question_pb2.Question(parts=parts)
        if self._session:
            question.session_id = f"bench-{number}"
        return chat.ChatRequest(question=question).SerializeToString()


class Direct:
    """Triton, with what the gateway would send it."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        card: ModelCard,
        encoder: ModelPrompts,
        picture: bytes = b"",
        *,
        directive: str = "",
    ) -> None:
        raw: Any = channel
        self._call: Any = raw.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        self._card = card
        self._encoder = encoder
        self._pictures = [picture] if picture else []
        self._directive = directive
        self._requests: dict[int, bytes] = {}

    async def ask(self, number: int) -> bytes:
        # Built beforehand where the caller asked for it: composing a prompt is the gateway's work, not Triton's.
        request = self._requests.pop(number, None) or self._request(number)
        return (await self._responses(request))[-1]

    async def record(self, number: int) -> list[bytes]:
        """Every response to one question."""
        return await self._responses(self._request(number))

    async def _responses(self, request: bytes) -> list[bytes]:
        call = self._call(timeout=60)
        await call.write(request)
        await call.done_writing()
        responses: list[bytes] = []
        while (message := await call.read()) is not _EOF:
            responses.append(message)
        if not responses:
            raise RuntimeError("Triton gave no answer")
        return responses

    def build(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._requests[number] = self._request(number)

    def _request(self, number: int) -> bytes:
        content = [{"type": "image"} for _ in self._pictures]
        content.append({"type": "text", "text": text_of(number, self._directive)})
        inference = Inference(
            model=self._card.name,
            input_ids=self._encoder.encode([Message("user", content)], language="zh"),
            pictures=self._pictures,
            sampling=Sampling(max_tokens=self._card.max_tokens, temperature=0, top_p=1),
        )
        request: bytes = build_request(inference).SerializeToString()
        return request


class Sidecar:
    """The sidecar, asked as the gateway asks it, for a picture that it remembers."""

    def __init__(self, channel: grpc.aio.Channel, card: ModelCard, picture: bytes) -> None:
        raw: Any = channel
        self._call: Any = raw.unary_unary("/kefu.preprocess.v1.PreprocessService/Prepare")
        self._request = _to_prepare(card, picture).SerializeToString()

    async def ask(self, _number: int) -> bytes:
        answer: bytes = await self._call(self._request, timeout=60)
        return answer


class Hop:
    """The bare hop; `payload` is as large as a question."""

    def __init__(self, channel: grpc.aio.Channel, payload: bytes) -> None:
        raw: Any = channel
        self._call: Any = raw.unary_unary(HOP)
        self._payload = payload

    async def ask(self, _number: int) -> bytes:
        answer: bytes = await self._call(self._payload, timeout=60)
        return answer


async def prepared(
    channel: grpc.aio.Channel, card: ModelCard, picture: bytes
) -> tuple[bytes, float]:
    """The picture as the model gets it, and the milliseconds that the sidecar took for it."""
    stub = prepare_grpc.PreprocessServiceStub(channel)
    response = await stub.Prepare(_to_prepare(card, picture), timeout=60)
    data: bytes = response.data
    return data, response.report.milliseconds


def _to_prepare(card: ModelCard, picture: bytes) -> prepare.PrepareRequest:
    return prepare.PrepareRequest(
        data=picture,
        profile=profile_of(card),
        crop_mode=picture_pb2.CROP_MODE_AUTO,
        language="zh",
    )


def _checked(answer: bytes) -> bytes:
    # An Answer's message holds the question's own text again: the model echoes it.
    if TEXT.encode() not in answer:
        raise RuntimeError("the answer is not the whole echo of the question")
    return answer
