"""compose: system prompt, facts and question as the messages of a chat; the rounds between them come from recall."""

from __future__ import annotations

import json

from kefu_gateway.domain.ports import Message
from kefu_gateway.domain.question import TextPart
from kefu_gateway.domain.stages.base import Quiet
from kefu_gateway.domain.turn import Turn

# Asked when a customer sends a picture and not a word.
PICTURE_ALONE = {"zh": "请说明这张图片的主要内容。", "en": "What does this picture say?"}
FACTS = {"zh": "已知信息：", "en": "Known facts: "}


class Compose(Quiet):
    name = "compose"

    async def do(self, turn: Turn) -> None:
        turn.system = Message("system", [{"type": "text", "text": self._system(turn)}])
        turn.asked = self._question(turn)

    def _system(self, turn: Turn) -> str:
        prompts = turn.card.system_prompt
        system = prompts.get(turn.language) or prompts.get("en", "")
        if turn.question.context:
            facts = json.dumps(turn.question.context, ensure_ascii=False, sort_keys=True)
            system = f"{system}\n{FACTS[turn.language]}{facts}"
        return system

    def _question(self, turn: Turn) -> Message:
        content: list[dict[str, str]] = []
        for part in turn.question.parts:
            if isinstance(part, TextPart):
                content.append({"type": "text", "text": part.text})
            else:
                content.append({"type": "image"})
        if not turn.question.text.strip():
            content.append({"type": "text", "text": PICTURE_ALONE[turn.language]})
        return Message("user", content)
