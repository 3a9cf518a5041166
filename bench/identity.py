"""What it costs to know who calls: the check by itself, and added to a call over the wire.

    ./dev bench identity [--calls 400] [--json FILE]

Gateways in this process, in front of a stand-in for Triton, one for each way of asking who calls; the same question
goes to all of them in turn, so each row's difference is of neighbours in time. Everything shares this process's loop:
the differences are what to look at, not the sums. The check by itself is timed alone, in CPU time.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bench.common import machine, parser, percentile, run, table, verdict, write_json
from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_common.logs import configure_logs
from kefu_gateway.adapters.identity.callers import Callers
from kefu_gateway.adapters.identity.keys import KeyRing, new_key, read_keys
from kefu_gateway.adapters.identity.tokens import TokenRules, Tokens, read_key_set
from kefu_gateway.app import Gateway
from kefu_gateway.domain.tenants import Tenants
from tests.contract.stores.servers import ValkeyServer, valkey_program
from tests.fixtures.authority import Authority
from tests.rpc.identity.houses import bearer, open_house

TARGET_MS = 0.1
CHECKS = 20_000
ISSUER, AUDIENCE = "https://login.bench", "kefu"
QUOTA = (
    "[default]\nturns_per_second = 1000000\nconcurrent_turns = 1000\ntokens_per_day = 1000000000\n"
)

_numbers = itertools.count()


@dataclass(slots=True)
class Way:
    """One way of asking who calls. `told` gives the headers of the next call."""

    name: str
    chat: Any
    told: Callable[[], Any]
    latencies: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    way: str
    p50_ms: float
    added_p50_ms: float
    added_p95_ms: float


class Source:
    """A key set that never changes."""

    def __init__(self, document: bytes) -> None:
        self.value = read_key_set(document, "bench", ("RS256", "ES256"))

    async def again(self) -> None:
        return


class Issuer:
    """Signs tokens, each another one."""

    def __init__(self) -> None:
        self._rsa = rsa.generate_private_key(65537, 2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())
        keys = [
            {**json.loads(RSAAlgorithm.to_jwk(self._rsa.public_key())), "kid": "RS256"},
            {**json.loads(ECAlgorithm.to_jwk(self._ec.public_key())), "kid": "ES256"},
        ]
        self.document = json.dumps({"keys": keys}).encode()

    def token(self, algorithm: str) -> str:
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 3600,
            "tenant": "shop",
            "jti": str(next(_numbers)),
        }
        key: Any = self._rsa if algorithm == "RS256" else self._ec
        return jwt.encode(said, key, algorithm=algorithm, headers={"kid": algorithm})


async def checks(folder: Path, issuer: Issuer) -> list[tuple[str, float]]:
    """CPU microseconds of one check, in this process."""
    key, line = new_key("shop")
    path = folder / "keys"
    path.write_text("".join(f"{new_key(f't{n}')[1]}\n" for n in range(1000)) + line + "\n")
    keys = read_keys(path)
    ring = KeyRing(lambda: keys, time.time)
    tenants = Tenants()
    rules = TokenRules(issuer=ISSUER, audiences=(AUDIENCE,), algorithms=("RS256", "ES256"))

    def callers(**sources: Any) -> Callers:
        given = {"keys": None, "tokens": None, "certificates": None, **sources}
        return Callers(**given, tenants=lambda: tenants, refused=lambda cause: None)

    async def timed(who: Callers, headers: list[Any]) -> float:
        method = "/kefu.chat.v1.ChatService/Chat"
        # CPU time: there is nothing to wait for, and others use this machine too.
        start = time.process_time()
        for header in headers:
            await who.by_headers(method, header)
        return (time.process_time() - start) / len(headers) * 1e6

    known = callers(tokens=Tokens(rules, Source(issuer.document)))
    token = bearer(issuer.token("RS256"))
    rows = [
        ("nobody is asked", await timed(callers(), [()] * CHECKS)),
        ("API key, of 1,001", await timed(callers(keys=ring), [bearer(key)] * CHECKS)),
        ("token, seen before", await timed(known, [token] * CHECKS)),
    ]
    for algorithm in ("ES256", "RS256"):
        fresh = callers(tokens=Tokens(rules, Source(issuer.document)))
        headers = [bearer(issuer.token(algorithm)) for _ in range(300)]
        rows.append((f"token, seen for the first time, {algorithm}", await timed(fresh, headers)))
    return rows


@asynccontextmanager
async def ways(folder: Path, issuer: Issuer) -> AsyncIterator[list[Way]]:
    key, line = new_key("shop")
    (folder / "keys").write_text(f"{line}\n")
    (folder / "jwks").write_bytes(issuer.document)
    (folder / "tenants").write_text(QUOTA)
    authority = Authority(folder)
    server = authority.issue("server", dns=["localhost"], ips=["127.0.0.1"])
    mine = authority.issue("shop")
    by_key = {"keys": str(folder / "keys")}
    by_token = {
        "jwt_keys": str(folder / "jwks"),
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
    }
    tls = {"tls_certificate": str(server.certificate), "tls_key": str(server.key)}
    mutual = {**tls, "tls_client_authority": str(authority.path), "tls_tenant": "common_name"}
    quota = {**by_key, "tenants": str(folder / "tenants")}
    async with AsyncExitStack() as stack:
        made: list[Way] = []

        async def add(name: str, told: Callable[[], Any], **settings: object) -> None:
            home = folder / f"house-{len(made)}"
            home.mkdir()
            # The answer cache would answer; the same words are asked again and again.
            opened = open_house(home, answer_cache_seconds=0.0, health_seconds=60.0, **settings)
            house = await stack.enter_async_context(opened)
            channel = house.channel
            if "tls_certificate" in settings:
                channel = await stack.enter_async_context(secure(house.gateway))
            made.append(Way(name, chat_service_pb2_grpc.ChatServiceStub(channel), told))

        def secure(gateway: Gateway) -> grpc.aio.Channel:
            credentials = grpc.ssl_channel_credentials(
                authority.path.read_bytes(), mine.key.read_bytes(), mine.certificate.read_bytes()
            )
            return grpc.aio.secure_channel(gateway.address, credentials)

        with_key = bearer(key)
        seen = bearer(issuer.token("RS256"))
        await add("open", lambda: ())
        await add("open, once more", lambda: ())
        await add("API key", lambda: with_key, **by_key)
        await add("token, seen before", lambda: seen, **by_token)
        await add("token, new each time", lambda: bearer(issuer.token("RS256")), **by_token)
        await add("TLS", lambda: (), **tls)
        await add("mutual TLS, tenant in it", lambda: (), **mutual)
        await add("API key, quotas here", lambda: with_key, **quota)
        if valkey_program() is not None:
            valkey = stack.enter_context(ValkeyServer(folder / "valkey", fsync="everysec"))
            await add("API key, quotas in Valkey", lambda: with_key, **quota, sessions=valkey.url)
        yield made


async def ask(way: Way, header: Any) -> float:
    """Milliseconds."""
    part = question_pb2.Part(text="hi")
    request = chat_service_pb2.ChatRequest(question=question_pb2.Question(parts=[part]))
    start = time.perf_counter()
    await way.chat.Chat(request, metadata=header, timeout=20)
    return (time.perf_counter() - start) * 1000


async def bench(calls: int, json_file: Path | None) -> int:
    issuer = Issuer()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checked = await checks(folder, issuer)
        async with ways(folder, issuer) as made:
            for number in range(calls + 20):
                # Another order each time: the first of a round pays for what the last one left.
                for place in range(len(made)):
                    way = made[(number + place) % len(made)]
                    header = way.told()
                    took = await ask(way, header)
                    if number >= 20:
                        way.latencies.append(took)
    rows = [row(way, made[0]) for way in made]
    print(table(["the check by itself", "CPU µs"], [[name, f"{us:.1f}"] for name, us in checked]))
    print()
    print(
        table(
            ["over the wire", "p50 ms", "added p50", "added p95"],
            [
                [r.way, f"{r.p50_ms:.2f}", f"{r.added_p50_ms:+.3f}", f"{r.added_p95_ms:+.3f}"]
                for r in rows
            ],
        )
    )
    print()
    key_us = dict(checked)["API key, of 1,001"]
    print(verdict("an API key's check", key_us / 1000, TARGET_MS, unit=" ms"))
    write_json(
        json_file,
        {
            "machine": machine(),
            "checks_us": dict(checked),
            "calls": [asdict(each) for each in rows],
        },
    )
    return 0 if key_us / 1000 <= TARGET_MS else 1


def row(way: Way, alone: Way) -> Row:
    pairs = [a - b for a, b in zip(way.latencies, alone.latencies, strict=True)]
    return Row(
        way=way.name,
        p50_ms=percentile(way.latencies, 0.5),
        added_p50_ms=percentile(pairs, 0.5),
        # Of the distributions: the tail of pairs is the sum of two tails.
        added_p95_ms=percentile(way.latencies, 0.95) - percentile(alone.latencies, 0.95),
    )


def main() -> int:
    options = parser("identity", __doc__ or "")
    options.add_argument("--calls", type=int, default=400, help="calls of each way (default 400)")
    given = options.parse_args()
    configure_logs("bench", "error")
    return run(bench(given.calls, given.json))


if __name__ == "__main__":
    raise SystemExit(main())
