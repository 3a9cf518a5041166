"""fit: tokenise with the model's own tokenizer, and make prompt and answer fit the context."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Event
from kefu_gateway.domain.ports import PromptEncoder, Sampling
from kefu_gateway.domain.turn import Turn

# An answer of fewer tokens than this is of no use: better to say that the prompt is too long.
LEAST_ANSWER_TOKENS = 16


class Fit:
    name = "fit"

    def __init__(self, encoders: Mapping[str, PromptEncoder]) -> None:
        """`encoders`: one a model, by name."""
        self._encoders = encoders

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        card = turn.card
        ids = self._encoders[card.name].encode(turn.messages, language=turn.language)
        visual = sum(card.visual_tokens(picture.report.prepared) for picture in turn.pictures)
        prompt = len(ids) - len(turn.pictures) + visual
        wanted = turn.question.generation.max_tokens or card.max_tokens
        room = card.context_tokens - prompt
        if room < min(LEAST_ANSWER_TOKENS, wanted):
            raise KefuError(
                Reason.PROMPT_TOO_LONG,
                f"the question takes {prompt} tokens; the context of {card.name!r} is {card.context_tokens}",
                field="question.parts",
                limit=card.context_tokens,
                got=prompt,
                unit="tokens",
            )
        turn.input_ids = ids
        turn.prompt_pictures = turn.pictures
        turn.sampling = self._sampling(turn, min(wanted, room))
        return
        yield

    def _sampling(self, turn: Turn, max_tokens: int) -> Sampling:
        asked, card = turn.question.generation, turn.card
        return Sampling(
            max_tokens=max_tokens,
            temperature=card.temperature if asked.temperature is None else asked.temperature,
            top_p=card.top_p if asked.top_p is None else asked.top_p,
            seed=asked.seed,
            stop=asked.stop,
            json_schema=asked.json_schema,
        )
