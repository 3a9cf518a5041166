"""What a person types or drops onto the terminal: which of it is a picture, and what is the question."""

from __future__ import annotations

from pathlib import Path

import pytest

from kefu_client.cli.attachments import paths_in, take_pictures

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.png", "my order.png", "it's.png", "订单.png"):
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("BMW")
    (tmp_path / "ring.bmp").write_bytes(b"BM1234" + bytes(4))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "pictures", "question"),
    [
        ("a.png", ["a.png"], ""),
        ("  a.png  ", ["a.png"], ""),
        ("my order.png", ["my order.png"], ""),
        ("my\\ order.png", ["my order.png"], ""),
        ("'my order.png' a.png 哪个更新?", ["my order.png", "a.png"], "哪个更新?"),
        ("\"it's.png\" what's this?", ["it's.png"], "what's this?"),
        ("it\\'s.png what's this?", ["it's.png"], "what's this?"),
        ("订单.png  多少钱?", ["订单.png"], "多少钱?"),
        ("ring.bmp", ["ring.bmp"], ""),
        # A name in the middle of a question is a part of the question.
        ("what is a.png", [], "what is a.png"),
        # A file that is no picture, one that is not there, a folder: all of it is text.
        ("notes.txt", [], "notes.txt"),
        ("b.png is missing", [], "b.png is missing"),
        (". why?", [], ". why?"),
        ("what's \"this", [], "what's \"this"),
        ("", [], ""),
        ("\0", [], "\0"),
        ("很" * 5000, [], "很" * 5000),
    ],
)
@pytest.mark.usefixtures("folder")
def test_take_pictures(line: str, pictures: list[str], question: str) -> None:
    assert take_pictures(line) == (pictures, question)


def test_addresses_of_files_and_of_home(folder: Path) -> None:
    address = (folder / "订单.png").as_uri()
    assert "%" in address
    assert take_pictures(f"{address} 多少钱?") == ([f"{folder}/订单.png"], "多少钱?")
    assert take_pictures("~/a.png") == ([f"{folder}/a.png"], "")


@pytest.mark.usefixtures("folder")
def test_behind_a_command_every_word_is_a_path() -> None:
    assert paths_in("a.png 'my order.png' none.png") == ["a.png", "my order.png", "none.png"]
    assert paths_in("my order.png") == ["my order.png"]
    assert paths_in(" ") == []
