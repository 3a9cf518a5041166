"""What is told about an answer below its text: pictures, evidence, how sure, what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from kefu.chat.v1.answer_pb2 import Answer, Evidence, FinishReason, RiskLevel
from kefu.media.v1.picture_pb2 import Crop, Element, ElementKind, PictureReport, PictureSize
from kefu_client.cli.console import Console, inline
from kefu_client.cli.table import table


def report(answer: Answer, names: Sequence[str], console: Console) -> list[str]:
    """The lines of the report. `names` are the files given, in order."""
    names = _picture_names(answer.pictures, names)
    sections: list[tuple[str, list[str]]] = [
        ("Pictures", _pictures(answer.pictures, names, console)),
        ("Evidence", _evidence(answer.evidence, names)),
        ("Fields", _fields(answer)),
        ("Rules", _rules(answer)),
        ("Answer", _answer(answer, console)),
        ("Timings", _timings(answer)),
        ("Debug", _debug(answer)),
    ]
    lines: list[str] = []
    for title, body in sections:
        if body:
            lines.append("")
            lines.append(console.bold(title))
            lines += [f"  {line}" for line in body]
    return lines


def remarks(answer: Answer, names: Sequence[str], console: Console) -> list[str]:
    """The few lines below an answer in a chat: what a person should see, then how sure, how much, how long."""
    names = _picture_names(answer.pictures, names)
    lines = [
        console.warn(inline(f"{_name(each.index, names)}: {finding.advice}"))
        for each in answer.pictures
        for finding in each.quality
    ]
    if answer.finish_reason == FinishReason.FINISH_REASON_LENGTH:
        lines.append(console.warn("cut: the limit of tokens was reached"))
    if answer.HasField("handover"):
        lines.append(console.warn(inline(_handover(answer))))
    told = []
    if answer.confidence.method not in ("", "none"):
        told.append(f"{answer.confidence.score:.2f} sure")
    if answer.joined_requests > 1:
        told.append(f"{answer.joined_requests} messages answered together")
    if answer.usage.dropped_rounds:
        told.append(f"{answer.usage.dropped_rounds} earlier rounds left out")
    seconds = sum(each.milliseconds for each in answer.timings) / 1000
    if seconds:
        told.append(f"{seconds:.1f} s")
    if told:
        lines.append(console.dim(" · ".join([*told, "/report tells more"])))
    return lines


def _pictures(
    reports: Iterable[PictureReport], names: Sequence[str], console: Console
) -> list[str]:
    reports = list(reports)
    if not reports:
        return []
    head = ["picture", "as sent", "", "to the model", "", "cut off", "time"]
    rows = [_picture_row(each, names) for each in reports]
    lines = table([head, *rows], align="<>>>><>")
    body = [console.dim(lines[0])]
    for line, each in zip(lines[1:], reports, strict=True):
        body.append(line)
        body += [
            "  " + console.warn(inline(f"{finding.advice} ({finding.severity:.0%} bad)"))
            for finding in each.quality
        ]
        body += ["  " + _element(element) for element in each.elements]
    return body


def _picture_row(each: PictureReport, names: Sequence[str]) -> list[str]:
    return [
        _name(each.index, names),
        _size(each.original),
        _bytes(each.original_bytes),
        _size(each.prepared),
        _bytes(each.prepared_bytes),
        _crop(each.crop),
        "cached" if each.cached else f"{each.milliseconds:.1f} ms",
    ]


def _name(index: int, names: Sequence[str]) -> str:
    return inline(names[index]) if index < len(names) else f"picture {index}"


def _picture_names(reports: Sequence[PictureReport], files: Sequence[str]) -> Sequence[str]:
    """A name for each picture: its file's, and where a document became several pictures, its page."""
    if not any(each.document for each in reports):
        return files
    names: list[str] = []
    given = 0
    document = 0
    for each in reports:
        # A document's first page takes the next file; the pages behind it are of the same one.
        if not each.document or each.document != document:
            given += 1
        document = each.document
        if given > len(files):
            break
        name = files[given - 1]
        names.append(f"{name} p. {each.page}" if each.page else name)
    return names


