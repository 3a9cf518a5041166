from google.protobuf import struct_pb2 as _struct_pb2
from kefu.media.v1 import picture_pb2 as _picture_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_CANCELLED: _ClassVar[FinishReason]

class RiskLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_LEVEL_UNSPECIFIED: _ClassVar[RiskLevel]
    RISK_LEVEL_LOW: _ClassVar[RiskLevel]
    RISK_LEVEL_MEDIUM: _ClassVar[RiskLevel]
    RISK_LEVEL_HIGH: _ClassVar[RiskLevel]
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_CANCELLED: FinishReason
RISK_LEVEL_UNSPECIFIED: RiskLevel
RISK_LEVEL_LOW: RiskLevel
RISK_LEVEL_MEDIUM: RiskLevel
RISK_LEVEL_HIGH: RiskLevel

class Answer(_message.Message):
    __slots__ = ("request_id", "session_id", "text", "finish_reason", "confidence", "evidence", "fields", "decisions", "action", "risk", "handover", "pictures", "usage", "timings", "model", "cached", "joined_requests", "debug")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    HANDOVER_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    JOINED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    DEBUG_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    session_id: str
    text: str
    finish_reason: FinishReason
    confidence: Confidence
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    fields: _struct_pb2.Struct
    decisions: _containers.RepeatedCompositeFieldContainer[RuleDecision]
    action: SuggestedAction
    risk: RiskLevel
    handover: Handover
    pictures: _containers.RepeatedCompositeFieldContainer[_picture_pb2.PictureReport]
    usage: Usage
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    model: str
    cached: bool
    joined_requests: int
    debug: _struct_pb2.Struct
    def __init__(self, request_id: _Optional[str] = ..., session_id: _Optional[str] = ..., text: _Optional[str] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., confidence: _Optional[_Union[Confidence, _Mapping]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., fields: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., decisions: _Optional[_Iterable[_Union[RuleDecision, _Mapping]]] = ..., action: _Optional[_Union[SuggestedAction, _Mapping]] = ..., risk: _Optional[_Union[RiskLevel, str]] = ..., handover: _Optional[_Union[Handover, _Mapping]] = ..., pictures: _Optional[_Iterable[_Union[_picture_pb2.PictureReport, _Mapping]]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]] = ..., model: _Optional[str] = ..., cached: _Optional[bool] = ..., joined_requests: _Optional[int] = ..., debug: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Confidence(_message.Message):
    __slots__ = ("score", "weakest", "method")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    WEAKEST_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    score: float
    weakest: float
    method: str
    def __init__(self, score: _Optional[float] = ..., weakest: _Optional[float] = ..., method: _Optional[str] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("picture", "text", "box", "rounds_back")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_BACK_FIELD_NUMBER: _ClassVar[int]
    picture: int
    text: str
    box: _picture_pb2.Box
    rounds_back: int
    def __init__(self, picture: _Optional[int] = ..., text: _Optional[str] = ..., box: _Optional[_Union[_picture_pb2.Box, _Mapping]] = ..., rounds_back: _Optional[int] = ...) -> None: ...

class RuleDecision(_message.Message):
    __slots__ = ("rule", "outcome", "reason")
    RULE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rule: str
    outcome: str
    reason: str
    def __init__(self, rule: _Optional[str] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SuggestedAction(_message.Message):
    __slots__ = ("type", "amount", "currency", "reason", "evidence")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    type: str
    amount: str
    currency: str
    reason: str
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    def __init__(self, type: _Optional[str] = ..., amount: _Optional[str] = ..., currency: _Optional[str] = ..., reason: _Optional[str] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ...) -> None: ...

class Handover(_message.Message):
    __slots__ = ("reason", "note")
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    note: str
    def __init__(self, reason: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("prompt_text_tokens", "visual_tokens", "completion_tokens", "history_rounds", "dropped_rounds")
    PROMPT_TEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    VISUAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    prompt_text_tokens: int
    visual_tokens: int
    completion_tokens: int
    history_rounds: int
    dropped_rounds: int
    def __init__(self, prompt_text_tokens: _Optional[int] = ..., visual_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., history_rounds: _Optional[int] = ..., dropped_rounds: _Optional[int] = ...) -> None: ...

class StageTiming(_message.Message):
    __slots__ = ("stage", "milliseconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    milliseconds: float
    def __init__(self, stage: _Optional[str] = ..., milliseconds: _Optional[float] = ...) -> None: ...
