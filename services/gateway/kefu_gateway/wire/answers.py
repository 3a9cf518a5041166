"""Answers and events between the domain and the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from kefu.chat.v1 import answer_pb2 as pb
from kefu.chat.v1 import chat_service_pb2
from kefu_gateway.domain.answer import (
    Answer,
    Confidence,
    Delta,
    Event,
    Evidence,
    FinishReason,
    Handover,
    PictureReady,
    RuleDecision,
    SuggestedAction,
    Usage,
)
from kefu_gateway.wire.pictures import (
    box_from_proto,
    box_to_proto,
    report_from_proto,
    report_to_proto,
)

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
_FINISH_WORDS = {number: reason for reason, number in _FINISH.items()}
_RISK_WORDS = {number: word for word, number in _RISK.items()}


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


def answer_from_proto(message: pb.Answer) -> Answer:
    """The answer that another gateway sent. What protobuf rounds stays rounded: probabilities have 32 bits, and whole
    numbers inside `fields` and `debug` come back as floats (`wire/transcripts.py` keeps them exactly). Raises
    ValueError for an answer that no gateway sends: without a finish reason, or with one that is not known."""
    if message.finish_reason not in _FINISH_WORDS or message.risk not in _RISK_WORDS:
        raise ValueError("the answer has an unknown finish reason or risk")
    confidence, usage = message.confidence, message.usage
    return Answer(
        request_id=message.request_id,
        session_id=message.session_id,
        text=message.text,
        finish_reason=_FINISH_WORDS[message.finish_reason],
        model=message.model,
        confidence=Confidence(
            score=confidence.score, weakest=confidence.weakest, method=confidence.method
        ),
        evidence=_evidence_from(message.evidence),
        fields=json_format.MessageToDict(message.fields),
        decisions=tuple(
            RuleDecision(rule=said.rule, outcome=said.outcome, reason=said.reason)
            for said in message.decisions
        ),
        action=_action_from(message.action) if message.HasField("action") else None,
        risk=_RISK_WORDS[message.risk],
        handover=Handover(reason=message.handover.reason, note=message.handover.note)
        if message.HasField("handover")
        else None,
        pictures=tuple(report_from_proto(report) for report in message.pictures),
        usage=Usage(
            prompt_text_tokens=usage.prompt_text_tokens,
            visual_tokens=usage.visual_tokens,
            completion_tokens=usage.completion_tokens,
            history_rounds=usage.history_rounds,
            dropped_rounds=usage.dropped_rounds,
        ),
        timings={timing.stage: timing.milliseconds for timing in message.timings},
        cached=message.cached,
        joined_requests=message.joined_requests,
        debug=json_format.MessageToDict(message.debug),
    )


def _evidence_from(rows: Iterable[pb.Evidence]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            picture=row.picture,
            text=row.text,
            box=box_from_proto(row.box),
            rounds_back=row.rounds_back,
        )
        for row in rows
    )


def _action_from(action: pb.SuggestedAction) -> SuggestedAction:
    return SuggestedAction(
        type=action.type,
        amount=action.amount,
        currency=action.currency,
        reason=action.reason,
        evidence=_evidence_from(action.evidence),
    )


def _evidence(row: Evidence) -> pb.Evidence:
    return pb.Evidence(
        picture=row.picture,
        text=row.text,
        box=box_to_proto(row.box),
        rounds_back=row.rounds_back,
    )


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
