"""Weights from a model hub: over a real HTTP server that cuts, lies and refuses; nothing wrong is ever recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE

from kefu_common.environment import load
from kefu_modelhost import hub as client
from kefu_modelhost import manifest, repository
from kefu_modelhost.errors import SetupError, WeightsError
from kefu_modelhost.repository import verify
from kefu_modelhost.settings import Settings
from kefu_modelhost.weights import pull
from tests.fakes.checkpoint import checkpoint, hub_card, shard
from tests.fakes.hub import COMMIT, FakeHub
from tests.fixtures.triton import wait_until

Make = Callable[..., Settings]
# What the hub's client hands on at once; less than that is lost with the connection.
CHUNK = DOWNLOAD_CHUNK_SIZE
WEIGHTS = "model-00001-of-00002.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(checkpoint()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def settings(**changes: Any) -> Settings:
        card = hub_card(**changes)
        folder = tmp_path / "models" / card["name"] / "1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text(json.dumps(card))
        return load(
            Settings,
            {
                "KEFU_MODEL_REPOSITORY": str(tmp_path / "models"),
                "KEFU_WEIGHTS_DIR": str(tmp_path / "weights"),
            },
        )

    return settings


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_what_the_card_includes_is_fetched_checked_and_recorded(hub: FakeHub, make: Make) -> None:
    folder = pull("tiny", make())
    assert files(folder) == {n for n in hub.files if "onnx" not in n} | {manifest.NAME}
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    recorded = manifest.read(folder)
    assert recorded is not None
    assert (recorded.repo, recorded.revision) == ("maker/tiny", COMMIT)
    assert verify(folder, make())


def test_a_whole_folder_needs_no_network(
    hub: FakeHub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull("tiny", make())
    asked = len(hub.asked)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    pull("tiny", make())
    assert len(hub.asked) == asked


def test_a_cut_connection_is_continued_where_it_was_cut(hub: FakeHub, make: Make) -> None:
    hub.files = checkpoint(shard_bytes=2 * CHUNK)
    hub.cut_after, hub.cuts = CHUNK + 1000, 1
    folder = pull("tiny", make())
    assert [one.start for one in hub.asked if one.name == WEIGHTS] == [0, CHUNK]
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_killed_pull_goes_on_in_the_next_process(
    hub: FakeHub, make: Make, tmp_path: Path
) -> None:
    """An init container that is killed at 90 % must not begin anew: what came is kept and continued."""
    make()
    command = [sys.executable, "-m", "kefu_modelhost", "pull", "tiny", "--to", str(tmp_path / "w")]
    environment = {**os.environ, "KEFU_MODEL_REPOSITORY": str(tmp_path / "models")}
    hub.files = checkpoint(shard_bytes=3 * CHUNK)
    hub.stall = threading.Event()
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    assert hub.started.wait(30)
    # The bytes are on their way; they count once they are in the file.
    name = hub.asked[-1].name
    part = tmp_path / "w/tiny" / f"{name}.part"
    wait_until(lambda: part.is_file() and part.stat().st_size > 0, 30)
    first.kill()
    first.wait()
    hub.stall.set()
    hub.stall = None
    came = part.stat().st_size
    assert 0 < came <= CHUNK
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [one.start for one in hub.asked if one.name == name] == [0, came]
    # A log gets lines, not a bar's control characters.
    assert "\r" not in done.stderr
    assert f"{name}: 100% of" in done.stderr
    assert (tmp_path / "w/tiny" / name).read_bytes() == hub.files[name]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_other_bytes_than_the_hub_listed_are_refused(hub: FakeHub, make: Make, name: str) -> None:
    """Large files have a SHA-256 at the hub, small ones git's blob name alone: both are checked."""
    hub.corrupt = name
    with pytest.raises(WeightsError, match=rf"{name}.*refused"):
        pull("tiny", make())
    folder = make().weights / "tiny"
    assert not (folder / name).exists()
    assert manifest.read(folder) is None
    # Nothing wrong was kept: once the hub is right, so is the pull.
    hub.corrupt = ""
    pull("tiny", make())


