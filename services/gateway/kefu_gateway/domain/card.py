"""A model's card: what `deploy/triton_models/<model>/1/model.json` says, checked once at start.

card = ModelCard.parse(json.loads(text))
card.visual_tokens(Size(1080, 2400))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Size
from kefu_gateway.domain.visual_tokens import VisualTokenRule, parse_rule


class CardError(Exception):
    """A card that cannot be used; the sentence names the model and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessProfile:
    """How the model wants its pictures. None: the sidecar's default."""

    name: str
    max_pixels: int
    min_pixels: int
    contrast: float | None
    sharpen: float | None
    sharpen_blurred: float | None
    lift_dark: float | None
    clahe: float | None
    webp_quality: int | None
    webp_quality_blurred: int | None
    multiple_of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingExtras:
    """What a model's publisher recommends beside temperature and top-p; its card says it, callers do not.

    Tokens are drawn among the `top_k` most probable ones (0: all) that are at least `min_p` times as probable as the
    best (0: all). `repetition_penalty` (1: none) makes less probable what prompt and answer have, `presence_penalty`
    (0: none) what the answer has.
    """

    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0

    def settings(self) -> dict[str, float]:
        """Those that are not off, under the names that all engines share."""
        found = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, off) in found.items() if value != off}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What the gateway must know of a model to talk to it."""

    name: str
    engine: str
    description: str
    licence: str
    sees: tuple[str, ...]
    tokenizer: str
    chat_template: str
    context_tokens: int
    max_pictures: int
    placeholder: str
    placeholder_id: int
    # What stands for a picture in a prompt that an engine gets as text; mostly the placeholder itself.
    engine_text: str
    visual: VisualTokenRule
    preprocess: PreprocessProfile
    system_prompt: Mapping[str, str]
    temperature: float
    top_p: float
    max_tokens: int
    sampling_extras: SamplingExtras = SamplingExtras()
    # Answers whose confidence is below this, 0 to 1, are handed over to a person; measured per model, 0: never.
    handover_below: float = 0.0

    def visual_tokens(self, size: Size) -> int:
        """Tokens of a prepared picture of `size` pixels."""
        return self.visual.tokens(size)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> ModelCard:
        """Checks and reads a card. Raises CardError."""
        name = str(raw.get("name", "?"))
        try:
            picture = raw["picture"]
            tokens = picture["tokens"]
            preprocess = raw.get("preprocess", {})
            sampling = raw.get("sampling", {})
            return cls(
                name=raw["name"],
                engine=raw["engine"],
                description=raw["description"],
                licence=raw["licence"],
                sees=tuple(raw["sees"]),
                tokenizer=raw["tokenizer"],
                chat_template=raw["chat_template"],
                context_tokens=int(raw["context_tokens"]),
                max_pictures=int(raw["max_pictures"]),
                placeholder=picture["placeholder"],
                placeholder_id=int(picture["placeholder_id"]),
                engine_text=str(picture.get("engine_text") or picture["placeholder"]),
                visual=_rule(name, tokens),
                preprocess=PreprocessProfile(
                    name=preprocess.get("profile", name),
                    max_pixels=int(picture["max_pixels"]),
                    min_pixels=int(picture.get("min_pixels", 0)),
                    contrast=preprocess.get("contrast"),
                    sharpen=preprocess.get("sharpen"),
                    sharpen_blurred=preprocess.get("sharpen_blurred"),
                    lift_dark=preprocess.get("lift_dark"),
                    clahe=preprocess.get("clahe"),
                    webp_quality=preprocess.get("webp_quality"),
                    webp_quality_blurred=preprocess.get("webp_quality_blurred"),
                    multiple_of=int(preprocess.get("multiple_of", 1)),
                ),
                system_prompt=dict(raw.get("system_prompt", {})),
                temperature=float(sampling.get("temperature", 0.25)),
                top_p=float(sampling.get("top_p", 1.0)),
                max_tokens=int(sampling.get("max_tokens", 256)),
                sampling_extras=_extras(name, sampling),
                handover_below=float(raw.get("handover_below", 0.0)),
            )
        except KeyError as error:
            raise CardError(f"the card of model {name!r} lacks {error.args[0]!r}") from None
        except (TypeError, ValueError) as error:
            raise CardError(
                f"the card of model {name!r} has a value of the wrong kind: {error}"
            ) from None


# As the backend has them (`sampling.py`): a card outside of these would fail at every question.
_RANGES = {
    "top_k": (0, 1 << 24),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.1, 10.0),
    "presence_penalty": (-2.0, 2.0),
}


def _extras(name: str, sampling: Mapping[str, Any]) -> SamplingExtras:
    found: dict[str, Any] = {}
    for key, (low, high) in _RANGES.items():
        if key in sampling:
            found[key] = type(low)(sampling[key])
            if not low <= found[key] <= high:
                raise CardError(
                    f"the card of model {name!r} has sampling.{key} {sampling[key]}: not between {low} and {high}"
                )
    return SamplingExtras(**found)


def _rule(name: str, tokens: Mapping[str, Any]) -> VisualTokenRule:
    try:
        return parse_rule(tokens)
    except KeyError:
        raise
    except LookupError as error:
        raise CardError(
            f"the card of model {name!r} has the unknown visual-token rule {error.args[0]!r}"
        ) from None


def find_card(cards: Mapping[str, ModelCard], name: str, default: str) -> ModelCard:
    """The card of that name, of the default model where none is given. Raises KefuError(MODEL_UNKNOWN)."""
    card = cards.get(name or default)
    if card is None:
        raise KefuError(
            Reason.MODEL_UNKNOWN,
            f"no model of this name is hosted; there are: {', '.join(cards)}",
            model=name,
            hosted=",".join(cards),
        )
    return card
