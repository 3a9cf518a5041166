"""judge: how sure the model was, which rows it rests on, and whether a person should take over."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kefu_gateway.domain.answer import (
    Answer,
    Box,
    Confidence,
    Evidence,
    FinishReason,
    Handover,
    Usage,
)
from kefu_gateway.domain.artefacts import Artefacts
from kefu_gateway.domain.stages.base import Quiet
from kefu_gateway.domain.turn import Turn

# The engine's reason: ours (as the API documents it), and a sentence for the person who takes over.
_HANDOVERS = {
    "visual_question": (
        "cannot_see",
        "the model reads text only and was asked about something else",
    ),
    "no_text": ("cannot_see", "the model reads text only and found none on the picture"),
    "unverified": ("unverified", "the answer could not be verified against what the picture says"),
    "low_confidence": ("low_confidence", "the picture was hard to read where the answer stands"),
}


class Judge(Quiet):
    name = "judge"

    def __init__(self, artefacts: Artefacts) -> None:
        self._artefacts = artefacts

    async def do(self, turn: Turn) -> None:
        question = turn.question
        debug = turn.details.get("debug", {}) if question.debug else {}
        confidence = confidence_of(turn.logprobs)
        text_tokens, visual_tokens, completion_tokens = turn.usage
        turn.answer = Answer(
            request_id=question.request_id,
            session_id=question.session_id,
            text=turn.text,
            finish_reason=FinishReason(turn.finish_reason or FinishReason.STOP),
            model=turn.card.name,
            confidence=confidence,
            evidence=evidence_of(turn),
            handover=handover_of(turn, confidence),
            pictures=[picture.report for picture in turn.pictures],
            usage=Usage(
                prompt_text_tokens=text_tokens,
                visual_tokens=visual_tokens,
                completion_tokens=completion_tokens,
                history_rounds=len(turn.rounds),
                dropped_rounds=turn.dropped_rounds,
            ),
            cached=turn.cached,
            joined_requests=1 if turn.claim is None else len(turn.claim.request_ids),
            debug=await self._artefacts.keep(question.tenant, debug),
        )


def confidence_of(logprobs: Sequence[float]) -> Confidence:
    """exp(mean log p), length-normalised sequence likelihood (Malinin and Gales, arXiv:2002.07650)."""
    if not logprobs:
        return Confidence()
    return Confidence(
        score=math.exp(sum(logprobs) / len(logprobs)),
        weakest=math.exp(min(logprobs)),
        method="token_logprobs",
    )


def evidence_of(turn: Turn) -> list[Evidence]:
    """The rows that the engine names, their boxes moved from the prepared to the original picture."""
    # The prompt shows the rounds' pictures first, then the turn's own.
    places = [
        (len(turn.rounds) - number, index)
        for number, one in enumerate(turn.rounds)
        for index in range(len(one.pictures))
    ]
    places += [(0, index) for index in range(len(turn.pictures))]
    found = []
    for row in turn.details.get("evidence", ()):
        rounds_back, index = places[row["picture"]]
        report = turn.prompt_pictures[row["picture"]].report
        box = Box(*(round(value) for value in row["box"]))
        found.append(
            Evidence(
                picture=index,
                rounds_back=rounds_back,
                text=row["text"],
                box=report.to_original(box),
            )
        )
    return found


def handover_of(turn: Turn, confidence: Confidence) -> Handover | None:
    """A person should take over where the engine says so, or where the model was less sure than its card asks for."""
    said = str(turn.details.get("handover") or "")
    unsure = confidence.method != "none" and confidence.score < turn.card.handover_below
    if not said and unsure:
        return Handover(
            reason="low_confidence",
            note=f"the model was {confidence.score:.0%} sure; {turn.card.handover_below:.0%} are asked for",
        )
    if not said:
        return None
    reason, note = _HANDOVERS.get(said, (said, said))
    return Handover(reason=reason, note=note)
