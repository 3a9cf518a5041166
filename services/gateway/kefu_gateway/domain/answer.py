"""What comes back: events on the way, and the whole answer at the end. Values only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels; left and top inclusive, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """What was cut off, in pixels of the original; `kind` is one of a few fixed words."""

    top_px: int = 0
    bottom_px: int = 0
    left_px: int = 0
    right_px: int = 0
    confidence: float = 0.0
    kind: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFinding:
    """`kind`: blur, dark, glare, too_small, cut_off, screen_of_screen. `severity`: 0 to 1."""

    kind: str
    severity: float
    value: float
    measure: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a screen. `kind`: text, button, icon, picture."""

    number: int
    kind: str
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureReport:
    """What happened to one picture. Sizes in pixels and bytes, time in milliseconds.

    `page` of the turn's `document`, both from 1, where it is a page of one; else 0.
    """

    index: int
    sha256: str
    media_type: str
    original: Size
    prepared: Size
    original_bytes: int
    prepared_bytes: int
    crop: Crop = field(default_factory=Crop)
    quality: Sequence[QualityFinding] = ()
    steps: Sequence[str] = ()
    elements: Sequence[Element] = ()
    milliseconds: float = 0.0
    cached: bool = False
    page: int = 0
    document: int = 0

    def to_original(self, box: Box) -> Box:
        """A box of the prepared picture in pixels of the original: un-scaled, then moved by what was cut off."""
        kept_width = max(1, self.original.width - self.crop.left_px - self.crop.right_px)
        kept_height = max(1, self.original.height - self.crop.top_px - self.crop.bottom_px)
        x = kept_width / max(1, self.prepared.width)
        y = kept_height / max(1, self.prepared.height)
        return Box(
            left=self.crop.left_px + math.floor(box.left * x),
            top=self.crop.top_px + math.floor(box.top * y),
            right=self.crop.left_px + min(kept_width, math.ceil(box.right * x)),
            bottom=self.crop.top_px + min(kept_height, math.ceil(box.bottom * y)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A row of text that supports the answer; `box` in pixels of the original picture.

    `picture` counts from 0 within its turn; `rounds_back`: 0 this turn, 1 the round before.
    """

    picture: int
    text: str
    box: Box
    rounds_back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """exp(mean log p) of the answer's tokens, and the least p of any; method "none" where unknown."""

    score: float = 0.0
    weakest: float = 0.0
    method: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDecision:
    rule: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedAction:
    """`amount` is a decimal string, `currency` ISO 4217; both may be empty."""

    type: str
    amount: str = ""
    currency: str = ""
    reason: str = ""
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A person should take over. `reason` is a fixed word, `note` a sentence for that person."""

    reason: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, and rounds of history."""

    prompt_text_tokens: int = 0
    visual_tokens: int = 0
    completion_tokens: int = 0
    history_rounds: int = 0
    dropped_rounds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The whole answer to one question. `timings`: milliseconds by stage, in the order of the road."""

    request_id: str
    text: str
    finish_reason: FinishReason
    model: str
    session_id: str = ""
    confidence: Confidence = field(default_factory=Confidence)
    evidence: Sequence[Evidence] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    decisions: Sequence[RuleDecision] = ()
    action: SuggestedAction | None = None
    risk: str = ""
    handover: Handover | None = None
    pictures: Sequence[PictureReport] = ()
    usage: Usage = field(default_factory=Usage)
    timings: Mapping[str, float] = field(default_factory=dict)
    cached: bool = False
    joined_requests: int = 1
    debug: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PictureReady:
    """A picture was prepared."""

    report: PictureReport


@dataclass(frozen=True, slots=True)
class Delta:
    """The answer goes on: text of whole characters, and how many tokens it took."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer; always the last event."""

    answer: Answer


Event = PictureReady | Delta | Answered
