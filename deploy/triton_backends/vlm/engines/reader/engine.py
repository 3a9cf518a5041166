"""The reader: OCR in place of the visual encoder, a small language model that writes, and checks between them.

read      pictures to rows (known pictures are not read again)
decide    may the model answer at all?  questions for eyes, pages without text, states that the rows give
write     the prompt with the rows in it, under a grammar that knows only the numbers of the rows
check     every number, date and id before it leaves; a yes or no against the rows
account   evidence, what was uncertain, tokens
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engines.base import Chunk, ContractError, EngineContext, Job, Usage
from engines.gate import TextGate
from engines.reader import phrases
from engines.reader.check import ClaimCheck
from engines.reader.claims import Grounds
from engines.reader.evidence import Source, sources_of, supporting
from engines.reader.grammar import answer_grammar
from engines.reader.llm import Llm, LlmSettings, Token
from engines.reader.ocr import OcrSettings, Page, PageReader
from engines.reader.prompt import Expanded, PromptReader, Question
from engines.reader.schema import schema_grammar, schema_words
from engines.reader.sight import needs_eyes
from engines.reader.states import asks_existence, is_yes_no, judge, polarity
from engines.reader.text import normal

# Rows under this confidence, if they carry a number that the answer states, are pointed out to the customer.
_SURE = 0.80


@dataclass(slots=True)
class _Turn:
    """One job on its way."""

    job: Job
    emit: Callable[[Chunk], None]
    cancelled: Callable[[], bool]
    question: Question
    pages: list[Page]
    prompt: Expanded
    gate: TextGate
    sources: list[Source]
    reason: str = "stop"
    handover: str | None = None
    corrected: bool = False
    evidence: list[Source] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def send(self, chunk: Chunk | None) -> None:
        if chunk is not None:
            self.emit(chunk)


class ReaderEngine:
    """See `engines.base.Engine`."""

    def __init__(self, context: EngineContext) -> None:
        card, settings = context.card, context.card.settings
        cores = len(os.sched_getaffinity(0))
        picture = card.raw["picture"]
        self._card = card
        self._meter = context.meter
        self._page_tokens = int(picture["tokens"]["max_tokens"])
        self._weights = context.weights
        self._ocr = PageReader(
            OcrSettings(
                threads=_threads(settings.get("ocr_threads"), cores), **settings.get("ocr", {})
            ),
            context.meter,
        )
        llm = dict(settings.get("llm", {}))
        self._llm = Llm(
            context.weights / "model.gguf",
            LlmSettings(
                context_tokens=card.context_tokens,
                threads=_threads(llm.pop("threads", None), cores),
                batch_threads=_threads(llm.pop("batch_threads", None), cores),
                **llm,
            ),
            context.meter,
        )
        self._settings = settings
        self._prompts: PromptReader

    def start(self) -> None:
        for name in ("model.gguf", "tokenizer.json"):
            if not (self._weights / name).is_file():
                raise FileNotFoundError(
                    f"{self._weights / name} is missing: run `python -m kefu_modelhost pull {self._card.name}`,"
                    " or set KEFU_WEIGHTS_DIR to the folder that has it"
                )
        self._prompts = PromptReader(
            self._weights / "tokenizer.json",
            placeholder_id=self._card.placeholder_id,
            turn_start=self._settings["turn_start"],
            turn_end=self._settings["turn_end"],
            labels=self._settings.get("question_labels", ()),
        )
        self._ocr.start()
        self._llm.start()

    def close(self) -> None:
        self._llm.close()

    def generate(
        self, job: Job, emit: Callable[[Chunk], None], cancelled: Callable[[], bool]
    ) -> None:
        began = time.monotonic()
        if max(job.input_ids) >= self._prompts.vocabulary:
            raise ContractError("bad_tensor", "input_ids has an id outside the vocabulary")
        question = self._prompts.question(job.input_ids)
        pages, read = self._read(job, cancelled)
        if cancelled():
            emit(Chunk(finish_reason="cancelled", usage=Usage(len(job.input_ids), 0, 0)))
            return
        prompt = self._prompts.expand(
            job.input_ids, pages, self._page_tokens, phrases.empty_page(question.chinese)
        )
        room = self._card.context_tokens - len(prompt.ids)
        if room < 1:
            raise ContractError(
                "prompt_too_long",
                f"the prompt has {len(prompt.ids)} tokens with its pictures, the context"
                f" {self._card.context_tokens}",
            )
        turn = _Turn(
            job=job,
            emit=emit,
            cancelled=cancelled,
            question=question,
            pages=pages,
            prompt=prompt,
            gate=TextGate(stops=job.sampling.stop, logprobs=job.sampling.logprobs),
            sources=sources_of(pages),
        )
        turn.details["pictures"] = [
            {
                "rows": len(page.rows),
                "rows_shown": shown,
                "cut": shown < len(page.rows),
                "tokens": tokens,
                "width": page.width,
                "height": page.height,
                "known": known,
                "ocr_ms": round(page.seconds * 1000),
            }
            for page, known, tokens, shown in zip(
                pages, read, prompt.visual, prompt.shown, strict=True
            )
        ]
        if job.sampling.debug:
            # What the model is really shown: the prompt with the rows of each picture in its place.
            turn.details["debug"] = {"prompt": self._prompts.text(prompt.ids)}
        turn.details["timings_ms"] = {"read": round((time.monotonic() - began) * 1000)}
        if not self._decide(turn):
            self._write(turn, min(job.sampling.max_tokens, room))
        self._account(turn, began)

    def _read(self, job: Job, cancelled: Callable[[], bool]) -> tuple[list[Page], list[bool]]:
        pages, known = [], []
        for picture in job.images:
            if cancelled():
                break
            page, was_known = self._ocr.read(picture, job.sampling.cache_scope)
            pages.append(page)
            known.append(was_known)
        return pages, known

    def _decide(self, turn: _Turn) -> bool:
        """Answers without the model where it must not be asked; True when that was done."""
        if not turn.pages or turn.job.sampling.json_schema is not None:
            return False
        asked, chinese = turn.question.text, turn.question.chinese
        rows = [s.row.text for s in turn.sources]
        if needs_eyes(asked, rows):
            self._say(turn, phrases.cannot_see(chinese), [])
            turn.handover = "visual_question"
            return True
        if not rows:
            self._say(turn, phrases.no_text(chinese), [])
            turn.handover = "no_text"
            return True
        if is_yes_no(asked):
            verdict = judge(asked, rows)
            if verdict is not None:
                source = turn.sources[verdict.row]
                self._say(turn, phrases.state(verdict.yes, source.row.text, chinese), [source])
                return True
        return False

    def _say(self, turn: _Turn, text: str, evidence: Sequence[Source]) -> None:
        """Sends a sentence of ours as tokens; their probability is the OCR's confidence in what they rest on."""
        sure = math.log(max(1e-3, min((s.row.score for s in evidence), default=1.0)))
        turn.evidence = list(evidence)
        ids = self._prompts.encode(text)
        left = turn.job.sampling.max_tokens - turn.gate.tokens_sent
        for piece, raw in zip(ids[:left], self._prompts.raw(ids[:left]), strict=True):
            turn.send(turn.gate.push(piece, sure, raw))
            if turn.gate.closed:
                break
        turn.send(turn.gate.finish())
        turn.reason = "length" if len(ids) > left and not turn.gate.stopped else "stop"

    def _write(self, turn: _Turn, max_tokens: int) -> None:
        sampling = turn.job.sampling
        asked = turn.question.text
        # A yes or a no is looked at as a whole before any of it is sent.
        weigh = bool(turn.pages) and sampling.json_schema is None and is_yes_no(asked)
        rows = [s.row.text for s in turn.sources]
        schema = sampling.json_schema
        grounds = Grounds([*rows, turn.question.context])
        if schema is None:
            grammar = answer_grammar(grounds)
            checker = ClaimCheck(grounds)
        else:
            grammar = schema_grammar(schema, grounds, rows)
            checker = ClaimCheck(Grounds([*rows, turn.question.context, *schema_words(schema)]))
        turn.gate = TextGate(
            stops=sampling.stop, checker=checker, logprobs=sampling.logprobs, hold=weigh
        )

        def on_token(token: Token) -> bool:
            turn.send(turn.gate.push(token.id, token.logprob, token.raw))
            return not turn.gate.closed

        began = time.monotonic()
        turn.reason = self._llm.complete(
            turn.prompt.ids,
            sampling,
            max_tokens=max_tokens,
            grammar=grammar,
            on_token=on_token,
            cancelled=turn.cancelled,
        )
        turn.details["timings_ms"]["write"] = round((time.monotonic() - began) * 1000)
        if turn.reason == "cancelled":
            turn.gate.drop()
            return
        if weigh and not self._stands(turn):
            return
        turn.send(turn.gate.finish())
        if turn.gate.unsupported is not None:
            self._correct(turn, phrases.unverified(turn.question.chinese, turn.gate.sent > 0), [])
        elif sampling.json_schema is None:
            self._hedge(turn)
        turn.details["grounding"] = {"claims": checker.checked}

    def _stands(self, turn: _Turn) -> bool:
        """Whether a yes or no may be given; if not, says what the page does say."""
        said = polarity(turn.gate.text)
        if said is None or turn.gate.unsupported is not None:
            return True
        asked, chinese = turn.question.text, turn.question.chinese
        rests_on = supporting(turn.gate.text, asked, turn.sources)
        if said and asks_existence(asked) and rests_on:
            return True
        turn.gate.drop()
        nearest = supporting(asked, "", turn.sources)[:1]
        if nearest:
            self._correct(turn, phrases.only_says(nearest[0].row.text, chinese), nearest)
        else:
            self._correct(turn, phrases.not_said(chinese), [])
        return False

    def _correct(self, turn: _Turn, text: str, evidence: Sequence[Source]) -> None:
        """Puts a sentence of ours where the model's must not stand."""
        self._meter.add("kefu_reader_corrected_total")
        turn.corrected, turn.handover = True, "unverified"
        sent = turn.gate.tokens_sent
        turn.gate = TextGate(stops=turn.job.sampling.stop, logprobs=turn.job.sampling.logprobs)
        turn.gate.tokens_sent = sent
        self._say(turn, text, evidence)

    def _hedge(self, turn: _Turn) -> None:
        """Points out numbers that were hard to read."""
        turn.evidence = supporting(turn.gate.text, turn.question.text, turn.sources)
        doubtful = [s for s in turn.evidence if s.row.score < _SURE and _shares_digits(turn, s)]
        if doubtful:
            turn.details["low_confidence"] = True
            turn.handover = turn.handover or "low_confidence"
            if turn.reason == "stop" and not turn.gate.stopped:
                text = phrases.hard_to_read(doubtful[0].row.text, turn.question.chinese)
                evidence = turn.evidence
                sent = turn.gate.tokens_sent
                turn.gate = TextGate(
                    stops=turn.job.sampling.stop, logprobs=turn.job.sampling.logprobs
                )
                turn.gate.tokens_sent = sent
                self._say(turn, text, evidence)

    def _account(self, turn: _Turn, began: float) -> None:
        cannot_see = turn.handover in ("visual_question", "no_text")
        if cannot_see:
            self._meter.add("kefu_reader_cannot_see_total")
        timings = turn.details["timings_ms"]
        timings["total"] = round((time.monotonic() - began) * 1000)
        if (
            turn.reason != "cancelled"
            and not turn.evidence
            and not cannot_see
            and not turn.corrected
        ):
            turn.evidence = supporting(turn.gate.text, turn.question.text, turn.sources)
        visual = sum(turn.prompt.visual)
        turn.emit(
            Chunk(
                finish_reason=turn.reason,
                details={
                    "evidence": [s.as_json() for s in turn.evidence],
                    "cannot_see": cannot_see,
                    "handover": turn.handover,
                    "corrected": turn.corrected,
                    "low_confidence": turn.details.pop("low_confidence", False),
                    **turn.details,
                },
                usage=Usage(len(turn.prompt.ids) - visual, visual, turn.gate.tokens_sent),
            )
        )


def _threads(asked: int | None, cores: int) -> int:
    return cores if not asked else min(int(asked), cores)


def _shares_digits(turn: _Turn, source: Source) -> bool:
    grounds = Grounds([source.row.text])
    return any(c.grounded for c in grounds.claims(normal(turn.gate.text)))
