"""API keys over the wire: who gets in, what the others hear, and what happens when the file changes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from kefu.chat.v1 import chat_service_pb2
from kefu_common.errors import Reason
from kefu_gateway.adapters.identity.keys import new_key
from kefu_gateway.app.identity import open_identity
from kefu_gateway.config import Settings
from tests.rpc.gateway.test_chat_road import ask
from tests.rpc.identity.houses import (
    GuardedHouse,
    Header,
    bearer,
    details_of,
    error_of,
    open_house,
    write_keys,
)
from tests.rpc.identity.test_tenants_apart import SERVICES

METHODS = [
    f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods
]
METERED = pytest.mark.parametrize("house", ["127.0.0.1:0"], indirect=True)


@pytest.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[GuardedHouse]:
    """With metrics where METERED stands: their end takes half a second."""
    tenants = tmp_path / "tenants.toml"
    tenants.write_text('[tenants.reader]\nmethods = ["ModelService/*", "ChatService/Chat"]\n')
    expired = new_key("shop", datetime.now(UTC) - timedelta(days=1))
    write_keys(tmp_path / "keys", "shop", "reader")
    append(tmp_path / "keys", f"{expired[1]}  # its day is over\n")
    (tmp_path / "expired").write_text(expired[0])
    async with open_house(
        tmp_path,
        keys=str(tmp_path / "keys"),
        tenants=str(tenants),
        metrics_address=getattr(request, "param", ""),
    ) as house:
        yield house


async def refusal(house: GuardedHouse, header: Header, method: str = "") -> grpc.aio.AioRpcError:
    call = house.channel.stream_stream(method or "/kefu.chat.v1.ChatService/Chat")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        # No protobuf at all: were it read, the gateway would have to say so.
        async for _ in call(iter([b"\xff\xff\xff"]), metadata=header, timeout=60):
            pass
    return caught.value


async def test_no_method_is_reached_without_a_credential(house: GuardedHouse) -> None:
    for method in METHODS:
        error = error_of(await refusal(house, (), method))
        assert error.reason is Reason.CREDENTIAL_INVALID, method


@METERED
async def test_whatever_is_wrong_the_caller_hears_the_same(
    house: GuardedHouse, tmp_path: Path
) -> None:
    """What was wrong is in the counter alone: a stranger must not learn that half of a guess was right."""
    (good, _) = write_keys(tmp_path / "other", "shop", "reader")
    lines = (tmp_path / "keys").read_text().split()
    known_id = lines[1]
    wrong = {
        "unknown_key": bearer(good),
        "wrong_secret": bearer(f"kefu_{known_id}_{'A' * 43}"),
        "expired_key": bearer((tmp_path / "expired").read_text()),
        "other_scheme": (("authorization", f"Basic {good}"),),
        "two_credentials": (*bearer(good), *bearer(good)),
    }
    heard = {cause: details_of(await refusal(house, header)) for cause, header in wrong.items()}
    assert len(set(heard.values())) == 1, heard
    assert heard["unknown_key"][0] is grpc.StatusCode.UNAUTHENTICATED
    for odd in ("", "kefu_", "Bearer", "kefu_x_y_z", "~" * 5000):
        assert details_of(await refusal(house, bearer(odd))) == heard["unknown_key"]
    shown = await house.metrics()
    for cause in wrong:
        assert f'kefu_credentials_refused_total{{cause="{cause}"}} ' in shown
    assert 'kefu_requests_rejected_total{reason="CREDENTIAL_INVALID"} 10.0' in shown
    assert house.triton.seen == []


async def test_health_is_open_and_reflection_is_not(house: GuardedHouse) -> None:
    health = health_pb2_grpc.HealthStub(house.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=60)).status
    reflection = reflection_pb2_grpc.ServerReflectionStub(house.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    for _ in range(20):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflection.ServerReflectionInfo(iter([request])).read()
        # What grpc.aio says of a call that was refused before its own message was sent.
        if "execute_batch" not in str(caught.value.debug_error_string()):
            break
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@METERED
async def test_keys_come_and_go_while_the_gateway_runs(house: GuardedHouse, tmp_path: Path) -> None:
    """A rotation: the second key is added, then the first one taken out; a file with a mistake changes nothing."""
    path = tmp_path / "keys"
    (old_line, *others) = path.read_text().splitlines()
    old = new_key("shop")
    path.write_text("\n".join([old_line, old[1], *others]))
    await accepted(house, old[0])
    new = new_key("shop")
    window = house.caller(old[0]).chat.Converse(metadata=bearer(old[0]), timeout=60)
    start = chat_service_pb2.ConverseStart(session_id="s")
    await window.write(chat_service_pb2.ConverseRequest(start=start))
    await window.write(chat_service_pb2.ConverseRequest(question=ask("在吗?")))
    while (await window.read()).WhichOneof("event") != "answer":
        pass

    path.write_text(f"{old[1]}\n{new[1]}\n")
    await accepted(house, new[0])
    path.write_text(f"{new[1]}\nshop {new[1].split()[1]} sha256:me\n")
    await counted(house, 'kefu_reloads_total{outcome="failed",what="keys"} 1.0')
    assert 'kefu_reload_good{what="keys"} 0.0' in await house.metrics()
    await house.caller(old[0]).ask(ask("hi"))
    path.write_text(f"{new[1]}\n")
    await counted(house, 'kefu_reloads_total{outcome="ok",what="keys"} 3.0')
    assert 'kefu_reload_good{what="keys"} 1.0' in await house.metrics()
    assert error_of(await refusal(house, bearer(old[0]))).reason is Reason.CREDENTIAL_INVALID
    await house.caller(new[0]).ask(ask("hi"))
    # The stream that was opened with the key that is gone: it stays, and may ask nothing more.
    await window.write(chat_service_pb2.ConverseRequest(question=ask("还在吗?", request_id="r9")))
    heard = await window.read()
    assert (heard.request_id, heard.error.reason) == ("r9", Reason.CREDENTIAL_INVALID.value)


async def accepted(house: GuardedHouse, key: str) -> None:
    """Returns when the gateway has taken the key up."""
    while True:
        try:
            await house.caller(key).ask(ask("hi"))
            return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


async def counted(house: GuardedHouse, line: str) -> None:
    while line not in await house.metrics():
        pass


async def test_a_tenant_calls_only_what_it_may(house: GuardedHouse, tmp_path: Path) -> None:
    reader = new_key("reader")
    append(tmp_path / "keys", f"{reader[1]}\n")
    await accepted(house, reader[0])
    error = error_of(
        await refusal(house, bearer(reader[0]), "/kefu.chat.v1.SessionService/DeleteSession")
    )
    assert error.reason is Reason.PERMISSION_DENIED
    assert error.metadata["method"] == "kefu.chat.v1.SessionService/DeleteSession"


async def test_tenants_that_are_not_listed_may_be_refused(tmp_path: Path) -> None:
    shop, bank = write_keys(tmp_path / "keys", "shop", "bank")
    tenants = tmp_path / "tenants.toml"
    tenants.write_text('[access]\nunlisted = "refuse"\n[tenants.shop]\n')
    async with open_house(tmp_path, keys=str(tmp_path / "keys"), tenants=str(tenants)) as house:
        await house.caller(shop).ask(ask("hi"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.caller(bank).ask(ask("hi"))
        assert error_of(caught.value).reason is Reason.PERMISSION_DENIED


@METERED
async def test_figures_show_named_tenants_alone(house: GuardedHouse, tmp_path: Path) -> None:
    key = new_key("shop")
    append(tmp_path / "keys", f"{key[1]}\n")
    await accepted(house, key[0])
    with pytest.raises(grpc.aio.AioRpcError):
        await house.caller(key[0]).ask(ask())
    shown = await house.metrics()
    assert 'kefu_tenant_turns_total{outcome="answered",tenant="shop"} 1.0' in shown
    assert 'kefu_tenant_tokens_total{kind="completion",tenant="shop"} 1.0' in shown
    assert 'kefu_tenant_rejected_total{reason="TURN_EMPTY",tenant="shop"} 1.0' in shown
    assert 'kefu_tenant_turns_running{tenant="shop"} 0.0' in shown


async def test_an_open_gateway_says_so_where_others_can_reach_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing listens here: it is said while the gateway is built."""

    async def told(address: str, **settings: str) -> str:
        async with open_identity(Settings(address=address, **settings), CollectorRegistry()):
            return "".join(capfd.readouterr())

    write_keys(tmp_path / "keys", "shop")
    for here in ("127.0.0.1:50051", "localhost:50051", "[::1]:50051", "unix:/run/kefu.sock"):
        assert await told(here) == ""
    for everywhere in ("0.0.0.0:50051", "[::]:50051", "gateway.corp:50051"):
        assert "the gateway is open" in await told(everywhere)
        assert "travel in the clear" in await told(everywhere, keys=str(tmp_path / "keys"))


@METERED
async def test_no_key_and_no_hash_is_in_a_log(
    house: GuardedHouse, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = new_key("shop")
    await refusal(house, bearer(key[0]))
    append(tmp_path / "keys", f"{key[1]}\nshop {key[0]} {key[0]}\n")
    await counted(house, 'kefu_reloads_total{outcome="failed",what="keys"} 1.0')
    logged = "".join(capfd.readouterr())
    assert "reload failed" in logged
    assert key[0].rpartition("_")[2] not in logged
    assert hashlib.sha256(key[0].encode()).hexdigest() not in logged
    assert not re.search(r"[0-9a-f]{64}", logged)
