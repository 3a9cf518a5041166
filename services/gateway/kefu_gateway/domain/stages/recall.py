"""recall: the last rounds of the session, with their pictures, so that "the first one" can be answered."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kefu_gateway.domain.pictures import PictureShelf
from kefu_gateway.domain.ports import Message, PreparedPicture
from kefu_gateway.domain.question import CropMode, PicturePart
from kefu_gateway.domain.session import KeptPart, KeptTurn, SessionStore
from kefu_gateway.domain.stages.base import Quiet
from kefu_gateway.domain.stages.compose import PICTURE_ALONE
from kefu_gateway.domain.turn import Round, Turn

# A new topic starts a new chain: what was said before would only mislead the model. Whole phrases, because a customer
# who writes "换一张" about a coupon does not change the topic.
_NEW_TOPIC = re.compile(
    r"换一?张图|换一?个(话题|问题)|(新|另一个|另外一个)(话题|问题)|重新开始"
    r"|\b(new|another|different) (topic|question|subject|picture)\b|\bstart over\b",
    re.IGNORECASE,
)


class Recall(Quiet):
    name = "recall"

    def __init__(self, store: SessionStore, shelf: PictureShelf, *, rounds: int) -> None:
        """`rounds`: the most earlier rounds that a prompt holds."""
        self._store = store
        self._shelf = shelf
        self._rounds = rounds

    async def do(self, turn: Turn) -> None:
        claim = turn.claim
        if claim is None or not claim.keep_turn:
            return
        session = await self._store.session(claim.key)
        if session is None:
            return
        turn.number = session.turns + 1
        turn.chain = session.chain + starts_new_topic(turn.question.text)
        if turn.chain == session.chain and self._rounds:
            kept = await self._store.recent(claim.key, chain=turn.chain, limit=self._rounds)
            turn.rounds = [await self._round(turn, one) for one in kept]

    async def _round(self, turn: Turn, kept: KeptTurn) -> Round:
        content: list[dict[str, str]] = []
        pictures: list[PreparedPicture] = []
        for part in kept.parts:
            if part.picture_sha256:
                content.append({"type": "image"})
                pictures.append(await self._picture(turn, part))
            else:
                content.append({"type": "text", "text": part.text})
        if all(part.picture_sha256 for part in kept.parts):
            content.append({"type": "text", "text": PICTURE_ALONE[turn.language]})
        answer = [{"type": "text", "text": kept.answer.text}]
        return Round(
            question=Message("user", content),
            answer=Message("assistant", answer),
            pictures=pictures,
        )

    async def _picture(self, turn: Turn, part: KeptPart) -> PreparedPicture:
        known = PicturePart(
            sha256=part.picture_sha256,
            media_type=part.media_type,
            crop_mode=CropMode(part.crop_mode),
        )
        return await self._shelf.fetch(
            turn.question.tenant,
            known,
            turn.card,
            language=turn.language,
            timeout=turn.deadline.check(self.name),
        )


def starts_new_topic(text: str) -> bool:
    """Whether the customer says that what follows has nothing to do with what was before."""
    return _NEW_TOPIC.search(text) is not None


def pictures_of(rounds: Sequence[Round]) -> list[PreparedPicture]:
    """The pictures of rounds, in the order of the prompt."""
    return [picture for one in rounds for picture in one.pictures]
