"""Questions that need eyes: damage, colours, objects, faces, looks.

The reader sees text and nothing else.  A question about how something looks is not passed to the language model, which
would make an answer up, unless the page has words about just that (`颜色: 白色`, `Reason: damaged on arrival`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engines.reader.text import normal

# Each kind of question, and the words on a page that can answer it.
_KINDS: tuple[tuple[str, str], ...] = (
    (
        r"什么颜?色|啥色|颜色|色差|\bcolou?rs?\b|\b(?:red|blue|green|black|white|yellow|pink|purple) or\b",
        r"颜色|[黑白红蓝绿黄灰紫粉橙棕金银]色|\bcolou?r\b|\b(?:red|blue|green|black|white|yellow|pink|purple|grey|gray|silver|gold)\b",
    ),
    (
        r"破损|损坏|坏了|破了|裂|碎|划痕|刮花|变形|凹|掉漆|磨损|污渍|脏|生锈|漏液|漏水"
        r"|\b(?:damage\w*|broken|crack\w*|scratch\w*|dent\w*|torn|bent|stain\w*|rust\w*|leak\w*|shatter\w*|smashed|defect\w*)\b",
        r"破损|损坏|裂|碎|划痕|变形|磨损|污渍|漏|损毁"
        r"|\b(?:damage\w*|broken|crack\w*|scratch\w*|dent\w*|torn|stain\w*|leak\w*|defect\w*)\b",
    ),
    (
        r"长什么样|什么样子|外观|看起来|看上去|像什么|好看|新旧|真的还是假|是真是假|正品吗|假货|是不是正品"
        r"|\blooks? like\b|\blook (?:new|old|real|fake|ok|good|bad)\b|\bappearance\b|\b(?:genuine|counterfeit|fake)\b",
        r"外观|成色|正品|\bappearance\b|\bcondition\b|\bgenuine\b",
    ),
    (
        r"(?:图|照片|画面|图片)(?:片)?(?:里|中|上)?(?:有|是)(?:什么|几|多少|谁|哪些)(?!.{0,6}(?:字|号|码|时间|金额|信息|原因|内容|提示|错误))"
        r"|拍的是什么|这是什么(?:东西|物品|动物|植物|花|车|牌子|商品|衣服|产品)?[？?]?$|几个人|什么动物|谁在|穿着|图标|标志|什么形状|多大尺寸"
        r"|\bwhat(?:'s| is| do you see| can you see) in (?:the|this|my) (?:picture|photo|image)\b"
        r"|\bwhat (?:object|animal|person|product|thing|item|brand)s? (?:is|are)\b|\bhow many (?:people|persons|objects|items) (?:are )?(?:in|visible)\b"
        r"|\bdescribe (?:the|this|my) (?:picture|photo|image|object)\b|\bwho is (?:in|this)\b|\bwhat shape\b|\blogo\b|\bwearing\b",
        r"(?!)",
    ),
)


def needs_eyes(question: str, rows: Sequence[str]) -> bool:
    """True for a question about looks that no row has words for."""
    asked = normal(question)
    for asks, answers in _KINDS:
        if re.search(asks, asked, re.IGNORECASE):
            return not any(re.search(answers, normal(row), re.IGNORECASE) for row in rows)
    return False
