from kefu.chat.v1 import answer_pb2 as _answer_pb2
from kefu.chat.v1 import question_pb2 as _question_pb2
from kefu.media.v1 import picture_pb2 as _picture_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChatRequest(_message.Message):
    __slots__ = ("question",)
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    question: _question_pb2.Question
    def __init__(self, question: _Optional[_Union[_question_pb2.Question, _Mapping]] = ...) -> None: ...

class ChatResponse(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: _answer_pb2.Answer
    def __init__(self, answer: _Optional[_Union[_answer_pb2.Answer, _Mapping]] = ...) -> None: ...

class StreamChatRequest(_message.Message):
    __slots__ = ("question",)
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    question: _question_pb2.Question
    def __init__(self, question: _Optional[_Union[_question_pb2.Question, _Mapping]] = ...) -> None: ...

class StreamChatResponse(_message.Message):
    __slots__ = ("picture", "delta", "answer")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    picture: _picture_pb2.PictureReport
    delta: Delta
    answer: _answer_pb2.Answer
    def __init__(self, picture: _Optional[_Union[_picture_pb2.PictureReport, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., answer: _Optional[_Union[_answer_pb2.Answer, _Mapping]] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("text", "tokens")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    text: str
    tokens: int
    def __init__(self, text: _Optional[str] = ..., tokens: _Optional[int] = ...) -> None: ...

class ConverseRequest(_message.Message):
    __slots__ = ("start", "question", "cancel")
    START_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    start: ConverseStart
    question: _question_pb2.Question
    cancel: ConverseCancel
    def __init__(self, start: _Optional[_Union[ConverseStart, _Mapping]] = ..., question: _Optional[_Union[_question_pb2.Question, _Mapping]] = ..., cancel: _Optional[_Union[ConverseCancel, _Mapping]] = ...) -> None: ...

class ConverseStart(_message.Message):
    __slots__ = ("session_id", "resume_request_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resume_request_id: str
    def __init__(self, session_id: _Optional[str] = ..., resume_request_id: _Optional[str] = ...) -> None: ...

class ConverseCancel(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class ConverseResponse(_message.Message):
    __slots__ = ("request_id", "picture", "delta", "answer", "error", "keep_alive")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    picture: _picture_pb2.PictureReport
    delta: Delta
    answer: _answer_pb2.Answer
    error: ConverseError
    keep_alive: KeepAlive
    def __init__(self, request_id: _Optional[str] = ..., picture: _Optional[_Union[_picture_pb2.PictureReport, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., answer: _Optional[_Union[_answer_pb2.Answer, _Mapping]] = ..., error: _Optional[_Union[ConverseError, _Mapping]] = ..., keep_alive: _Optional[_Union[KeepAlive, _Mapping]] = ...) -> None: ...

class ConverseError(_message.Message):
    __slots__ = ("reason", "message", "metadata", "retry_milliseconds")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RETRY_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    metadata: _containers.ScalarMap[str, str]
    retry_milliseconds: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., retry_milliseconds: _Optional[int] = ...) -> None: ...

class KeepAlive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