def test_a_revision_that_is_not_there_is_named(hub: FakeHub, make: Make) -> None:
    with pytest.raises(WeightsError, match=r"no revision 'f{40}'.*--revision"):
        pull("tiny", make(weights={"revision": "f" * 40}))


def test_a_card_without_a_pin_asks_for_one(hub: FakeHub, make: Make) -> None:
    settings = make(weights={"revision": ""})
    with pytest.raises(SetupError, match=r"pins no commit.*--revision"):
        pull("tiny", settings)
    folder = pull("tiny", settings, revision="main")
    recorded = manifest.read(folder)
    assert recorded is not None
    assert recorded.revision == COMMIT


def test_a_branch_is_no_pin(make: Make) -> None:
    with pytest.raises(SetupError, match="a branch can move"):
        pull("tiny", make(weights={"revision": "main"}))


def test_a_licence_to_accept_is_told(
    hub: FakeHub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    with pytest.raises(WeightsError, match=r"accept its licence.*HF_TOKEN"):
        pull("tiny", make())
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull("tiny", make())


def test_a_hub_out_of_reach_says_what_else_there_is(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"HF_ENDPOINT.*mount the folder"):
        pull("tiny", make())


def test_no_room_is_told_before_anything_is_fetched(
    hub: FakeHub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_SPARE", 1 << 60)
    with pytest.raises(WeightsError, match=r"GB free and needs .*--to"):
        pull("tiny", make())
    assert hub.asked == []


def test_a_listing_cannot_write_outside_the_folder(hub: FakeHub, make: Make) -> None:
    hub.files = {**hub.files, "../escape.json": b"{}"}
    with pytest.raises(WeightsError, match="leads out of the folder"):
        pull("tiny", make())
    assert hub.asked == []


def test_weights_of_another_architecture_are_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeHub(checkpoint(architectures=["OtherModel"])) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(WeightsError, match=r"is of OtherModel, the card of TinyForTests"):
            pull("tiny", make())
    assert manifest.read(make().weights / "tiny") is None


def test_a_damaged_file_is_found_again(hub: FakeHub, make: Make, tmp_path: Path) -> None:
    folder = pull("tiny", make())
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert not verify(folder.parent, make())
    # Same size, so a pull that looks at sizes alone would leave it: with the manifest gone all bytes are read.
    (folder / manifest.NAME).unlink()
    before = len(hub.asked)
    pull("tiny", make())
    assert [one.name for one in hub.asked[before:]] == [WEIGHTS]
    assert verify(folder.parent, make())


def test_a_folder_on_this_machine_is_adopted(make: Make, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for name, content in checkpoint().items():
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_bytes(content)
    folder = pull("tiny", make(), from_path=mine)
    assert verify(folder, make())
    (mine / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match=rf"{WEIGHTS} is missing"):
        pull("tiny", make(), from_path=mine)


def test_progress_in_a_log_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with client.PlainProgress(total=10_000_000, desc="shard", unit="B", name="x") as shown:
        shown.update(4_000_000)
        shown.update(6_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["  shard:   0% of 10.0 MB", "  shard: 100% of 10.0 MB"]


def test_shards_know_their_own_length(make: Make, tmp_path: Path) -> None:
    """A copy that was cut off has the right name and the right header: only its length tells."""
    mine = tmp_path / "cut"
    mine.mkdir()
    for name, content in checkpoint().items():
        if "/" not in name:
            (mine / name).write_bytes(content)
    (mine / WEIGHTS).write_bytes(shard("w1")[:-100])
    with pytest.raises(WeightsError, match=r"not whole: 3975 bytes, its header says 4075"):
        pull("tiny", make(), from_path=mine)
