"""What a tenant may use: questions a second, questions at once, tokens a day. Checked before any work is done.

    async with quotas.question("shop", prompt=400, answer=256, seconds=120) as bill:
        ...
        bill.answered(answer)

Tokens are reserved from an estimate when a question is admitted, and settled when it ends: who was refused, or failed
before the model began, pays nothing; who was answered pays what it took; who leaves on the way pays for the prompt and
for what was said, or else leaving just before the end would be free.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Answer

DAY_SECONDS = 86_400

# What a caller is told that comes too early in a full house: the time after which trying again has a chance.
CONCURRENCY_RETRY_SECONDS = 1.0

# Reasons with which a question ends that the model may have worked on.
_LEFT = (Reason.DEADLINE_EXCEEDED, Reason.TURN_CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """0 is no limit. `burst`: questions that may come at once after a pause; 0: a second's worth, at least one.

    `concurrent_turns` counts the questions that are under way on all gateways together, those that wait included.
    `tokens_per_day`: text, visual and completion tokens; days begin at midnight UTC.
    """

    turns_per_second: float = 0.0
    burst: int = 0
    concurrent_turns: int = 0
    tokens_per_day: int = 0

    @property
    def limited(self) -> bool:
        return bool(self.turns_per_second or self.concurrent_turns or self.tokens_per_day)

    @property
    def depth(self) -> int:
        """Questions that fit into the bucket."""
        return self.burst or max(1, round(self.turns_per_second))


@dataclass(frozen=True, slots=True)
class Refused:
    """`quota`: the name of the limit, as in the settings. `retry_after`: seconds."""

    quota: str
    limit: float
    retry_after: float


@dataclass(frozen=True, slots=True)
class Taken:
    """A place, and tokens that are reserved on `day` (days since the epoch)."""

    tenant: str
    ticket: str
    day: int
    tokens: int


class QuotaLedger(Protocol):
    """Keeps what tenants have used. Each step happens whole or not at all."""

    async def take(
        self, tenant: str, quota: Quota, *, ticket: str, tokens: int, seconds: float
    ) -> Taken | Refused:
        """Takes a question's share of every limit, or of none. The place is given back by itself after `seconds`: a
        gateway that died gives nothing back. Raises KefuError(STORE_UNAVAILABLE)."""
        ...

    async def settle(self, taken: Taken, used: int) -> None:
        """Gives the place back, and corrects the tokens to what was `used`. Raises KefuError(STORE_UNAVAILABLE)."""
        ...


class Bill:
    """What one question costs in the end."""

    def __init__(self, *, prompt: int, answer: int) -> None:
        """What was reserved, in tokens."""
        self.reserved = prompt + answer
        self._prompt = prompt
        self._heard = 0
        self._begun = False
        self._whole = False
        self._used: int | None = None

    def begin(self, *, whole: bool) -> None:
        """It has its place: from now on the model may work for it. `whole`: it is answered to the end whatever its
        caller does."""
        self._begun, self._whole = True, whole

    def hear(self, tokens: int) -> None:
        """A piece of the answer was passed on."""
        self._heard += tokens

    def answered(self, answer: Answer) -> None:
        """An answer from a cache cost nothing; one that several requests share is paid in equal parts."""
        usage = answer.usage
        total = usage.prompt_text_tokens + usage.visual_tokens + usage.completion_tokens
        self._used = 0 if answer.cached else -(-total // max(1, answer.joined_requests))

    def used(self, error: BaseException | None) -> int:
        """Tokens to pay, where it ended with `error` or without."""
        if self._used is not None:
            return self._used
        if not self._begun:
            return 0
        failed = isinstance(error, KefuError) and error.reason not in _LEFT
        if failed or (isinstance(error, Exception) and not isinstance(error, KefuError)):
            return self._prompt + self._heard if self._heard else 0
        return self.reserved if self._whole else self._prompt + self._heard


class Quotas:
    """Says no before any work is done, and keeps the books. `refused(tenant, quota)` is told of every no."""

    def __init__(self, ledger: QuotaLedger, refused: Callable[[str, str], None]) -> None:
        self._ledger = ledger
        self._refused = refused
        self._settling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def question(
        self, tenant: str, quota: Quota, *, prompt: int, answer: int, seconds: float
    ) -> AsyncIterator[Bill]:
        """`prompt` and `answer`: estimates in tokens; `seconds`: the most that the question may take. Raises
        KefuError(QUOTA_EXCEEDED) at once."""
        bill = Bill(prompt=prompt, answer=answer)
        if not quota.limited:
            yield bill
            return
        taken = await self._ledger.take(
            tenant, quota, ticket=uuid.uuid4().hex, tokens=bill.reserved, seconds=seconds
        )
        if isinstance(taken, Refused):
            self._refused(tenant, taken.quota)
            raise refusal(tenant, taken)
        ended: BaseException | None = None
        try:
            yield bill
        except BaseException as error:
            ended = error
            raise
        finally:
            # Whoever leaves must not take the bill along; and nobody waits for the books.
            task = asyncio.create_task(self._ledger.settle(taken, bill.used(ended)))
            self._settling.add(task)
            task.add_done_callback(self._settled)

    async def close(self) -> None:
        """Returns when every bill is settled."""
        await asyncio.gather(*self._settling, return_exceptions=True)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled():
            task.exception()  # the ledger logs it; a place that was not given back goes back by itself


def refusal(tenant: str, refused: Refused) -> KefuError:
    """The error that tells it, with what QuotaFailure and RetryInfo say."""
    limit = f"{refused.limit:g}"
    words = {
        "turns_per_second": f"more than {limit} questions a second",
        "concurrent_turns": f"{limit} questions are under way already",
        "tokens_per_day": f"the {limit} tokens of this day are used up, or reserved by questions under way",
    }
    return KefuError(
        Reason.QUOTA_EXCEEDED,
        f"the tenant's quota {refused.quota} is used up: {words[refused.quota]}",
        retry_after=refused.retry_after,
        quota=refused.quota,
        limit=limit,
        subject=f"tenant:{tenant}",
    )
