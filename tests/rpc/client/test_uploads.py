"""Uploads: KefuClient.upload and `kefu upload`, against a gateway on a real port."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu_client import InputError, KefuCallError, KefuClient, uploaded
from kefu_client.uploads import CHUNK_BYTES, UPLOAD_BYTES
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway
from tests.rpc.client.conftest import Kefu
from tests.rpc.client.terminal import Window

PNG = b"\x89PNG\r\n\x1a\n"
CUT = grpc.StatusCode.UNAVAILABLE


def _picture(chunks: float) -> bytes:
    """So many chunks long, and no two chunks alike."""
    size = int(chunks * CHUNK_BYTES)
    return (PNG + b"".join(index.to_bytes(4, "big") for index in range(size // 4)))[:size]


def test_a_file_arrives_whole_and_is_used_by_its_id(
    gateway: FakeGateway, client: KefuClient, tmp_path: Path
) -> None:
    data = _picture(2.5)
    path = tmp_path / "page.png"
    path.write_bytes(data)
    told: list[tuple[int, int]] = []
    status = client.upload(path, on_progress=lambda sent, size: told.append((sent, size)))
    assert status.complete
    assert gateway.uploads.received[status.upload_id] == data
    assert gateway.uploads.streams == [[0, CHUNK_BYTES, 2 * CHUNK_BYTES]]
    start = gateway.uploads.starts[status.upload_id]
    assert (start.media_type, start.size) == ("image/png", len(data))
    assert start.sha256 == hashlib.sha256(data).hexdigest()
    assert told[0] == (0, len(data))
    assert told[-1] == (len(data), len(data))
    assert told == sorted(told)
    gateway.will(Answer())
    client.ask("hi", uploaded(status.upload_id, crop="forbid", elements=True))
    sent = gateway.calls[0].question.parts[1].picture
    assert (sent.upload_id, sent.crop_mode, sent.find_elements) == (status.upload_id, 3, True)


def test_a_stream_that_breaks_goes_on_where_it_stopped(
    gateway: FakeGateway, client: KefuClient
) -> None:
    data = _picture(6)
    # More often than a call is tried: every one of them brought the file forward.
    gateway.uploads.breaks.extend(
        [(2, CUT), (1, CUT), (1, KefuError(Reason.DRAINING, "away", retry_after=0.01)), (1, CUT)]
    )
    status = client.upload(data)
    assert gateway.uploads.received[status.upload_id] == data
    offsets = [[offset // CHUNK_BYTES for offset in each] for each in gateway.uploads.streams]
    assert offsets == [[0, 1], [2], [3], [4], [5]]


def test_an_upload_that_does_not_move_is_given_up(gateway: FakeGateway) -> None:
    gateway.uploads.breaks.extend([(1, CUT), (0, CUT), (0, CUT), (0, CUT)])
    reasons: list[str] = []
    with (
        KefuClient(gateway.address, on_retry=lambda error, _: reasons.append(error.reason)) as kefu,
        pytest.raises(KefuCallError) as caught,
    ):
        kefu.upload(_picture(3))
    assert caught.value.code is CUT
    # Three tries from the same place, after the one that got there.
    assert [len(each) for each in gateway.uploads.streams] == [1, 0, 0, 0]
    assert reasons == ["UNAVAILABLE"] * 3


def test_a_later_run_goes_on_and_then_sends_nothing(gateway: FakeGateway, kefu: Kefu) -> None:
    """The id is the file's own, so the command needs no memory of what it has sent."""
    data = _picture(3)
    gateway.uploads.breaks.append((2, KefuError(Reason.QUOTA_EXCEEDED, "wait", retry_after=3600)))
    with KefuClient(gateway.address) as first, pytest.raises(KefuCallError):
        first.upload(data)
    for _ in range(2):
        with KefuClient(gateway.address) as again:
            assert again.upload(data).complete
    offsets = [[offset // CHUNK_BYTES for offset in each] for each in gateway.uploads.streams]
    assert offsets == [[0, 1], [2]]


def test_another_upload_of_the_same_file_may_be_faster(
    gateway: FakeGateway, client: KefuClient
) -> None:
    data = _picture(2)
    upload_id = f"u-{hashlib.sha256(data).hexdigest()[:32]}"
    stolen = False

    def steal(sent: int, size: int) -> None:
        nonlocal stolen
        if sent == CHUNK_BYTES and not stolen:
            stolen = True
            gateway.uploads.received[upload_id] = data

    assert client.upload(data, on_progress=steal).complete
    assert gateway.uploads.received[upload_id] == data


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it is empty"),
        (b"MZ\x90", "neither JPEG, PNG, WebP, BMP nor PDF"),
        (PNG + bytes(UPLOAD_BYTES), "too large to upload"),
    ],
    ids=["empty", "a program", "too large"],
)
def test_what_is_no_upload_is_not_sent(
    gateway: FakeGateway, client: KefuClient, data: bytes, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        client.upload(data)
    assert gateway.uploads.streams == []


def test_a_film_is_refused_unread(client: KefuClient, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        os.truncate(file.fileno(), 2**40)  # sparse: reading it would end in MemoryError
    with pytest.raises(InputError, match=r"film\.mp4.*too large"):
        client.upload(film)


def test_a_refusal_is_not_repeated(gateway: FakeGateway, client: KefuClient) -> None:
    gateway.uploads.breaks.append((1, KefuError(Reason.PICTURE_TOO_LARGE, "too large")))
    with pytest.raises(KefuCallError) as caught:
        client.upload(_picture(2))
    assert caught.value.reason == "PICTURE_TOO_LARGE"
    assert len(gateway.uploads.streams) == 1


def test_the_command_prints_an_id_a_file(gateway: FakeGateway, kefu: Kefu, tmp_path: Path) -> None:
    files = [tmp_path / "第一.png", tmp_path / "b.pdf"]
    files[0].write_bytes(PNG)
    files[1].write_bytes(b"%PDF-1.7")
    paths = [str(path) for path in files]
    code, out, err = kefu("upload", *paths)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.split("  ")[:2] == [f"u-{hashlib.sha256(PNG).hexdigest()[:32]}", "第一.png"]
    assert second.split("  ")[1] == "b.pdf"
    assert gateway.uploads.starts[second.split("  ")[0]].media_type == "application/pdf"
    ids = [first.split("  ")[0], second.split("  ")[0]]
    assert kefu("upload", "-q", *paths)[1].split() == ids
    documents = [json.loads(line) for line in kefu("upload", "--json", *paths)[1].splitlines()]
    assert [each["upload_id"] for each in documents] == ids
    assert [each["file"] for each in documents] == paths
    gateway.will(Answer(text="ok"))
    page = files[0]
    kefu("chat", "-q", "--upload", ids[1], "--image", str(page), "--upload", ids[0], "hi")
    sent = [part.picture for part in gateway.calls[0].question.parts[:3]]
    assert [each.upload_id for each in sent] == [ids[1], "", ids[0]]


def test_what_was_sent_can_be_fetched(
    gateway: FakeGateway, client: KefuClient, kefu: Kefu, tmp_path: Path
) -> None:
    data = _picture(1.5)
    sent = client.upload(data)
    assert client.download(sent.upload_id) == data
    target = tmp_path / "back.png"
    assert kefu("download", sent.upload_id, str(target))[0] == 0
    assert target.read_bytes() == data


def test_nothing_is_written_of_what_is_not_there(
    gateway: FakeGateway, kefu: Kefu, tmp_path: Path
) -> None:
    target = tmp_path / "back.png"
    code, out, err = kefu("download", "d-gone", str(target))
    assert (code, out) == (1, "")
    assert err.startswith("kefu: d-gone: ")
    assert not target.exists()


def test_a_file_that_fails_ends_the_command_and_is_named(
    gateway: FakeGateway, kefu: Kefu, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(PNG)
    bad.write_bytes(PNG + b"bad")
    gateway.uploads.breaks.append((0, KefuError(Reason.PERMISSION_DENIED, "not you")))
    code, out, err = kefu("upload", str(bad), str(good))
    assert (code, out, len(gateway.uploads.streams)) == (1, "", 1)
    assert err.startswith(f"kefu: {bad}: not you\n")
    code, _, err = kefu("upload", str(tmp_path / "none.png"))
    assert code == 2
    assert "none.png: no such file" in err


def test_a_person_sees_the_bar_and_what_to_do_next(gateway: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(_picture(4))
    gateway.uploads.breaks.append((2, CUT))
    with Window(gateway.address, "upload", str(path)) as window:
        window.wait_for("page.png  [..............................]   0%  0.0 of 1.0 MiB")
        window.wait_for("the stream was cut: goes on in 0.2 s")
        window.wait_for("page.png  [###############...............]  50%  0.5 of 1.0 MiB")
        line = window.wait_for("kept until")
        upload_id = next(iter(gateway.uploads.received))
        assert f"{upload_id}  page.png" in line
        window.wait_for(f'use it: kefu chat --upload {upload_id} "…"')
        assert window.end() == 0
