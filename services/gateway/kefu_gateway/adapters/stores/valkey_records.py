"""What the Valkey store's scripts keep, as bytes. `lua/prelude.lua` lists the forms."""

from __future__ import annotations

import json

from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.session import Entry, Failure, KeptTurn
from kefu_gateway.wire.transcripts import outcome_from_json, turn_from_json, turn_to_json


def micro(seconds: float) -> int:
    return round(seconds * 1_000_000)


def turn_to_bytes(turn: KeptTurn) -> bytes:
    return b"%d %s" % (turn.chain, turn_to_json(turn))


def turn_from_bytes(kept: bytes) -> KeptTurn:
    return turn_from_json(kept.partition(b" ")[2])


def outcome_from_bytes(found: bytes | None) -> Answer | Failure | None:
    if not found:
        return None
    if found.startswith(b"T"):
        return turn_from_bytes(found).answer
    return outcome_from_json(found[1:])


def entry_to_bytes(entry: Entry) -> bytes:
    head = [entry.request_id, entry.fingerprint, entry.arrived_at, entry.gateway]
    return json.dumps(head).encode() + b"\n" + entry.payload


def entry_from_bytes(data: bytes) -> Entry:
    head, _, payload = data.partition(b"\n")
    request_id, fingerprint, arrived_at, gateway = json.loads(head)
    return Entry(
        request_id=request_id,
        fingerprint=fingerprint,
        payload=payload,
        arrived_at=arrived_at,
        gateway=gateway,
    )
