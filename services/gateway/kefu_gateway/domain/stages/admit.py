"""admit: limits first, then the quota of the tenant and a place worth the estimated tokens, before any work is done."""

from __future__ import annotations

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Size
from kefu_gateway.domain.question import Limits, check_question, is_document
from kefu_gateway.domain.stages.base import Quiet
from kefu_gateway.domain.turn import Turn


class Admit(Quiet):
    name = "admit"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def do(self, turn: Turn) -> None:
        check_question(turn.question, self._limits)
        pictures = len(turn.question.pictures)
        if pictures > turn.card.max_pictures:
            raise KefuError(
                Reason.TOO_MANY_PICTURES,
                f"the model {turn.card.name!r} accepts at most {turn.card.max_pictures} pictures",
                field="question.parts",
                limit=turn.card.max_pictures,
                got=pictures,
            )
        prompt, answer = estimated_tokens(turn)
        assert turn.account is not None
        await turn.account.admit(
            turn.resources,
            turn.deadline,
            prompt=prompt,
            answer=answer,
            whole=not turn.question.leave_when_closed,
        )


def estimated_tokens(turn: Turn) -> tuple[int, int]:
    """Prompt and answer in tokens, before anything was decoded: a character is taken for a token (Chinese is about
    0.7, English 0.25), and a picture for the most that the model takes of one."""
    card, question = turn.card, turn.question
    pictures = [part for _, part in question.pictures]
    if any(is_document(part.media_type, part.data or b"") for part in pictures):
        # How many pages a document has is known only when it is opened: it is taken for the most that it may have.
        count = card.max_pictures
    else:
        count = len(pictures)
    side = max(1, int(card.preprocess.max_pixels**0.5))
    answer = question.generation.max_tokens or card.max_tokens
    return len(question.text) + count * card.visual_tokens(Size(side, side)), answer
