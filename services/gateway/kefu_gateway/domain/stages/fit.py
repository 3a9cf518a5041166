"""fit: tokenise with the model's own tokenizer; drop the oldest rounds until prompt and answer fit the context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.ports import Message, PreparedPicture, PromptEncoder, Sampling
from kefu_gateway.domain.stages.base import Quiet
from kefu_gateway.domain.stages.recall import pictures_of
from kefu_gateway.domain.turn import Round, Turn

# An answer of fewer tokens than this is of no use: better to say that the prompt is too long.
LEAST_ANSWER_TOKENS = 16


class Fit(Quiet):
    name = "fit"

    def __init__(self, encoders: Mapping[str, PromptEncoder]) -> None:
        """`encoders`: one a model, by name."""
        self._encoders = encoders

    async def do(self, turn: Turn) -> None:
        card = turn.card
        wanted = turn.question.generation.max_tokens or card.max_tokens
        rounds = list(turn.rounds)
        while True:
            pictures = [*pictures_of(rounds), *turn.pictures]
            ids = self._encode(turn, rounds)
            prompt = prompt_tokens(turn, ids, pictures)
            # The answer is worth as much as history: with rounds to drop it gets all that it asked for.
            if prompt + wanted <= card.context_tokens and len(pictures) <= card.max_pictures:
                break
            if not rounds:
                break
            rounds.pop(0)
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
        turn.dropped_rounds = len(turn.rounds) - len(rounds)
        turn.rounds = rounds
        turn.input_ids = ids
        turn.prompt_pictures = pictures
        turn.sampling = self._sampling(turn, min(wanted, room))

    def _encode(self, turn: Turn, rounds: Sequence[Round]) -> list[int]:
        assert turn.system is not None
        assert turn.asked is not None
        messages: list[Message] = [turn.system]
        for one in rounds:
            messages += (one.question, one.answer)
        messages.append(turn.asked)
        return self._encoders[turn.card.name].encode(messages, language=turn.language)

    def _sampling(self, turn: Turn, max_tokens: int) -> Sampling:
        asked, card = turn.question.generation, turn.card
        return Sampling(
            max_tokens=max_tokens,
            temperature=card.temperature if asked.temperature is None else asked.temperature,
            top_p=card.top_p if asked.top_p is None else asked.top_p,
            seed=asked.seed,
            stop=asked.stop,
            json_schema=asked.json_schema,
            extras=card.sampling_extras,
        )


def prompt_tokens(turn: Turn, ids: Sequence[int], pictures: Sequence[PreparedPicture]) -> int:
    """Tokens that the model will see: each picture's placeholder gives way to the picture's own tokens."""
    visual = sum(turn.card.visual_tokens(picture.report.prepared) for picture in pictures)
    return len(ids) - len(pictures) + visual
