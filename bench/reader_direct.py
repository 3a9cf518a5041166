"""Asks a folder of pages directly through Triton, without the gateway: what the reader itself can do.

    python bench/reader_direct.py --data ../shared/data/pages [--variant "" --variant _half] [--json out.json]

Needs a running model host (`python -m kefu_modelhost serve --model reader`).  The folder has `questions.jsonl` (page,
language, question, answer_regex), `lines.json` (page: its lines) and pictures `<page><variant>.<ending>`.  Pictures are
prepared roughly as the gateway does (contrast, fit, WebP; no crop).  Prints right/total by variant and language,
answers that state a number which is not on the page, and the times of the first token.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from PIL import Image, ImageEnhance, ImageFilter
from tokenizers import Tokenizer
from tritonclient.grpc.aio import InferenceServerClient

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "services/modelhost"), str(ROOT / "services/common")]

from kefu_modelhost.probe import contract_inputs  # noqa: E402

# Numbers, dates and ids: runs with a digit. What they are made of must stand on the page in the same order.
NUMBER = re.compile(r"\d[\d.,:/-]*\d|\d")


@dataclass
class Result:
    variant: str
    language: str
    page: str
    question: str
    answer: str
    right: bool
    ungrounded: list[str]
    first_token_s: float
    total_s: float
    follow_up: bool
    details: dict[str, Any]


class Asker:
    """The reader's own template and tokenizer in front of one Triton."""

    def __init__(self, address: str, weights: Path) -> None:
        folder = ROOT / "deploy/triton_models/reader/1"
        self.card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(
            (folder / self.card["chat_template"]).read_text("utf-8")
        )
        self._tokenizer = Tokenizer.from_file(str(weights / "reader" / self.card["tokenizer"]))
        self._client = InferenceServerClient(address)

    async def ask(
        self, messages: list[dict[str, Any]], pictures: list[bytes], language: str, **sampling: Any
    ) -> tuple[str, float, float, dict[str, Any]]:
        """(answer, seconds to the first text, seconds in all, details)."""
        system = {"role": "system", "content": self.card["system_prompt"][language]}
        prompt = self._template.render(
            messages=[system, *messages], language=language, add_generation_prompt=True
        )
        ids = self._tokenizer.encode(prompt, add_special_tokens=False).ids
        values = {"max_tokens": 128, **self.card["sampling"], **sampling}

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": "reader", "inputs": contract_inputs(ids, pictures, values)}

        began, first, answer, details = time.monotonic(), None, "", {}
        async for result, error in self._client.stream_infer(requests(), stream_timeout=300):
            if error is not None:
                raise error
            text = result.as_numpy("text").reshape(-1)[0].decode()
            if text and first is None:
                first = time.monotonic() - began
            answer += text
            if result.as_numpy("finish_reason").reshape(-1)[0]:
                details = json.loads(result.as_numpy("details").reshape(-1)[0] or b"{}")
                break
        total = time.monotonic() - began
        return answer, first or total, total, details


def prepared(path: Path, card: dict[str, Any]) -> bytes:
    image = Image.open(path).convert("RGB")
    profile, most = card["preprocess"], card["picture"]["max_pixels"]
    if profile.get("contrast"):
        image = ImageEnhance.Contrast(image).enhance(profile["contrast"])
    scale = (most / (image.width * image.height)) ** 0.5
    if scale < 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if profile.get("sharpen"):
        image = image.filter(ImageFilter.UnsharpMask(radius=1, percent=60, threshold=2))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=profile.get("webp_quality", 85))
    return out.getvalue()


def ungrounded(answer: str, lines: list[str], question: str) -> list[str]:
    """Numbers of the answer that neither the page nor the question has (blanks, currency, thousands aside)."""
    flat = re.sub(r"\s+", "", "\n".join([*lines, question])).replace(",", "")
    have = {
        part.lstrip("0")
        for found in NUMBER.findall(flat)
        for part in (found, *re.split(r"\D", found))
    }
    missing = []
    for number in NUMBER.findall(answer):
        plain = number.replace(",", "").strip(".:-/")
        parts = {p.lstrip("0") for p in re.split(r"\D", plain)}
        if plain not in flat and not parts <= have:
            missing.append(number)
    return missing


async def run(options: argparse.Namespace) -> list[Result]:
    asker = Asker(options.address, options.weights)
    data: Path = options.data
    lines = json.loads((data / "lines.json").read_text("utf-8"))
    questions = [json.loads(q) for q in (data / "questions.jsonl").read_text("utf-8").splitlines()]
    results = []
    for variant in options.variant or ["", "_half", "_photo"]:
        seen: set[str] = set()
        for q in questions:
            path = next(p for p in sorted(data.iterdir()) if p.stem == q["page"] + variant)
            picture = prepared(path, asker.card)
            content = [{"type": "image"}, {"type": "text", "text": q["question"]}]
            message = {"role": "user", "content": content}
            answer, first, total, details = await asker.ask([message], [picture], q["language"])
            result = Result(
                variant=variant or "clean",
                language=q["language"],
                page=q["page"],
                question=q["question"],
                answer=answer,
                right=re.search(q["answer_regex"], answer) is not None,
                ungrounded=ungrounded(answer, lines[q["page"]], q["question"]),
                first_token_s=first,
                total_s=total,
                follow_up=q["page"] in seen,
                details=details,
            )
            seen.add(q["page"])
            results.append(result)
            mark = "ok" if result.right else "--"
            bad = f"  UNGROUNDED {result.ungrounded}" if result.ungrounded else ""
            print(
                f"{mark} {result.variant:6} {first:5.2f}s {q['question']} -> {answer!r}{bad}",
                flush=True,
            )
    return results


def report(results: list[Result]) -> None:
    groups: dict[str, list[Result]] = defaultdict(list)
    for r in results:
        for key in (r.variant, f"{r.variant} {r.language}"):
            groups[key].append(r)
    print()
    for key, items in groups.items():
        print(f"{key:12} {sum(r.right for r in items)}/{len(items)}")
    bad = [r for r in results if r.ungrounded]
    print(f"answers with a number that is not on the page: {len(bad)}")
    for name, chosen in (("first questions", False), ("follow-ups", True)):
        times = sorted(r.first_token_s for r in results if r.follow_up is chosen)
        if times:
            print(
                f"first token, {name}: median {statistics.median(times):.2f} s, worst {times[-1]:.2f} s"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1:8001")
    parser.add_argument("--weights", type=Path, default=ROOT / ".kefu/weights")
    parser.add_argument("--variant", action="append", help='"", "_half", "_photo"; all by default')
    parser.add_argument("--json", type=Path, help="write every result here")
    options = parser.parse_args()
    results = asyncio.run(run(options))
    report(results)
    if options.json:
        options.json.write_text(
            json.dumps([asdict(r) for r in results], ensure_ascii=False, indent=1)
        )


if __name__ == "__main__":
    main()
