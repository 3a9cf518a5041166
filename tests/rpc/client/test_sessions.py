"""Remembered conversations: KefuClient's methods and `kefu session`, against a gateway on a real port."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kefu.chat.v1.session_service_pb2 import Turn, TurnPart
from kefu_client import KefuCallError, KefuClient
from tests.fakes.gateway import FakeGateway
from tests.rpc.client.conftest import Kefu

HASH = "3fa9c1d2e4b5" + "0" * 52


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _dialogue() -> list[Turn]:
    first = Turn(number=1, chain=1)
    first.parts.add(picture_sha256=HASH, request_id="r-1")
    first.parts.add(text="多少钱?\n含运费吗?", request_id="r-2")
    first.answer.text = "299 元\n含运费"
    first.answer.confidence.score, first.answer.confidence.method = 0.93, "token_logprobs"
    first.answer.model = "reader"
    first.create_time.seconds = 1_700_000_000
    second = Turn(number=2, chain=1, parts=[TurnPart(text="\x1b[2Jthanks")])
    second.answer.text = "不客气"
    second.answer.handover.reason = "asked_for_person"
    third = Turn(number=3, chain=2, parts=[TurnPart(text="换一张图")])
    third.answer.text = "好的"
    return [first, second, third]


def test_turns_come_page_by_page_in_order(gateway: FakeGateway, client: KefuClient) -> None:
    gateway.sessions["s-1"] = [Turn(number=number) for number in range(1, 8)]
    assert client.session("s-1").turns == 7
    assert [turn.number for turn in client.turns("s-1", page_size=3)] == [1, 2, 3, 4, 5, 6, 7]
    assert [turn.number for turn in client.turns("s-1")] == [1, 2, 3, 4, 5, 6, 7]


def test_export_and_delete(gateway: FakeGateway, client: KefuClient) -> None:
    gateway.sessions["s-1"] = [Turn(number=1)]
    assert json.loads(client.export("s-1")) == {"session_id": "s-1", "题": 1}
    client.delete("s-1")
    client.delete("s-1")
    for call in (client.session, client.export, lambda name: list(client.turns(name))):
        with pytest.raises(KefuCallError) as caught:
            call("s-1")
        assert caught.value.reason == "SESSION_NOT_FOUND"
        assert caught.value.metadata == {"session_id": "s-1"}


@pytest.mark.usefixtures("utc")
def test_show_is_a_tidy_transcript(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.sessions["s-1"] = _dialogue()
    code, out, err = kefu("session", "show", "s-1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "session s-1: 3 turns, 2023-11-14 22:13:20 to 2023-11-14 22:15:00, kept until 2023-11-21 20:53:20",
        "",
        "Topic 1",
        "",
        "  1  2023-11-14 22:13:20",
        "     customer  [picture 3fa9c1d2e4b5]",
        "               多少钱?",
        "               含运费吗?",
        "     kefu      299 元",
        "               含运费",
        "               2 messages answered together · 0.93 sure · reader",
        "",
        "  2  1970-01-01 00:00:00",
        "     customer  \ufffd[2Jthanks",
        "     kefu      不客气",
        "               handed over to a person: asked_for_person",
        "",
        "Topic 2",
        "",
        "  3  1970-01-01 00:00:00",
        "     customer  换一张图",
        "     kefu      好的",
    ]


def test_show_as_json(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.sessions["s-1"] = _dialogue()
    code, out, _ = kefu("session", "show", "--json", "s-1")
    document = json.loads(out)
    assert code == 0
    assert document["session"]["turns"] == 3
    assert document["turns"][0]["parts"][0]["picture_sha256"] == HASH
    assert [turn["chain"] for turn in document["turns"]] == [1, 1, 2]


def test_export_to_stdout_and_to_a_file(gateway: FakeGateway, kefu: Kefu, tmp_path: Path) -> None:
    gateway.sessions["s-1"] = [Turn(number=1)]
    document = '{"session_id":"s-1","题":1}'
    # As it came, without even a line break: what is exported can be compared byte by byte.
    assert kefu("session", "export", "s-1") == (0, document, "")
    path = tmp_path / "s-1.json"
    code, out, _ = kefu("session", "export", "s-1", "--output", str(path))
    assert (code, path.read_text(encoding="utf-8")) == (0, document)
    assert out == f"{len(document.encode())} bytes are in {path}\n"


def test_rm_deletes_each(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.sessions |= {"s-1": [], "s-2": [], "s-3": []}
    assert kefu("session", "rm", "s-1", "s-3", "s-9") == (
        0,
        "deleted s-1\ndeleted s-3\ndeleted s-9\n",
        "",
    )
    assert list(gateway.sessions) == ["s-2"]


@pytest.mark.parametrize("action", ["show", "export"])
def test_a_session_that_is_not_there(gateway: FakeGateway, kefu: Kefu, action: str) -> None:
    code, out, err = kefu("session", action, "s-1")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "kefu: no such session",
        "      (SESSION_NOT_FOUND)",
        "      Nothing was ever written to it, or it was deleted, or its time is over.",
    ]


@pytest.mark.parametrize("arguments", [[], ["show"], ["rm"], ["list"]])
def test_wrong_usage(kefu: Kefu, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        kefu("session", *arguments)
    assert caught.value.code == 2