def _place(row: Evidence, names: Sequence[str]) -> str:
    """The picture that a row stands on; those of earlier rounds have no name here."""
    if not row.rounds_back:
        return _name(row.picture, names)
    back = "the round before" if row.rounds_back == 1 else f"{row.rounds_back} rounds before"
    return f"picture {row.picture} of {back}"


def _size(size: PictureSize) -> str:
    return f"{size.width}×{size.height}"


def _bytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _crop(crop: Crop) -> str:
    sides = [
        f"{pixels} px {side}"
        for side, pixels in (
            ("top", crop.top_px),
            ("bottom", crop.bottom_px),
            ("left", crop.left_px),
            ("right", crop.right_px),
        )
        if pixels
    ]
    what = ", ".join(sides) or "nothing"
    return f"{what} ({crop.kind or 'none'}, {crop.confidence:.0%} sure)"


def _element(element: Element) -> str:
    kind = ElementKind.Name(element.kind).removeprefix("ELEMENT_KIND_").lower()
    box = element.box
    return f"{element.number}: {kind} at {box.left},{box.top} to {box.right},{box.bottom}"


def _evidence(rows: Iterable[Evidence], names: Sequence[str]) -> list[str]:
    cells = []
    for row in rows:
        box = row.box
        place = (
            f"at {box.left},{box.top} to {box.right},{box.bottom}" if row.HasField("box") else ""
        )
        cells.append([_place(row, names), inline(row.text), place])
    return table(cells)


def _rules(answer: Answer) -> list[str]:
    rows = [[each.rule, each.outcome, each.reason] for each in answer.decisions]
    if answer.HasField("action"):
        action = answer.action
        amount = f"{action.amount} {action.currency}".strip()
        rows.append(["suggested", f"{action.type} {amount}".strip(), action.reason])
    if answer.risk != RiskLevel.RISK_LEVEL_UNSPECIFIED:
        rows.append(["risk", RiskLevel.Name(answer.risk).removeprefix("RISK_LEVEL_").lower(), ""])
    return table([[inline(cell) for cell in row] for row in rows])


def _answer(answer: Answer, console: Console) -> list[str]:
    rows = [["confidence", _confidence(answer)]]
    if answer.finish_reason == FinishReason.FINISH_REASON_LENGTH:
        rows.append(["cut", console.warn("the limit of tokens was reached (--max-tokens)")])
    if answer.HasField("handover"):
        rows.append(["hand-over", console.warn(inline(_handover(answer)))])
    rows.append(["tokens", _usage(answer)])
    rows.append(["model", answer.model + (", from the cache" if answer.cached else "")])
    if answer.joined_requests > 1:
        rows.append(["joined", f"{answer.joined_requests} requests got this one answer"])
    if answer.session_id:
        rows.append(["session", answer.session_id])
    rows.append(["request", answer.request_id])
    return table(rows)


def _handover(answer: Answer) -> str:
    return f"to a person: {answer.handover.reason}. {answer.handover.note}"


def _confidence(answer: Answer) -> str:
    confidence = answer.confidence
    if confidence.method in ("", "none"):
        return "unknown"
    return f"{confidence.score:.2f}, weakest token {confidence.weakest:.2f} ({confidence.method})"


def _usage(answer: Answer) -> str:
    usage = answer.usage
    text = (
        f"{usage.prompt_text_tokens} text + {usage.visual_tokens} visual → "
        f"{usage.completion_tokens} answer"
    )
    if usage.history_rounds or usage.dropped_rounds:
        text += f"; {usage.history_rounds} earlier rounds, {usage.dropped_rounds} left out"
    return text


def _timings(answer: Answer) -> list[str]:
    if not answer.timings:
        return []
    rows = [[each.stage, f"{each.milliseconds:,.1f} ms"] for each in answer.timings]
    total = sum(each.milliseconds for each in answer.timings)
    return table([*rows, ["together", f"{total:,.1f} ms"]], align="<>")


def _fields(answer: Answer) -> list[str]:
    fields = sorted(MessageToDict(answer.fields).items())
    return table([[inline(name), inline(_plain(value))] for name, value in fields])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _debug(answer: Answer) -> list[str]:
    if not answer.HasField("debug"):
        return []
    return json.dumps(MessageToDict(answer.debug), ensure_ascii=False, indent=2).splitlines()
