"""The client and the command against the real gateway: what the fake one promises is what it does."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu_client import Health, KefuCallError, KefuClient, picture, uploaded
from kefu_client.uploads import CHUNK_BYTES
from tests.fakes.triton import Script
from tests.rpc.client.terminal import CTRL_C, CTRL_D, Window
from tests.rpc.gateway.conftest import House
from tests.rpc.gateway.conftest import house as house

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
async def kefu(house: House) -> AsyncIterator[KefuClient]:
    with KefuClient(house.gateway.address, timeout=60) as client:
        yield client


async def test_a_session_is_remembered_exported_and_deleted(house: House, kefu: KefuClient) -> None:
    def converse() -> None:
        with kefu.converse("s-1") as talk:
            for words in ("多少钱?", "换一张图"):
                request_id = talk.send(picture(PNG + words.encode()), words)
                news = next(each for each in talk if isinstance(each.event, Answer))
                assert news.request_id == request_id
            talk.finish()
            assert list(talk) == []

    def look_back() -> None:
        assert kefu.session("s-1").turns == 2
        turns = list(kefu.turns("s-1", page_size=1))
        assert [(turn.number, turn.chain) for turn in turns] == [(1, 1), (2, 2)]
        sha256 = hashlib.sha256(PNG + "多少钱?".encode()).hexdigest()
        assert turns[0].parts[0].picture_sha256 == sha256
        assert turns[0].answer.text == "299 元"
        exported = json.loads(kefu.export("s-1"))
        assert [turn["parts"][1]["text"] for turn in exported["turns"]] == ["多少钱?", "换一张图"]
        kefu.delete("s-1")
        with pytest.raises(KefuCallError) as caught:
            kefu.session("s-1")
        assert caught.value.reason == "SESSION_NOT_FOUND"

    house.triton.script = Script(["299", " 元"])
    await asyncio.to_thread(converse)
    await asyncio.to_thread(look_back)


async def test_an_upload_is_seen_by_the_model(house: House, kefu: KefuClient) -> None:
    data = PNG + bytes(2 * CHUNK_BYTES)

    def use() -> None:
        status = kefu.upload(data)
        assert status.complete
        assert kefu.upload(data) == status
        assert kefu.ask("多少钱?", uploaded(status.upload_id)).text == "ok"
        with pytest.raises(KefuCallError) as caught:
            kefu.ask("多少钱?", uploaded("u-nobody"))
        assert caught.value.reason == "UPLOAD_NOT_FOUND"

    await asyncio.to_thread(use)
    assert house.triton.seen[-1].pictures == [data]


async def test_health_of_every_part(kefu: KefuClient) -> None:
    for service in (
        "",
        "kefu.dependency.preprocess",
        "kefu.dependency.store",
        "kefu.dependency.model.tiny",
    ):
        assert await asyncio.to_thread(kefu.health, service) is not Health.SERVICE_UNKNOWN


async def test_a_chat_window(house: House, tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    page.write_bytes(PNG)

    async def watch(window: Window, text: str) -> str:
        return await asyncio.to_thread(window.wait_for, text)

    house.triton.script = Script(["很", "久", "以前"], pause_after=2)
    with Window(house.gateway.address, "chat", "--session", "s-1") as window:
        await watch(window, "you> ")
        window.press(f"{page} 讲个故事\n")
        await watch(window, "kefu> 很久")
        await asyncio.to_thread(window.press_until, CTRL_C, "stopped")
        await watch(window, "[1 picture]> ")
        house.triton.script = Script(["299", " 元"])
        window.press("多少钱?\n")
        assert "kefu> 299 元" in await watch(window, "you> ")
        window.press("/session\n")
        # What was stopped is not remembered.
        await watch(window, "session s-1: 1 turn so far")
        await watch(window, "you> ")
        window.press(CTRL_D)
        await watch(window, "kefu chat --session s-1")
        assert await asyncio.to_thread(window.end) == 0
