"""API keys: made by the command, kept as hashes, read back; every mistake in the file told."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kefu_gateway.adapters.identity.keys import ApiKey, find_caller, new_key, parse_time, read_keys
from kefu_gateway.adapters.identity.reloading import FileProblem
from kefu_gateway.domain.tenants import Caller
from kefu_gateway.keys_command import run

NOW = parse_time("2026-11-21T12:00:00Z").timestamp()


def test_a_key_is_shown_once_and_only_its_hash_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys"
    made = []
    for options in ([], ["--days", "30"], ["--expires", "2999-01-01T00:00:00+02:00"]):
        assert run(["new", "--tenant", "shop", "--file", str(path), *options]) == 0
        told = capsys.readouterr()
        made.append(told.out.strip())
        assert made[-1] not in told.err
    assert len(set(made)) == 3
    # 32 random bytes: far more than the 128 bits that make a plain hash safe.
    assert all(len(key.split("_", 2)[2]) == 43 for key in made)
    kept = path.read_text()
    for key in made:
        assert key.rpartition("_")[2] not in kept
        assert hashlib.sha256(key.encode()).hexdigest() in kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "expires=2998-12-31T22:00:00Z" in kept
    keys = read_keys(path)
    assert {key.tenant for key in keys.values()} == {"shop"}
    for key in made:
        caller = find_caller(keys, key, NOW)
        assert isinstance(caller, Caller)
        assert (caller.tenant, caller.scheme) == ("shop", "key")


def test_what_was_in_the_file_stays_and_a_broken_one_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys"
    path.write_text("# keys of the shop\n\nshop aaaa sha256:" + "0" * 64)
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert run(["new", "--tenant", "bank", "--file", str(link)]) == 0
    lines = path.read_text().splitlines()
    assert lines[0] == "# keys of the shop"
    assert [line.split()[0] for line in lines[2:]] == ["shop", "bank"]
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.write_text("nonsense\n")
    assert run(["new", "--tenant", "bank", "--file", str(path)]) == 1
    assert path.read_text() == "nonsense\n"
    assert "line 1: a line is" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--tenant", "a b"],
        ["--tenant", ""],
        ["--tenant", "shop", "--days", "-1"],
        ["--tenant", "shop", "--expires", "tomorrow"],
    ],
)
def test_no_key_is_made_of_nonsense(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", *options]) == 1
    assert capsys.readouterr().out == ""


def test_every_mistake_of_a_file_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    good = new_key("shop")[1]
    path.write_text(
        "\n".join(
            [
                good,
                "shop",
                "a/b cccc sha256:" + "0" * 64,
                "shop c sha256:" + "0" * 64,
                "shop cccc md5:00",
                good + " until=2027-01-01",
                good + " expires=soon",
                good,
            ]
        )
    )
    with pytest.raises(FileProblem) as caught:
        read_keys(path)
    told = str(caught.value)
    assert [f"line {number}:" in told for number in range(1, 9)] == [False] + [True] * 7


def test_a_key_ends_at_its_time(tmp_path: Path) -> None:
    key, line = new_key("shop", parse_time("2026-11-21T13:00:00"))
    (tmp_path / "keys").write_text(line)
    keys = read_keys(tmp_path / "keys")
    assert isinstance(find_caller(keys, key, NOW), Caller)
    assert find_caller(keys, key, NOW + 3600) == "expired_key"


@given(text=st.text(max_size=80))
def test_no_text_is_a_key_by_chance(text: str) -> None:
    key, key_id = "kefu_aaaa_" + "x" * 43, "aaaa"
    digest = hashlib.sha256(key.encode()).digest()
    keys = {key_id: ApiKey(tenant="shop", key_id=key_id, digest=digest)}
    assert isinstance(find_caller(keys, key, NOW), Caller)
    for sent in (text, f"kefu_{key_id}_{text}", key + text if text else key[:-1]):
        assert not isinstance(find_caller(keys, sent, NOW), Caller)
