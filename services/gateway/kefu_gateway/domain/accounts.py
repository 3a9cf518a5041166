"""One question on the books: its tenant's quota, its place, and what is counted of it in the end.

with accounts.open("shop") as account:
    await account.admit(…)          # the stage admit
    account.hear(event)             # the road, for each event
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.admission import Admission
from kefu_gateway.domain.answer import Answered, Delta, Event
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.quotas import Bill, Quotas
from kefu_gateway.domain.tenants import Tenants, TenantTelemetry

# A place outlives the longest question by this much, so that it never lapses under one that still runs.
MARGIN_SECONDS = 30.0


class Account:
    """One question of a tenant. Leaving counts how it ended."""

    def __init__(self, tenant: str, accounts: Accounts) -> None:
        self._tenant = tenant
        self._accounts = accounts
        self._bill: Bill | None = None
        self._answer: Answered | None = None

    async def admit(
        self,
        resources: AsyncExitStack,
        deadline: Deadline,
        *,
        prompt: int,
        answer: int,
        whole: bool,
    ) -> None:
        """The quota first, then a place worth the estimated tokens; both are held by `resources`. `whole`: it is
        answered to the end whatever its caller does. Raises KefuError: QUOTA_EXCEEDED, OVERLOADED, DRAINING,
        DEADLINE_EXCEEDED."""
        rules = self._accounts.tenants().rules(self._tenant)
        self._bill = await resources.enter_async_context(
            self._accounts.quotas.question(
                self._tenant,
                rules.quota,
                prompt=prompt,
                answer=answer,
                seconds=deadline.check("admit") + MARGIN_SECONDS,
            )
        )
        await resources.enter_async_context(
            self._accounts.admission.slot(
                prompt + answer, deadline, tenant=self._tenant, weight=rules.weight
            )
        )
        self._bill.begin(whole=whole)
        self._accounts.telemetry.running(self._tenant, 1)
        resources.callback(self._accounts.telemetry.running, self._tenant, -1)

    def hear(self, event: Event) -> None:
        """What happens on the road."""
        if isinstance(event, Delta) and self._bill is not None:
            self._bill.hear(event.tokens)
        elif isinstance(event, Answered):
            self._answer = event
            if self._bill is not None:
                self._bill.answered(event.answer)

    def __enter__(self) -> Account:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        telemetry, tenant = self._accounts.telemetry, self._tenant
        if self._answer is not None:
            answer = self._answer.answer
            telemetry.turn(tenant, "cached" if answer.cached else "answered")
            if not answer.cached:
                usage, requests = answer.usage, max(1, answer.joined_requests)
                # Every request of a turn is told the whole usage; together they count it once.
                telemetry.tokens(tenant, "text", usage.prompt_text_tokens / requests)
                telemetry.tokens(tenant, "visual", usage.visual_tokens / requests)
                telemetry.tokens(tenant, "completion", usage.completion_tokens / requests)
        elif isinstance(error, Exception):
            reason = error.reason if isinstance(error, KefuError) else Reason.INTERNAL
            telemetry.turn(tenant, "failed")
            telemetry.rejected(tenant, reason.value)
        else:
            telemetry.turn(tenant, "cancelled")


class Accounts:
    """Opens accounts. `tenants` gives the rules in force now."""

    def __init__(
        self,
        tenants: Callable[[], Tenants],
        quotas: Quotas,
        admission: Admission,
        telemetry: TenantTelemetry,
    ) -> None:
        self.tenants = tenants
        self.quotas = quotas
        self.admission = admission
        self.telemetry = telemetry

    def open(self, tenant: str) -> Account:
        return Account(tenant, self)
