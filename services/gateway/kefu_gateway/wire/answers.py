"""Answers and events from the domain to the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from kefu.chat.v1 import answer_pb2 as pb
from kefu.chat.v1 import chat_service_pb2
from kefu_gateway.domain.answer import (
    Answer,
    Delta,
    Event,
    Evidence,
    FinishReason,
    PictureReady,
    SuggestedAction,
)
from kefu_gateway.wire.pictures import box_to_proto, report_to_proto

_FINISH = {
    FinishReason.STOP: pb.FINISH_REASON_STOP,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
    FinishReason.CANCELLED: pb.FINISH_REASON_CANCELLED,
}
_RISK = {
    "": pb.RISK_LEVEL_UNSPECIFIED,
    "low": pb.RISK_LEVEL_LOW,
    "medium": pb.RISK_LEVEL_MEDIUM,
    "high": pb.RISK_LEVEL_HIGH,
}


def event_to_proto(event: Event) -> chat_service_pb2.StreamChatResponse:
    match event:
        case PictureReady(report):
            return chat_service_pb2.StreamChatResponse(picture=report_to_proto(report))
        case Delta(text, tokens):
            delta = chat_service_pb2.Delta(text=text, tokens=tokens)
            return chat_service_pb2.StreamChatResponse(delta=delta)
        case _:
            return chat_service_pb2.StreamChatResponse(answer=answer_to_proto(event.answer))


def answer_to_proto(answer: Answer) -> pb.Answer:
    message = pb.Answer(
        request_id=answer.request_id,
        session_id=answer.session_id,
        text=answer.text,
        finish_reason=_FINISH[answer.finish_reason],
        confidence=pb.Confidence(
            score=answer.confidence.score,
            weakest=answer.confidence.weakest,
            method=answer.confidence.method,
        ),
        evidence=[_evidence(row) for row in answer.evidence],
        decisions=[
            pb.RuleDecision(rule=said.rule, outcome=said.outcome, reason=said.reason)
            for said in answer.decisions
        ],
        risk=_RISK[answer.risk],
        pictures=[report_to_proto(report) for report in answer.pictures],
        usage=pb.Usage(
            prompt_text_tokens=answer.usage.prompt_text_tokens,
            visual_tokens=answer.usage.visual_tokens,
            completion_tokens=answer.usage.completion_tokens,
            history_rounds=answer.usage.history_rounds,
            dropped_rounds=answer.usage.dropped_rounds,
        ),
        timings=[
            pb.StageTiming(stage=stage, milliseconds=milliseconds)
            for stage, milliseconds in answer.timings.items()
        ],
        model=answer.model,
        cached=answer.cached,
        joined_requests=answer.joined_requests,
    )
    if answer.fields:
        message.fields.CopyFrom(_struct(answer.fields))
    if answer.debug:
        message.debug.CopyFrom(_struct(answer.debug))
    if answer.action is not None:
        message.action.CopyFrom(_action(answer.action))
    if answer.handover is not None:
        message.handover.reason = answer.handover.reason
        message.handover.note = answer.handover.note
    return message


def _evidence(row: Evidence) -> pb.Evidence:
    return pb.Evidence(picture=row.picture, text=row.text, box=box_to_proto(row.box))


def _action(action: SuggestedAction) -> pb.SuggestedAction:
    return pb.SuggestedAction(
        type=action.type,
        amount=action.amount,
        currency=action.currency,
        reason=action.reason,
        evidence=[_evidence(row) for row in action.evidence],
    )


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(values), struct_pb2.Struct())
