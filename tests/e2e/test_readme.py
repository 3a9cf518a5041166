"""The README's Python is run as it stands, against the real road: documentation that lies fails the build."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest

from tests.e2e.road import Road
from tools.house import ROOT

pytestmark = [
    pytest.mark.triton,
    pytest.mark.weights,
    pytest.mark.asyncio(loop_scope="session"),
]

SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
async def test_snippet_runs_and_says_what_it_says(reader_road: Road, snippet: str) -> None:
    code = snippet.replace("127.0.0.1:50051", reader_road.house.gateway)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    said = out.decode()
    assert "RF202603180457" in said, "the refund's number"
    assert "E-651" in said, "the router's error"
    assert "8-3-2047" in said, "the pick-up code, from the session's picture"
