from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CropMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CROP_MODE_UNSPECIFIED: _ClassVar[CropMode]
    CROP_MODE_AUTO: _ClassVar[CropMode]
    CROP_MODE_FORCE: _ClassVar[CropMode]
    CROP_MODE_FORBID: _ClassVar[CropMode]

class QualityKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUALITY_KIND_UNSPECIFIED: _ClassVar[QualityKind]
    QUALITY_KIND_BLUR: _ClassVar[QualityKind]
    QUALITY_KIND_DARK: _ClassVar[QualityKind]
    QUALITY_KIND_GLARE: _ClassVar[QualityKind]
    QUALITY_KIND_TOO_SMALL: _ClassVar[QualityKind]
    QUALITY_KIND_CUT_OFF: _ClassVar[QualityKind]
    QUALITY_KIND_SCREEN_OF_SCREEN: _ClassVar[QualityKind]

class ElementKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ELEMENT_KIND_UNSPECIFIED: _ClassVar[ElementKind]
    ELEMENT_KIND_TEXT: _ClassVar[ElementKind]
    ELEMENT_KIND_BUTTON: _ClassVar[ElementKind]
    ELEMENT_KIND_ICON: _ClassVar[ElementKind]
    ELEMENT_KIND_PICTURE: _ClassVar[ElementKind]
CROP_MODE_UNSPECIFIED: CropMode
CROP_MODE_AUTO: CropMode
CROP_MODE_FORCE: CropMode
CROP_MODE_FORBID: CropMode
QUALITY_KIND_UNSPECIFIED: QualityKind
QUALITY_KIND_BLUR: QualityKind
QUALITY_KIND_DARK: QualityKind
QUALITY_KIND_GLARE: QualityKind
QUALITY_KIND_TOO_SMALL: QualityKind
QUALITY_KIND_CUT_OFF: QualityKind
QUALITY_KIND_SCREEN_OF_SCREEN: QualityKind
ELEMENT_KIND_UNSPECIFIED: ElementKind
ELEMENT_KIND_TEXT: ElementKind
ELEMENT_KIND_BUTTON: ElementKind
ELEMENT_KIND_ICON: ElementKind
ELEMENT_KIND_PICTURE: ElementKind

class PictureSize(_message.Message):
    __slots__ = ("width", "height")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: int
    top: int
    right: int
    bottom: int
    def __init__(self, left: _Optional[int] = ..., top: _Optional[int] = ..., right: _Optional[int] = ..., bottom: _Optional[int] = ...) -> None: ...

class Crop(_message.Message):
    __slots__ = ("top_px", "bottom_px", "left_px", "right_px", "confidence", "kind")
    TOP_PX_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_PX_FIELD_NUMBER: _ClassVar[int]
    LEFT_PX_FIELD_NUMBER: _ClassVar[int]
    RIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    top_px: int
    bottom_px: int
    left_px: int
    right_px: int
    confidence: float
    kind: str
    def __init__(self, top_px: _Optional[int] = ..., bottom_px: _Optional[int] = ..., left_px: _Optional[int] = ..., right_px: _Optional[int] = ..., confidence: _Optional[float] = ..., kind: _Optional[str] = ...) -> None: ...

class QualityFinding(_message.Message):
    __slots__ = ("kind", "severity", "value", "measure", "advice")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    kind: QualityKind
    severity: float
    value: float
    measure: str
    advice: str
    def __init__(self, kind: _Optional[_Union[QualityKind, str]] = ..., severity: _Optional[float] = ..., value: _Optional[float] = ..., measure: _Optional[str] = ..., advice: _Optional[str] = ...) -> None: ...

class Element(_message.Message):
    __slots__ = ("number", "kind", "box")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: ElementKind
    box: Box
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[_Union[ElementKind, str]] = ..., box: _Optional[_Union[Box, _Mapping]] = ...) -> None: ...

class PictureReport(_message.Message):
    __slots__ = ("index", "sha256", "media_type", "original", "prepared", "original_bytes", "prepared_bytes", "crop", "quality", "steps", "elements", "milliseconds", "cached", "page", "document")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    PREPARED_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    PREPARED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CROP_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    index: int
    sha256: str
    media_type: str
    original: PictureSize
    prepared: PictureSize
    original_bytes: int
    prepared_bytes: int
    crop: Crop
    quality: _containers.RepeatedCompositeFieldContainer[QualityFinding]
    steps: _containers.RepeatedScalarFieldContainer[str]
    elements: _containers.RepeatedCompositeFieldContainer[Element]
    milliseconds: float
    cached: bool
    page: int
    document: int
    def __init__(self, index: _Optional[int] = ..., sha256: _Optional[str] = ..., media_type: _Optional[str] = ..., original: _Optional[_Union[PictureSize, _Mapping]] = ..., prepared: _Optional[_Union[PictureSize, _Mapping]] = ..., original_bytes: _Optional[int] = ..., prepared_bytes: _Optional[int] = ..., crop: _Optional[_Union[Crop, _Mapping]] = ..., quality: _Optional[_Iterable[_Union[QualityFinding, _Mapping]]] = ..., steps: _Optional[_Iterable[str]] = ..., elements: _Optional[_Iterable[_Union[Element, _Mapping]]] = ..., milliseconds: _Optional[float] = ..., cached: _Optional[bool] = ..., page: _Optional[int] = ..., document: _Optional[int] = ...) -> None: ...
