"""What the reader says in its own words, in the customer's language.

These sentences are not written by the model.  They are short and plain: what could not be done, and what to do now.
"""

from __future__ import annotations


def cannot_see(chinese: bool) -> str:
    if chinese:
        return "我只能读取图片中的文字，看不到外观、破损、颜色或物品，无法判断这个问题。需要由人工客服查看图片。"
    return (
        "I can only read the text in a picture. I cannot see damage, colours or objects, so I cannot judge this."
        " A person needs to look at the picture."
    )


def no_text(chinese: bool) -> str:
    if chinese:
        return "图片中没有可读的文字，我无法从中得到信息。请上传更清晰的图片，或由人工客服查看。"
    return (
        "There is no readable text in the picture, so I cannot tell. Please send a clearer picture, or let a person"
        " look at it."
    )


def state(yes: bool, row: str, chinese: bool) -> str:
    if chinese:
        return f"{'是的' if yes else '没有'}，图片上写着：{row}"
    return f"{'Yes' if yes else 'No'}. The picture says: {row}"


def not_said(chinese: bool) -> str:
    if chinese:
        return "图片中没有说明这一点，需要由人工客服核实。"
    return "The picture does not say this. A person needs to check."


def only_says(row: str, chinese: bool) -> str:
    if chinese:
        return f"图片上只写着：{row}。是否如此需要人工客服核实。"
    return f"The picture only says: {row}. A person needs to check the rest."


def unverified(chinese: bool, begun: bool) -> str:
    if chinese:
        return ("……" if begun else "") + "这部分在图片上核对不到，需要由人工客服确认。"
    return ("... " if begun else "") + "I cannot find this in the picture; a person needs to check."


def hard_to_read(row: str, chinese: bool) -> str:
    if chinese:
        return f"（图片此处不太清晰，请核对：{row}）"
    return f" (This part of the picture is hard to read, please check: {row})"


def empty_page(chinese: bool) -> str:
    return "（没有文字）" if chinese else "(no text)"
