"""Callers as a shop has them: questions, photos, bursts, live chats, uploads, documents, mistakes, impatience.

with Load("127.0.0.1:50051", model="echo") as load:
    ...
    print(load.answered, load.failed)

Each caller is a thread with the client of the product, which tries again where the server says when.
"""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from PIL import Image, ImageFilter

from kefu.chat.v1.answer_pb2 import Answer
from kefu_client import KefuClient, picture
from kefu_client.errors import KefuCallError
from kefu_client.question import uploaded
from tools.house import ROOT

SAMPLES = ("refund.png", "order.png", "parcel.png", "router.png")
# What the trivial model is told about its own speed; the reader would take it for text.
_ECHO = "@echo tokens={tokens} token_ms={ms}\n"
# Seconds that a caller whose question failed leaves the service alone.
_AFTER_A_FAILURE = 3.0


@dataclass(slots=True)
class Load:
    """Runs while it is open. `pause`: seconds between two questions of one caller; `patience`: seconds that it waits
    for an answer."""

    address: str
    model: str
    callers: int = 3
    pause: float = 0.1
    patience: float = 30
    answered: int = 0
    failed: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    @classmethod
    def fit_for(cls, address: str, model: str) -> Self:
        """As much as the model bears on two cores: the reader thinks for seconds about a picture."""
        if model == "echo":
            return cls(address, model)
        return cls(address, model, callers=1, pause=0.5, patience=120)

    def __enter__(self) -> Self:
        for number in range(self.callers):
            thread = threading.Thread(target=self._run, args=(number,), name=f"caller-{number}")
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        with KefuClient(self.address, timeout=self.patience) as client:
            caller = _Caller(client, self.model, number, self.patience)
            turn = number
            while not self._stop.is_set():
                deeds = caller.deeds()
                self._do(deeds[turn % len(deeds)])
                turn += 1
                self._stop.wait(self.pause)

    def _do(self, deed: Callable[[], int]) -> None:
        try:
            count = deed()
        except KefuCallError as error:
            reason = error.reason or error.code.name
            with self._lock:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
                if error.retry_after is None:
                    self.refused += 1
                else:
                    self.failed += 1
            if error.retry_after is not None:
                self._stop.wait(_AFTER_A_FAILURE)
        else:
            with self._lock:
                self.answered += count


class _Caller:
    """One customer service agent's program. Every deed gives how many questions were answered."""

    def __init__(self, client: KefuClient, model: str, number: int, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._model = model
        self._name = f"watch-{number}"
        self._random = random.Random(number)
        self._round = 0

    def deeds(self) -> Sequence[Callable[[], int]]:
        """In turns. Plain questions come often, the rest now and then."""
        self._round += 1
        return (
            self._plain,
            self._equal,
            self._photo,
            self._plain,
            self._follow_up,
            self._plain,
            self._burst,
            self._equal,
            self._plain,
            self._live,
            self._uploaded,
            self._plain,
            self._blurred,
            self._document,
            self._broken,
            self._plain,
            self._empty,
            self._leaves,
        )

    def _words(self, text: str, tokens: int = 16, ms: int = 5) -> str:
        return _ECHO.format(tokens=tokens, ms=ms) + text if self._model == "echo" else text

    def _plain(self) -> int:
        self._client.ask(self._words(f"How long is parcel {self._random.random()} on its way?"))
        return 1

    def _equal(self) -> int:
        """The same for everyone, at temperature 0: the second time it comes from the cache."""
        self._client.ask(self._words("What are your opening hours?"), temperature=0)
        return 1

    def _photo(self) -> int:
        sample = ROOT / "samples" / self._random.choice(SAMPLES)
        self._client.ask(
            self._words("What does it say?"), picture(sample), session_id=self._session()
        )
        return 1

    def _follow_up(self) -> int:
        self._client.ask(self._words("And since when?"), session_id=self._session())
        return 1

    def _burst(self) -> int:
        """Two photos and a sentence through one live stream: one answer for all three."""
        return self._talk(
            [picture(ROOT / "samples/order.png")],
            [picture(ROOT / "samples/parcel.png")],
            [self._words("Where is it?", tokens=24, ms=10)],
        )

    def _live(self) -> int:
        """A question, and before its first word one more: the turn begins anew."""
        return self._talk(
            [self._words("Is it paid?", tokens=24, ms=40)], [self._words("I mean the last one.")]
        )

    def _talk(self, *messages: list[object]) -> int:
        with self._client.converse(f"{self._session()}-live") as talk:
            waiting = {talk.send(*parts) for parts in messages}  # type: ignore[arg-type]
            answered = 0
            while waiting:
                news = talk.receive(timeout=self._patience)
                if news is None:
                    break
                if isinstance(news.event, KefuCallError):
                    raise news.event
                if isinstance(news.event, Answer):
                    answered += 1
                    waiting.discard(news.request_id)
            return answered

    def _uploaded(self) -> int:
        with Image.open(ROOT / "samples/invoice.png") as page:
            fresh = page.convert("RGB")
        # The same file would not be sent twice, and the sidecar would know it.
        fresh.putpixel((0, 0), tuple(self._random.randbytes(3)))
        sent = self._client.upload(_bytes(fresh, "JPEG"))
        self._client.ask(self._words("When is it due?"), uploaded(sent.upload_id))
        return 1

    def _blurred(self) -> int:
        """A photo that nobody can read: the customer is advised to take it again."""
        with Image.open(ROOT / "samples/router.png") as page:
            small = page.convert("RGB").resize((360, 800)).filter(ImageFilter.GaussianBlur(6))
        self._client.ask(self._words("What is wrong?"), picture(_bytes(small, "JPEG")))
        return 1

    def _document(self) -> int:
        pages = [Image.new("RGB", (300, 400), color) for color in ("white", "beige")]
        out = io.BytesIO()
        pages[0].save(out, "PDF", save_all=True, append_images=pages[1:])
        self._client.ask(self._words("What is the total?"), picture(out.getvalue()))
        return 1

    def _broken(self) -> int:
        whole = (ROOT / "samples/order.png").read_bytes()
        self._client.ask("What is this?", picture(whole[: len(whole) // 2]))
        return 1

    def _empty(self) -> int:
        self._client.ask()
        return 1

    def _leaves(self) -> int:
        """Has read enough after the first words."""
        with self._client.stream(self._words("Tell me everything.", tokens=200, ms=10)) as stream:
            for _ in stream.text():
                break
        return 0

    def _session(self) -> str:
        """Another customer every twenty questions."""
        return f"{self._name}-{self._round // 20}"


def _bytes(image: Image.Image, form: str) -> bytes:
    out = io.BytesIO()
    image.save(out, form, quality=60)
    return out.getvalue()
