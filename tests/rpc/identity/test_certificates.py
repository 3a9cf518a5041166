"""TLS and mutual TLS over the wire: certificates that change while a client streams, and tenants in certificates."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from kefu.chat.v1 import chat_service_pb2
from kefu_common.environment import SettingsError
from kefu_common.errors import Reason
from tests.fakes.triton import FakeTriton, Script
from tests.fixtures.authority import Authority, PairFiles
from tests.rpc.gateway.test_chat_road import ask
from tests.rpc.identity.houses import (
    GuardedHouse,
    error_of,
    open_house,
    until,
    write_keys,
)

HERE = {"dns": ["localhost"], "ips": ["127.0.0.1"]}


def secure(
    house: GuardedHouse, authority: Authority, pair: PairFiles | None = None
) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.path.read_bytes(),
        pair.key.read_bytes() if pair else None,
        pair.certificate.read_bytes() if pair else None,
    )
    return grpc.aio.secure_channel(house.gateway.address, credentials)


def files(pair: PairFiles, authority: Authority | None = None) -> dict[str, object]:
    return {
        "tls_certificate": str(pair.certificate),
        "tls_key": str(pair.key),
        "tls_client_authority": str(authority.path) if authority else "",
    }


async def shown_by(house: GuardedHouse) -> int:
    """The serial number of the certificate that a new connection is shown."""

    def look() -> int:
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["h2"])
        host, _, port = house.gateway.address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=60) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            shown = connection.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number

    return await asyncio.to_thread(look)


def serial(pair: PairFiles) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


async def test_certificates_change_while_a_client_streams(tmp_path: Path) -> None:
    """As a mounted secret changes: a link in the path is swapped. New connections get the new certificate, of another
    authority even; the old stream lives. A broken one changes nothing, and says so."""
    secrets = {}
    for name in ("old", "new", "broken"):
        (tmp_path / name).mkdir()
        authority = Authority(tmp_path / name)
        secrets[name] = (authority, authority.issue("tls", **HERE))
    (tmp_path / "broken" / "tls-key.pem").write_bytes(secrets["old"][1].key.read_bytes())
    link = tmp_path / "..data"
    link.symlink_to("old")

    def swap(name: str) -> None:
        beside = tmp_path / "..tmp"
        beside.symlink_to(name)
        os.replace(beside, link)

    settings = files(PairFiles(link / "tls.pem", link / "tls-key.pem"))
    async with open_house(tmp_path, metrics_address="127.0.0.1:0", **settings) as house:
        house.triton.script = Script(["a", "b"], pause_after=1)
        async with secure(house, secrets["old"][0]) as old:
            caller = house.caller(channel=old)
            request = chat_service_pb2.StreamChatRequest(question=ask("hi"))
            stream = caller.chat.StreamChat(request, timeout=60)
            assert (await stream.read()).delta.text == "a"

            swap("broken")
            while (
                'kefu_reloads_total{outcome="failed",what="tls"} 1.0' not in await house.metrics()
            ):
                pass
            assert await shown_by(house) == serial(secrets["old"][1])
            swap("new")
            assert await shown_by(house) == serial(secrets["new"][1])
            async with secure(house, secrets["new"][0]) as new:
                house.triton.script = Script(["c"])
                assert (await house.caller(channel=new).ask(ask("hi"))).text == "c"
            house.triton.go_on.set()
            assert (await stream.read()).delta.text == "b"
            assert (await stream.read()).answer.text == "ab"
        assert "kefu_tls_certificate_expires_timestamp_seconds" in await house.metrics()


async def test_a_plain_caller_gets_nothing_from_a_door_with_tls(tmp_path: Path) -> None:
    async with open_house(tmp_path, **files(Authority(tmp_path).issue("tls", **HERE))) as house:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.caller().ask(ask("hi"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_files_that_cannot_be_used_are_told_all_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine, other = authority.issue("mine"), authority.issue("other")
    over = authority.issue("over", lives=timedelta(days=-1))
    (tmp_path / "keys").write_text("shop\n")
    (tmp_path / "jwks").write_text("{}")
    (tmp_path / "tenants").write_text("[tenants.shop]\nturns = 1\n")
    wrong = {
        "keys": str(tmp_path / "keys"),
        "jwt_keys": str(tmp_path / "jwks"),
        "tenants": str(tmp_path / "tenants"),
        "triton_tls_authority": str(tmp_path / "keys"),
    }

    async def told(pair: PairFiles, **changes: object) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            async with open_house(tmp_path, **{**files(pair), **changes}):
                pass
        return caught.value.problems

    problems = await told(PairFiles(mine.certificate, other.key), **wrong)
    assert [problem.partition(":")[0] for problem in problems] == [
        "KEFU_GATEWAY_TLS_CERT",
        "KEFU_GATEWAY_KEYS",
        "KEFU_GATEWAY_JWT_JWKS",
        "KEFU_GATEWAY_TENANTS",
        "KEFU_GATEWAY_TRITON_TLS",
    ]
    assert "other-key.pem is not the one of the certificate" in problems[0]
    assert "line 1: a line is: tenant, key id, sha256:HASH" in problems[1]
    assert "has no setting 'turns'; there are turns_per_second" in problems[3]
    assert "ended on" in (await told(over))[0]
    assert "holds no PEM certificate" in (await told(PairFiles(mine.key, mine.key)))[0]
    assert "is no PEM private key" in (await told(PairFiles(mine.certificate, mine.certificate)))[0]
    nothing = PairFiles(tmp_path / "nothing.pem", mine.key)
    assert "no such file" in (await told(nothing))[0]


async def test_a_certificate_names_its_tenant(tmp_path: Path) -> None:
    """SPIFFE names. A certificate of our authority without such a name, and one with two, are nobody's."""
    authority = Authority(tmp_path)
    shop = authority.issue("shop", uris=["spiffe://corp/ns/shop/sa/bot"])
    bank = authority.issue("bank", uris=["spiffe://corp/ns/bank/sa/bot"], dns=["shop"])
    nobody = authority.issue("nobody", common_name="spiffe://corp/ns/shop/sa/bot", dns=["shop"])
    both = authority.issue(
        "both", uris=["spiffe://corp/ns/shop/sa/a", "spiffe://corp/ns/bank/sa/a"]
    )
    settings = {
        **files(authority.issue("server", **HERE), authority),
        "tls_tenant": "uri",
        "tls_tenant_pattern": "spiffe://corp/ns/(?P<tenant>[^/]+)/sa/.+",
        "keys": str(tmp_path / "keys"),
    }
    (shop_key,) = write_keys(tmp_path / "keys", "shop")
    async with open_house(tmp_path, **settings) as house:
        for pair in (shop, bank):
            async with secure(house, authority, pair) as channel:
                caller = house.caller(channel=channel)
                answer = await caller.ask(ask("hi", session_id="s"))
                assert answer.usage.history_rounds == 0
                request = chat_service_pb2.StreamChatRequest(question=ask("hi", session_id="s"))
                events = [event async for event in caller.chat.StreamChat(request, timeout=60)]
                assert events[-1].answer.usage.history_rounds == 1
        for pair in (nobody, both):
            async with secure(house, authority, pair) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await house.caller(channel=channel).ask(ask("hi"))
                assert error_of(caught.value).reason is Reason.CREDENTIAL_INVALID
        # A key and a certificate together must name the same tenant: a key that was stolen opens nothing elsewhere.
        async with secure(house, authority, shop) as channel:
            await house.caller(shop_key, channel).ask(ask("hi"))
        async with secure(house, authority, bank) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await house.caller(shop_key, channel).ask(ask("hi"))
            assert error_of(caught.value).reason is Reason.CREDENTIAL_INVALID
        stranger = Authority(tmp_path, "stranger").issue("eve", uris=["spiffe://corp/ns/shop/sa/e"])
        for pair in (None, stranger):
            async with secure(house, authority, pair) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await house.caller(shop_key, channel).ask(ask("hi"))
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_triton_is_asked_over_mutual_tls_and_with_new_certificates(tmp_path: Path) -> None:
    """The gateway's own certificate is replaced: it goes on with the new one; what runs on the old one ends there."""
    authority = Authority(tmp_path)
    pair = authority.issue("gateway")
    server = authority.issue("triton", dns=["triton.internal"])
    triton = FakeTriton()
    pairs = [(server.key.read_bytes(), server.certificate.read_bytes())]
    await triton.start(
        credentials=grpc.ssl_server_credentials(
            pairs, authority.path.read_bytes(), require_client_auth=True
        )
    )
    settings = {
        "triton_address": triton.address,
        "triton_tls_authority": str(authority.path),
        "triton_tls_certificate": str(pair.certificate),
        "triton_tls_key": str(pair.key),
        "triton_tls_name": "triton.internal",
    }
    async with open_house(tmp_path, **settings) as house:
        triton.script = Script(["a", "b"], pause_after=1)
        request = chat_service_pb2.StreamChatRequest(question=ask("hi"))
        stream = house.caller().chat.StreamChat(request, timeout=60)
        assert (await stream.read()).delta.text == "a"
        new = authority.issue("gateway").certificate.read_bytes().strip()
        await until(lambda: new in {shown.strip() for shown in triton.certificates})
        triton.go_on.set()
        assert (await stream.read()).delta.text == "b"
        triton.script = Script(["c"])
        assert (await house.caller().ask(ask("hi"))).text == "c"
    await triton.stop()


@pytest.mark.parametrize(
    ("where", "pattern"),
    [("common_name", "(?P<tenant>[a-z]+)-bot"), ("dns", r"(?P<tenant>[a-z]+)\.corp")],
)
async def test_other_places_for_a_tenants_name(tmp_path: Path, where: str, pattern: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("shop-bot", dns=["shop.corp"], uris=["spiffe://bank.corp/bank-bot"])
    settings = {
        **files(authority.issue("server", **HERE), authority),
        "tls_tenant": where,
        "tls_tenant_pattern": pattern,
        "tenants": str(tmp_path / "tenants"),
    }
    (tmp_path / "tenants").write_text('[access]\nunlisted = "refuse"\n[tenants.shop]\n')
    async with open_house(tmp_path, **settings) as house, secure(house, authority, pair) as channel:
        assert (await house.caller(channel=channel).ask(ask("hi"))).text == "ok"
