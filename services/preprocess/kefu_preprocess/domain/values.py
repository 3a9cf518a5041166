"""The words of this service: what is asked, what is found, what comes back. Frozen values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MEDIA_TYPE_WEBP = "image/webp"


class CropMode(StrEnum):
    """Whether system bars may be cut."""

    AUTO = "auto"
    FORCE = "force"
    FORBID = "forbid"


class QualityKind(StrEnum):
    """What can be wrong with a picture."""

    BLUR = "blur"
    DARK = "dark"
    GLARE = "glare"
    TOO_SMALL = "too_small"
    CUT_OFF = "cut_off"
    SCREEN_OF_SCREEN = "screen_of_screen"


class ElementKind(StrEnum):
    """What an element of a screen is."""

    TEXT = "text"
    BUTTON = "button"
    ICON = "icon"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a model wants its pictures; the meaning, limits and defaults of kefu.preprocess.v1.Profile."""

    name: str = "default"
    max_pixels: int = 12_000_000
    min_pixels: int = 0
    contrast: float = 1.0
    sharpen: float = 0.0
    # Unsharp mask strength for blurred pictures alone; the stronger of the two is used.
    sharpen_blurred: float = 1.5
    # Most gain for a photo that is too dark; 0 leaves it dark.
    lift_dark: float = 2.0
    clahe: float = 0.0
    webp_quality: int = 85
    # WebP quality for blurred pictures alone; the higher of the two is used.
    webp_quality_blurred: int = 0
    multiple_of: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a picture may be. `max_pixels` counts width × height as sent."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 12_000_000
    # Largest JPEG that `scale_down_oversized` accepts, at the usual 1.5 samples a pixel (4:2:0): libjpeg never holds
    # more than one row of blocks of a baseline file, but a progressive one costs 2 bytes a sample, and 48 MP of those
    # still fit in 400 MB. A file of 3 samples a pixel (4:4:4) may have half as many pixels.
    max_pixels_scaled: int = 48_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One picture and what is wanted of it. `media_type` is what the caller declared, perhaps empty."""

    data: bytes = field(repr=False)
    media_type: str = ""
    profile: Profile = field(default_factory=Profile)
    crop_mode: CropMode = CropMode.AUTO
    find_elements: bool = False
    draw_elements: bool = False
    scale_down_oversized: bool = False
    language: str = "en"
    cache_scope: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright original; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """Rows and columns cut, in pixels of the upright original, and how sure the detector is (0 to 1)."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    confidence: float = 1.0
    kind: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that makes a picture hard to read. `severity` 0 to 1; `measure` says what `value` is, in which unit."""

    kind: QualityKind
    severity: float
    value: float
    measure: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a screen, numbered from 1 in reading order."""

    number: int
    kind: ElementKind
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was done to a picture. Sizes are (width, height) in pixels, the original's after EXIF rotation."""

    media_type: str
    original_size: tuple[int, int]
    prepared_size: tuple[int, int]
    crop: Crop
    quality: tuple[Finding, ...] = ()
    steps: tuple[str, ...] = ()
    elements: tuple[Element, ...] = ()
    # Seconds by step, in the order in which they ran.
    seconds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The prepared picture as WebP, without metadata; `marked` is the copy with numbers on it, or empty."""

    data: bytes = field(repr=False)
    marked: bytes = field(repr=False)
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """A document whose pages are wanted as pictures; the limits and defaults of RenderDocumentRequest."""

    data: bytes = field(repr=False)
    media_type: str = ""
    max_pages: int = 10
    max_pixels: int = 4_000_000
    cache_scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, encoded. `number` counts from 1; `size` is (width, height) in pixels."""

    number: int
    data: bytes = field(repr=False)
    media_type: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The pages of a document in order, and how many it has."""

    pages: tuple[Page, ...]
    total: int
