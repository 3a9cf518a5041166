"""Is the gateway's memory exact? Dialogues of five turns with the reader: does the prompt hold the right rows?

Eight dialogues over the project's sample pictures: pictures that come one by one, questions back to an earlier picture,
new topics, several pictures at once. After each turn the prompt that really reached the model (the answer's `debug`) is
compared with what the conversation should have in it: a row of each picture that belongs, in the order in which they
were sent, and none of a picture that does not. Whether the small model's answer is right is not what this measures.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.common import machine, parser, verdict, write_json
from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc, question_pb2
from tools.house import ROOT, House, Ports

SAMPLES = ROOT / "samples"
# A row that stands on one picture alone, as the OCR reads it: ids and codes.
MARKS = {
    "order": "8-3-2047",
    "refund": "RF202603180457",
    "router": "E-651",
    "parcel": "NW447190823556",
    "invoice": "106.39",
}


@dataclass(frozen=True)
class Turn:
    """What the customer sends, and the pictures that the prompt must then hold, in order."""

    text: str
    send: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()


def dialogue(*steps: tuple[str, str]) -> tuple[Turn, ...]:
    """Turns of (text, pictures to send); "new topic" or 换个话题 in the text forgets what was before."""
    turns: list[Turn] = []
    held: tuple[str, ...] = ()
    for text, names in steps:
        sent = tuple(names.split())
        held = sent if ("new topic" in text or "换个话题" in text) else held + sent
        turns.append(Turn(text, sent, held))
    return tuple(turns)


DIALOGUES = (
    dialogue(
        ("取件码是多少？", "order"),
        ("我实付了多少钱？", ""),
        ("这张呢？售后单号是什么？", "refund"),
        ("第一张的取件码再说一遍？", ""),
        ("退款为什么被拒？", ""),
    ),
    dialogue(
        ("Which error does the router show?", "router"),
        ("What is the firmware version?", ""),
        ("What should I do first?", ""),
        ("And this one, what is the tracking number?", "parcel"),
        ("What was the error on the first picture?", ""),
    ),
    dialogue(
        ("售后单号是什么？", "refund"),
        ("换个话题，取件码是多少？", "order"),
        ("实付多少？", ""),
        ("换个话题，快递单号是多少？", "parcel"),
        ("货到付款多少钱？", ""),
    ),
    dialogue(
        ("Compare these two: which one has a due date?", "invoice parcel"),
        ("What is the total of the invoice?", ""),
        ("What is the tracking number of the parcel?", ""),
        ("Here is another one. Which error is it?", "router"),
        ("When is the invoice due?", ""),
    ),
    dialogue(
        ("你好", ""),
        ("我的订单", "order"),
        ("被拒的退款", "refund"),
        ("两张里哪张有取件码？", ""),
        ("售后单号是什么？", ""),
    ),
    dialogue(
        ("What is the total of this invoice?", "invoice"),
        ("When is it due?", ""),
        ("Now a new topic: which error is shown?", "router"),
        ("What is the firmware version?", ""),
        ("And the tracking number here?", "parcel"),
    ),
    dialogue(
        ("三张图：", "order refund parcel"),
        ("快递单号？", ""),
        ("售后单号？", ""),
        ("取件码？", ""),
        ("再看这张发票，总额多少？", "invoice"),
    ),
    dialogue(
        ("How much is the cash on delivery?", "parcel"),
        ("And this?", "invoice"),
        ("And this?", "router"),
        ("Which was the tracking number?", ""),
        ("What was the total of the invoice?", ""),
    ),
)


def main() -> int:
    made = parser("dialogues", __doc__ or "")
    made.add_argument(
        "--limit", type=int, default=len(DIALOGUES), help="the first so many dialogues"
    )
    options = made.parse_args()
    problems, turns = asyncio.run(_run(options))
    print()
    print(verdict("turns whose prompt held the right rows", turns - problems, turns, most=False))
    write_json(options.json, {"machine": machine(), "turns": turns, "wrong": problems})
    return 0


async def _run(options: argparse.Namespace) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="kefu-dialogues-") as folder:
        environment = {"KEFU_GATEWAY_STATE_DIR": f"{folder}/state"}
        async with House.open(Path(folder) / "run", Ports.free(), environment=environment) as house:
            await house.ready(seconds=180)
            return await hold(house.gateway, DIALOGUES[: options.limit])


async def hold(
    address: str, dialogues: Sequence[tuple[Turn, ...]], model: str = ""
) -> tuple[int, int]:
    """Holds the dialogues; how many turns were wrong, of how many."""
    wrong = turns = 0
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        chat = chat_service_pb2_grpc.ChatServiceStub(channel)
        for number, turn_list in enumerate(dialogues):
            for place, turn in enumerate(turn_list):
                turns += 1
                prompt = await ask(chat, f"dialogue-{number}", turn, model)
                found = list(problems(prompt, turn))
                wrong += bool(found)
                sign = "wrong" if found else "right"
                print(
                    f"{sign}  {number + 1}.{place + 1}  {turn.text}  {'; '.join(found)}", flush=True
                )
    return wrong, turns


async def ask(
    chat: chat_service_pb2_grpc.ChatServiceStub, session: str, turn: Turn, model: str
) -> str:
    """The prompt that the model was shown."""
    pictures = [
        question_pb2.Part(picture=question_pb2.Picture(data=(SAMPLES / f"{name}.png").read_bytes()))
        for name in turn.send
    ]
    question = question_pb2.Question(
        session_id=session,
        model=model,
        parts=[*pictures, question_pb2.Part(text=turn.text)],
        debug=True,
        generation=question_pb2.Generation(max_tokens=48),
    )
    response = await chat.Chat(chat_service_pb2.ChatRequest(question=question), timeout=110)
    prompt: str = response.answer.debug["prompt"]
    return prompt


def problems(prompt: str, turn: Turn) -> Iterator[str]:
    """What is wrong with a prompt, in sentences."""
    # Answers of earlier rounds repeat numbers: only what the pictures say counts, which stands in the user's turns.
    shown = "\n".join(
        part.partition("<|im_end|>")[0]
        for part in prompt.split("<|im_start|>")
        if part.startswith("user")
    )
    # At the default of five rounds all four earlier ones are there.
    places = {name: shown.find(mark) for name, mark in MARKS.items()}
    for name in turn.holds:
        if places[name] < 0:
            yield f"{name} is missing"
    present = [name for name in turn.holds if places[name] >= 0]
    if present != sorted(present, key=places.__getitem__):
        yield f"order is {sorted(present, key=places.__getitem__)}"
    for name in set(MARKS) - set(turn.holds):
        if places[name] >= 0:
            yield f"{name} does not belong"
    if turn.text not in shown:
        yield "the question is missing"


if __name__ == "__main__":
    raise SystemExit(main())
