from kefu.media.v1 import picture_pb2 as _picture_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Profile(_message.Message):
    __slots__ = ("name", "max_pixels", "min_pixels", "contrast", "sharpen", "clahe", "webp_quality", "multiple_of", "sharpen_blurred", "lift_dark", "webp_quality_blurred")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MIN_PIXELS_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    SHARPEN_FIELD_NUMBER: _ClassVar[int]
    CLAHE_FIELD_NUMBER: _ClassVar[int]
    WEBP_QUALITY_FIELD_NUMBER: _ClassVar[int]
    MULTIPLE_OF_FIELD_NUMBER: _ClassVar[int]
    SHARPEN_BLURRED_FIELD_NUMBER: _ClassVar[int]
    LIFT_DARK_FIELD_NUMBER: _ClassVar[int]
    WEBP_QUALITY_BLURRED_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_pixels: int
    min_pixels: int
    contrast: float
    sharpen: float
    clahe: float
    webp_quality: int
    multiple_of: int
    sharpen_blurred: float
    lift_dark: float
    webp_quality_blurred: int
    def __init__(self, name: _Optional[str] = ..., max_pixels: _Optional[int] = ..., min_pixels: _Optional[int] = ..., contrast: _Optional[float] = ..., sharpen: _Optional[float] = ..., clahe: _Optional[float] = ..., webp_quality: _Optional[int] = ..., multiple_of: _Optional[int] = ..., sharpen_blurred: _Optional[float] = ..., lift_dark: _Optional[float] = ..., webp_quality_blurred: _Optional[int] = ...) -> None: ...

class PrepareRequest(_message.Message):
    __slots__ = ("data", "media_type", "profile", "crop_mode", "find_elements", "draw_elements", "scale_down_oversized", "language", "cache_scope")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    CROP_MODE_FIELD_NUMBER: _ClassVar[int]
    FIND_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    DRAW_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    SCALE_DOWN_OVERSIZED_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CACHE_SCOPE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    media_type: str
    profile: Profile
    crop_mode: _picture_pb2.CropMode
    find_elements: bool
    draw_elements: bool
    scale_down_oversized: bool
    language: str
    cache_scope: str
    def __init__(self, data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., profile: _Optional[_Union[Profile, _Mapping]] = ..., crop_mode: _Optional[_Union[_picture_pb2.CropMode, str]] = ..., find_elements: _Optional[bool] = ..., draw_elements: _Optional[bool] = ..., scale_down_oversized: _Optional[bool] = ..., language: _Optional[str] = ..., cache_scope: _Optional[str] = ...) -> None: ...

class PrepareResponse(_message.Message):
    __slots__ = ("data", "media_type", "report", "marked")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    MARKED_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    media_type: str
    report: _picture_pb2.PictureReport
    marked: bytes
    def __init__(self, data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., report: _Optional[_Union[_picture_pb2.PictureReport, _Mapping]] = ..., marked: _Optional[bytes] = ...) -> None: ...

class RenderDocumentRequest(_message.Message):
    __slots__ = ("data", "media_type", "max_pages", "max_pixels", "cache_scope")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    MAX_PAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    CACHE_SCOPE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    media_type: str
    max_pages: int
    max_pixels: int
    cache_scope: str
    def __init__(self, data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., max_pages: _Optional[int] = ..., max_pixels: _Optional[int] = ..., cache_scope: _Optional[str] = ...) -> None: ...

class RenderedPage(_message.Message):
    __slots__ = ("page", "data", "media_type", "size")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    page: int
    data: bytes
    media_type: str
    size: _picture_pb2.PictureSize
    def __init__(self, page: _Optional[int] = ..., data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., size: _Optional[_Union[_picture_pb2.PictureSize, _Mapping]] = ...) -> None: ...

class RenderDocumentResponse(_message.Message):
    __slots__ = ("pages", "total_pages")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[RenderedPage]
    total_pages: int
    def __init__(self, pages: _Optional[_Iterable[_Union[RenderedPage, _Mapping]]] = ..., total_pages: _Optional[int] = ...) -> None: ...
