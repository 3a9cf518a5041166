"""What a question costs its tenant, however it ends; and the file that says what a tenant may use."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from pathlib import Path

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.identity.reloading import FileProblem
from kefu_gateway.adapters.identity.tenant_file import read_tenants
from kefu_gateway.adapters.stores.quotas_local import LocalLedger
from kefu_gateway.config import Settings
from kefu_gateway.domain.answer import Answer, FinishReason, Usage
from kefu_gateway.domain.quotas import Bill, Quota, Quotas
from kefu_gateway.domain.tenants import TenantRules

DAY = Quota(tokens_per_day=1000)


def answer(*, cached: bool = False, joined: int = 1) -> Answer:
    usage = Usage(prompt_text_tokens=50, visual_tokens=200, completion_tokens=11)
    return Answer(
        request_id="r",
        text="",
        finish_reason=FinishReason.STOP,
        model="m",
        usage=usage,
        cached=cached,
        joined_requests=joined,
    )


def begun(bill: Bill) -> None:
    bill.begin(whole=False)


def begun_for_good(bill: Bill) -> None:
    bill.begin(whole=True)


def heard(bill: Bill) -> None:
    bill.begin(whole=False)
    bill.hear(3)
    bill.hear(4)


def error(reason: Reason) -> KefuError:
    return KefuError(reason, "no")


# A prompt of 300 tokens and an answer of 100 were reserved.
@pytest.mark.parametrize(
    ("steps", "ended", "used"),
    [
        (lambda bill: None, error(Reason.OVERLOADED), 0),
        (lambda bill: None, asyncio.CancelledError(), 0),
        (begun, error(Reason.PICTURE_DAMAGED), 0),
        (begun, error(Reason.MODEL_SERVER_UNAVAILABLE), 0),
        (begun, RuntimeError("a fault of ours"), 0),
        (heard, error(Reason.MODEL_SERVER_UNAVAILABLE), 307),
        (begun, error(Reason.DEADLINE_EXCEEDED), 300),
        (begun, GeneratorExit(), 300),
        (heard, asyncio.CancelledError(), 307),
        (begun_for_good, asyncio.CancelledError(), 400),
        (lambda bill: bill.answered(answer()), None, 261),
        (lambda bill: bill.answered(answer(joined=2)), None, 131),
        (lambda bill: bill.answered(answer(cached=True)), None, 0),
        (lambda bill: bill.answered(answer()), GeneratorExit(), 261),
    ],
)
async def test_what_is_paid(steps: object, ended: BaseException | None, used: int) -> None:
    ledger = LocalLedger(lambda: 1e9)
    quotas = Quotas(ledger, lambda tenant, quota: None)
    assert callable(steps)
    try:
        async with quotas.question("shop", DAY, prompt=300, answer=100, seconds=60) as bill:
            steps(bill)
            if ended is not None:
                raise ended
    except BaseException as raised:
        if raised is not ended:
            raise
    await quotas.close()
    # What is left of the day can be taken, and not one token more.
    for tokens, fits in ((1001 - used, False), (1000 - used, True)):
        taken = await ledger.take("shop", DAY, ticket=str(tokens), tokens=tokens, seconds=60)
        assert hasattr(taken, "ticket") is fits


def test_a_bucket_holds_a_second_of_questions_where_nothing_else_is_said() -> None:
    assert Quota(turns_per_second=5).depth == 5
    assert Quota(turns_per_second=0.1).depth == 1
    assert Quota(turns_per_second=5, burst=2).depth == 2


async def test_without_limits_no_books_are_kept() -> None:
    class Nobody:
        async def take(self, *args: object, **kwargs: object) -> None:
            raise AssertionError

        settle = take

    quotas = Quotas(Nobody(), lambda tenant, quota: None)  # type: ignore[arg-type]
    async with quotas.question("shop", Quota(), prompt=1, answer=1, seconds=1) as bill:
        bill.begin(whole=False)


def read(path: Path, text: str):  # type: ignore[no-untyped-def]
    path.write_text(text)
    return read_tenants(path)


def test_a_named_tenant_takes_what_it_does_not_say_from_the_default(tmp_path: Path) -> None:
    tenants = read(
        tmp_path / "t",
        '[default]\nturns_per_second = 0.5\ntokens_per_day = 10\n[tenants."shop.eu"]\n'
        'tokens_per_day = 20\nweight = 2\nmethods = ["ChatService/*"]\n',
    )
    shop = tenants.rules("shop.eu")
    assert shop.quota == Quota(turns_per_second=0.5, tokens_per_day=20)
    assert (shop.weight, shop.methods) == (2.0, ("ChatService/*",))
    assert tenants.rules("bank").quota == Quota(turns_per_second=0.5, tokens_per_day=10)
    shop.check("/kefu.chat.v1.ChatService/Chat")
    for method in ("/kefu.chat.v1.SessionService/GetSession", "/grpc.reflection.v1alpha.S/Info"):
        with pytest.raises(KefuError):
            shop.check(method)
    assert read(tmp_path / "t", "").rules("anyone") == TenantRules()
    closed = read(tmp_path / "t", '[access]\nunlisted = "refuse"\n[tenants.shop]\n')
    closed.rules("shop")
    with pytest.raises(KefuError) as caught:
        closed.rules("bank")
    assert caught.value.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("turns = 1", "there is no [turns]"),
        ("[default", "is not TOML"),
        ("[default]\nturns_per_minute = 1", "no setting 'turns_per_minute'"),
        ("[default]\nconcurrent_turns = 1.5", "concurrent_turns is no number"),
        ("[default]\ntokens_per_day = -1", "tokens_per_day is no number"),
        ("[default]\ntokens_per_day = true", "tokens_per_day is no number"),
        ("[default]\nturns_per_second = inf", "turns_per_second is no number"),
        ("[default]\nburst = 3", "burst needs turns_per_second"),
        ("[tenants.shop]\nweight = 0", "weight is above 0"),
        ("[tenants.shop]\nmethods = 'all'", "methods is a list"),
        ('[tenants."a b"]\nweight = 1', "is no table of a tenant's name"),
        ("[tenants]\nshop = 1", "is no table of a tenant's name"),
        ('[access]\nunlisted = "maybe"', "[access] has unlisted"),
        ("default = 1", "[default] is no table"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(FileProblem) as caught:
        read(tmp_path / "tenants.toml", text)
    assert told in str(caught.value)


DOCS = Path(__file__).parents[3] / "docs" / "security.md"


def test_the_file_in_the_documentation_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    tenants = read(tmp_path / "t", example)
    assert tenants.unlisted is None
    assert tenants.rules("shop").quota.turns_per_second == 50
    assert tenants.rules("shop").quota.tokens_per_day == 2_000_000


def test_every_setting_and_test_that_the_documentation_names_is_there() -> None:
    text = DOCS.read_text()
    variables = {field.metadata["variable"] for field in dataclasses.fields(Settings)}
    named = set(re.findall(r"\bKEFU_GATEWAY_[A-Z_]+[A-Z]\b", text))
    assert named
    assert named <= variables, named - variables
    tests = {path.name: path for path in (DOCS.parents[1] / "tests").rglob("test_*.py")}
    whole = "\n".join(path.read_text() for path in tests.values())
    for name in re.findall(r"`(test_[a-z_]+(?:\.py|…)?)`", text):
        if name.endswith(".py"):
            assert name in tests, name
        else:
            assert f"def {name.removesuffix('…')}" in whole, name
