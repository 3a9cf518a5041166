"""A model's own chat template and tokenizer (tokenizers, jinja2's sandbox).

encoder = ModelPrompts.load(card, templates=Path(".../reader/1"), weights=Path(".../weights/reader"))
ids = encoder.encode(messages, language="zh")
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from kefu_gateway.domain.card import CardError, ModelCard
from kefu_gateway.domain.ports import Message


class ModelPrompts:
    """Turns messages into token ids."""

    def __init__(self, tokenizer: Tokenizer, template: str, model: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        self._template = environment.from_string(template)
        self._tokenizer = tokenizer
        self._model = model
        specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        self._specials = re.compile("|".join(re.escape(s) for s in specials)) if specials else None

    @classmethod
    def load(cls, card: ModelCard, *, templates: Path, weights: Path) -> ModelPrompts:
        """Reads the card's template and tokenizer. Raises CardError saying which file is missing, or does not fit."""
        tokenizer_path = weights / card.tokenizer
        template_path = templates / card.chat_template
        for path in (tokenizer_path, template_path):
            if not path.is_file():
                raise CardError(
                    f"model {card.name!r} needs {path}, which is not there; "
                    f"`python -m kefu_modelhost pull {card.name}` fetches what belongs to a model"
                )
        tokenizer = Tokenizer.from_file(str(tokenizer_path))
        if tokenizer.token_to_id(card.placeholder) != card.placeholder_id:
            raise CardError(
                f"model {card.name!r}: the tokenizer does not give {card.placeholder!r} the id {card.placeholder_id}"
            )
        return cls(tokenizer, template_path.read_text(encoding="utf-8"), card.name)

    def encode(self, messages: Sequence[Message], *, language: str) -> list[int]:
        rendered = self._template.render(
            messages=[self._plain(message) for message in messages],
            add_generation_prompt=True,
            language=language,
        )
        ids: list[int] = self._tokenizer.encode(rendered, add_special_tokens=False).ids
        return ids

    def text_of(self, ids: Sequence[int]) -> str:
        """The text whose tokens these are, special ones included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _plain(self, message: Message) -> dict[str, Any]:
        content = [
            {**part, "text": self._disarmed(part["text"])} if part["type"] == "text" else part
            for part in message.content
        ]
        return {"role": message.role, "content": content}

    def _disarmed(self, text: str) -> str:
        """Customers' text cannot speak as the system or pretend to be a picture: a special token in it is broken up."""
        if self._specials is None:
            return text
        return self._specials.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def _raise(message: str) -> None:
    raise TemplateError(message)


def load_cards(folder: Path, names: Sequence[str]) -> Mapping[str, ModelCard]:
    """The cards `folder/<name>/1/model.json`, in the given order; none named: every one there. Raises CardError."""
    if not folder.is_dir():
        raise CardError(
            f"the folder of models {folder} is not there (KEFU_GATEWAY_MODEL_REPOSITORY)"
        )
    found = names or sorted(path.parent.parent.name for path in folder.glob("*/1/model.json"))
    if not found:
        raise CardError(f"there is no model in {folder}")
    cards: dict[str, ModelCard] = {}
    for name in found:
        path = folder / name / "1" / "model.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CardError(f"model {name!r} has no card at {path}") from None
        except ValueError as error:
            raise CardError(f"the card {path} is not JSON: {error}") from None
        card = ModelCard.parse(raw)
        if card.name != name:
            raise CardError(f"the card {path} calls itself {card.name!r}")
        cards[name] = card
    return cards
