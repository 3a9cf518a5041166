"""Answers, turns and entries that use every field, for tests of what must come back unchanged."""

from __future__ import annotations

import hashlib

from kefu_gateway.domain.answer import (
    Answer,
    Box,
    Confidence,
    Crop,
    Element,
    Evidence,
    FinishReason,
    Handover,
    PictureReport,
    QualityFinding,
    RuleDecision,
    Size,
    SuggestedAction,
    Usage,
)
from kefu_gateway.domain.session import Entry, KeptPart, KeptTurn

NOW = 1_700_000_000.25


class Clock:
    """Seconds since the epoch, moved by the test alone."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def answer(request_id: str = "r-1", text: str = "订单已发货 ✓") -> Answer:
    row = Evidence(picture=0, text="金额: 158.80", box=Box(1, 2, 30, 40), rounds_back=2)
    return Answer(
        request_id=request_id,
        session_id="s-1",
        text=text,
        finish_reason=FinishReason.STOP,
        model="reader",
        confidence=Confidence(score=0.1 + 0.2, weakest=1e-7, method="token_logprobs"),
        evidence=(row,),
        fields={"amount": "158.80", "count": 3, "big": 2**60, "nested": {"list": [1, None, 2.5]}},
        decisions=(RuleDecision(rule="refund", outcome="ask", reason="多于 100"),),
        action=SuggestedAction(
            type="refund", amount="158.80", currency="CNY", reason="破损", evidence=(row,)
        ),
        risk="medium",
        handover=Handover(reason="rule", note="请人工确认"),
        pictures=(
            PictureReport(
                index=0,
                sha256=sha("picture"),
                media_type="image/png",
                original=Size(1080, 2400),
                prepared=Size(600, 1200),
                original_bytes=300_000,
                prepared_bytes=40_000,
                crop=Crop(top_px=96, confidence=0.93, kind="status_bar"),
                quality=(
                    QualityFinding(
                        kind="dark",
                        severity=0.3,
                        value=41.5,
                        measure="median luma, 0-255",
                        advice="太暗,请重拍",
                    ),
                ),
                steps=("crop", "fit 0.62"),
                elements=(Element(number=1, kind="button", box=Box(0, 0, 10, 10)),),
                milliseconds=12.5,
                cached=True,
            ),
        ),
        usage=Usage(
            prompt_text_tokens=310,
            visual_tokens=128,
            completion_tokens=22,
            history_rounds=2,
            dropped_rounds=1,
        ),
        timings={"admit": 0.1, "infer": 812.25},
        cached=False,
        joined_requests=2,
        debug={"prompt": {"tokens": 438}},
    )


def turn(
    number: int = 1,
    *,
    chain: int = 1,
    request_ids: tuple[str, ...] = ("r-1",),
    pictures: tuple[str, ...] = (),
    text: str = "这张呢?",
    created_at: float | None = None,
) -> KeptTurn:
    parts = [KeptPart(request_id=request_ids[0], text=text)]
    parts += [
        KeptPart(
            request_id=request_ids[-1],
            picture_sha256=sha256,
            media_type="image/png",
            crop_mode="forbid",
        )
        for sha256 in pictures
    ]
    return KeptTurn(
        number=number,
        chain=chain,
        request_ids=request_ids,
        parts=tuple(parts),
        answer=answer(request_ids[-1], f"answer {number}"),
        created_at=NOW + number / 3 if created_at is None else created_at,
    )


def entry(
    request_id: str = "r-1", *, fingerprint: str = "f-1", gateway: str = "g-1", at: float = NOW
) -> Entry:
    return Entry(
        request_id=request_id,
        fingerprint=fingerprint,
        payload=b"\x00question\xff\n" + request_id.encode(),
        arrived_at=at,
        gateway=gateway,
    )
