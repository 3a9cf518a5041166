"""What to tell the person who sent a picture, for each fault, in the languages that the service speaks."""

from __future__ import annotations

from kefu_preprocess.domain.values import QualityKind

# A screenshot inside a picture is a screen of a screen as well, and another thing to do.
INNER_SCREEN = "inner_screen"

_ADVICE: dict[str, dict[str, str]] = {
    QualityKind.BLUR: {
        "en": "The picture is blurred: hold the camera still, let it focus and send it again.",
        "zh": "图片有些模糊：请拿稳手机、对好焦后重新拍一张。",
    },
    QualityKind.DARK: {
        "en": "The picture is dark: raise the screen's brightness or turn on a light and send it again.",
        "zh": "图片太暗：请调高屏幕亮度或在光线充足处重新拍一张。",
    },
    QualityKind.GLARE: {
        "en": "A reflection hides a part: tilt the camera or move the light and send it again.",
        "zh": "图片有反光，遮住了部分内容：请换个角度避开光源后重新拍一张。",
    },
    QualityKind.TOO_SMALL: {
        "en": "The picture is too small to read: send the original instead of a thumbnail.",
        "zh": "图片太小，看不清内容：请发送原图，不要发缩略图。",
    },
    QualityKind.CUT_OFF: {
        "en": "Text runs over the edge, so something is probably missing: send the whole page.",
        "zh": "内容超出了图片边缘，可能不完整：请发送完整的页面。",
    },
    QualityKind.SCREEN_OF_SCREEN: {
        "en": "This looks like a photo of a screen: a screenshot is easier to read.",
        "zh": "这像是对着屏幕拍的照片：请直接发送截图，会更清楚。",
    },
    INNER_SCREEN: {
        "en": "This shows a screenshot inside another picture: send the original screenshot itself.",
        "zh": "这张图里套着另一张截图：请直接发送原来的那张截图，文字会更清楚。",
    },
}


def advice_for(kind: str, language: str) -> str:
    """A whole sentence for a QualityKind or INNER_SCREEN; `language` is BCP 47 ("zh-CN", "en"), and English stands in
    for one that is not known."""
    known = _ADVICE[kind]
    primary = language.partition("-")[0].partition("_")[0].lower()
    return known.get(primary, known["en"])
