"""JSON Web Tokens at the door: which are let in, which are not, and how new keys of the issuer come in."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from kefu_common.environment import SettingsError, load
from kefu_common.errors import Reason
from kefu_gateway.adapters.identity.reloading import FileProblem
from kefu_gateway.adapters.identity.tokens import read_key_set
from kefu_gateway.config import PREFIX, Settings
from tests.rpc.gateway.test_chat_road import ask
from tests.rpc.identity.houses import GuardedHouse, error_of, open_house, until

ISSUER, AUDIENCE = "https://login.corp", "kefu"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
MAKERS = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def public(key: Any, algorithm: str, **fields: str) -> dict[str, Any]:
    raw = json.loads(MAKERS[algorithm].to_jwk(key.public_key()))
    raw.pop("key_ops", None)
    return {**raw, **fields}


KEYS = [
    public(RSA, "RS256", kid="rsa", use="sig"),
    public(EC, "ES256", kid="ec", alg="ES256"),
    public(ED, "EdDSA", kid="ed"),
]


def token(
    key: Any = RSA,
    algorithm: str = "RS256",
    kid: str | None = "rsa",
    without: str = "",
    **claims: Any,
) -> str:
    now = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": [AUDIENCE, "other"],
        "exp": now + 600,
        "nbf": now,
        "kefu": {"tenant": "shop"},
        **claims,
    }
    said.pop(without, None)
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(said, key, algorithm=algorithm, headers=headers)


def settings(keys: Path | str) -> dict[str, object]:
    return {
        "jwt_keys": str(keys),
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "jwt_tenant_claim": "/kefu/tenant",
        "jwt_leeway_seconds": 60.0,
    }


def write(path: Path, *keys: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": keys}))
    return path


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[GuardedHouse]:
    async with open_house(tmp_path, **settings(write(tmp_path / "jwks", *KEYS))) as house:
        yield house


async def refused(house: GuardedHouse, sent: str) -> Reason:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.caller(sent).ask(ask("hi"))
    return error_of(caught.value).reason


async def test_tokens_that_are_good(house: GuardedHouse) -> None:
    for good in (
        token(),
        token(EC, "ES256", "ec"),
        token(ED, "EdDSA", "ed"),
        token(aud=AUDIENCE, exp=int(time.time()) - 2),
        token(without="nbf"),
    ):
        assert (await house.caller(good).ask(ask("hi"))).text == "ok"


async def test_tokens_that_are_not(house: GuardedHouse) -> None:
    now = int(time.time())
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = token().split(".")
    bad = {
        "signed with the public key as a secret (RFC 8725, 2.1)": _hs256(pem),
        "not signed at all": jwt.encode({"iss": ISSUER}, "", algorithm="none"),
        "its signature taken off": f"{head}.{body}.",
        "another body": f"{head}.{_base64({'kefu': {'tenant': 'bank'}})}.{signature}",
        "another key of the same kind": token(rsa.generate_private_key(65537, 2048)),
        "an algorithm that is not allowed": token(algorithm="PS256"),
        "another key's id": token(kid="ec"),
        "no key id, where there are several keys": token(kid=None),
        "a key id that is not known": token(kid="new"),
        "of another issuer": token(iss="https://login.evil"),
        "for another service": token(aud="other"),
        "for nobody": token(without="aud"),
        "over": token(exp=now - 600),
        "without an end": token(without="exp"),
        "not yet": token(nbf=now + 600),
        "without a tenant": token(kefu={}),
        "whose tenant is a list": token(kefu={"tenant": ["shop", "bank"]}),
        "whose tenant is no name": token(kefu={"tenant": "a b"}),
        "whose tenant is nobody": token(kefu={"tenant": ""}),
        "no token": "a.b.c",
    }
    for what, sent in bad.items():
        assert await refused(house, sent) is Reason.CREDENTIAL_INVALID, what
    assert house.triton.seen == []
    # One changed character anywhere in a good token is enough.
    good = token()
    await house.caller(good).ask(ask("hi"))
    for place in range(5, len(good), len(good) // 12):
        other = "A" if good[place] != "A" else "B"
        changed = good[:place] + other + good[place + 1 :]
        assert await refused(house, changed) is Reason.CREDENTIAL_INVALID, place


def _base64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _hs256(secret: bytes) -> str:
    """By hand: PyJWT will not even sign with a public key."""
    claims = jwt.decode(token(), options={"verify_signature": False})
    signed = f"{_base64({'alg': 'HS256', 'kid': 'rsa'})}.{_base64(claims)}"
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


async def test_a_new_key_in_the_file_is_found_at_once_and_an_old_one_is_gone(
    house: GuardedHouse, tmp_path: Path
) -> None:
    kept = token(EC, "ES256", "ec")
    await house.caller(kept).ask(ask("hi"))
    new = ec.generate_private_key(ec.SECP256R1())
    write(tmp_path / "jwks", public(new, "ES256", kid="new"))
    await house.caller(token(new, "ES256", "new")).ask(ask("hi"))
    assert await refused(house, kept) is Reason.CREDENTIAL_INVALID, "remembered past its key"
    assert (await house.caller(token(new, "ES256", None)).ask(ask("hi"))).text == "ok"


class Issuer:
    """An identity provider on this machine."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.asked = 0
        self.url = ""


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(issuer.status)
            if issuer.status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps({"keys": issuer.keys}).encode())

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_keys_from_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the issuer answers, nobody is told that a token is wrong. Then a new key is found when a token names it;
    invented ids make nobody ask again; while the issuer is away, or sends nonsense, its last keys stay good."""
    from kefu_gateway.adapters.identity import remote_keys

    monkeypatch.setattr(remote_keys, "FIRST_PAUSE_SECONDS", 0.05)
    with issuing() as issuer:
        issuer.status = 302
        async with open_house(tmp_path, **settings(issuer.url)) as house:
            await until(lambda: issuer.asked)
            assert await refused(house, token()) is Reason.IDENTITY_UNAVAILABLE
            issuer.status, issuer.keys = 200, KEYS
            while True:
                try:
                    await house.caller(token()).ask(ask("hi"))
                    break
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
            monkeypatch.setattr(remote_keys, "PAUSE_SECONDS", 0.0)
            new = ec.generate_private_key(ec.SECP256R1())
            issuer.keys = [*KEYS, public(new, "ES256", kid="new")]
            await house.caller(token(new, "ES256", "new")).ask(ask("hi"))
            monkeypatch.setattr(remote_keys, "PAUSE_SECONDS", 3600.0)
            asked = issuer.asked
            strangers = (refused(house, token(kid=f"k{number}")) for number in range(20))
            assert set(await asyncio.gather(*strangers)) == {Reason.CREDENTIAL_INVALID}
            assert issuer.asked == asked
            monkeypatch.setattr(remote_keys, "PAUSE_SECONDS", 0.0)
            for issuer.status, issuer.keys in ((500, []), (200, [])):
                assert await refused(house, token(kid="k")) is Reason.CREDENTIAL_INVALID
                await house.caller(token(new, "ES256", "new")).ask(ask("hi"))


def test_keys_that_are_of_no_use_are_passed_over() -> None:
    weak = public(rsa.generate_private_key(65537, 1024), "RS256", kid="weak")
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"}
    sealed = public(RSA, "RS256", kid="sealed", use="enc")
    broken = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "broken"}
    odd: list[Any] = [weak, secret, sealed, broken, {"kty": "EC", "crv": ["P-256"]}, "text", 7]

    def read(*keys: Any) -> set[str]:
        document = json.dumps({"keys": keys}).encode()
        return set(read_key_set(document, "here", ("RS256", "ES256")).keys)

    assert read(*odd, *KEYS) == {"rsa", "ec"}
    with pytest.raises(FileProblem, match="no public key for any of RS256, ES256"):
        read(*odd)
    for document in (b"", b"[]", b'{"keys": 1}', b"\xff"):
        with pytest.raises(FileProblem):
            read_key_set(document, "here", ("RS256",))


def test_settings_that_do_not_go_together_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            Settings,
            {
                "KEFU_GATEWAY_TLS_KEY": "key.pem",
                "KEFU_GATEWAY_TLS_TENANT": "uri",
                "KEFU_GATEWAY_TLS_TENANT_PATTERN": "(",
                "KEFU_GATEWAY_JWT_JWKS": "http://login.corp/jwks",
                "KEFU_GATEWAY_JWT_ALGORITHMS": "HS256,none",
                "KEFU_GATEWAY_TRITON_TLS_CERT": "cert.pem",
                "KEFU_GATEWAY_MAX_TURNS": "0",
            },
            prefix=PREFIX,
        )
    told = "\n".join(caught.value.problems)
    for part in (
        "KEFU_GATEWAY_MAX_TURNS='0'",
        "KEFU_GATEWAY_TLS_CERT and KEFU_GATEWAY_TLS_KEY are needed together",
        "KEFU_GATEWAY_TLS_TENANT needs KEFU_GATEWAY_TLS_CLIENT_CA",
        "KEFU_GATEWAY_TLS_TENANT_PATTERN is no regular expression",
        "KEFU_GATEWAY_JWT_ALGORITHMS: 'HS256'",
        "KEFU_GATEWAY_JWT_ALGORITHMS: 'none'",
        "KEFU_GATEWAY_JWT_JWKS needs KEFU_GATEWAY_JWT_ISSUER",
        "KEFU_GATEWAY_JWT_JWKS needs KEFU_GATEWAY_JWT_AUDIENCE",
        "begins with https://",
        "KEFU_GATEWAY_TRITON_TLS_CERT and KEFU_GATEWAY_TRITON_TLS_KEY are needed together",
    ):
        assert part in told
