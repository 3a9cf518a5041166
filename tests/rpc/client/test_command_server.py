"""`kefu models`, `kefu health`, `kefu version`."""

from __future__ import annotations

import json
from typing import Any

from kefu.chat.v1.model_service_pb2 import Limits, ListModelsResponse, Model, ModelState
from tests.fakes.gateway import FakeGateway
from tests.rpc.client.conftest import Kefu


def test_models(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.models = ListModelsResponse(
        models=[
            Model(
                name="reader",
                description="reads text on pictures",
                engine="reader",
                state=ModelState.MODEL_STATE_READY,
                context_tokens=4096,
                max_pictures=5,
                max_pixels=1_000_000,
                sees=["text"],
                licence="Apache-2.0",
                is_default=True,
            )
        ],
        limits=Limits(picture_bytes=20 * 2**20, message_bytes=21 * 2**20, pictures=10, parts=20),
    )
    code, out, _ = kefu("models")
    assert code == 0
    assert "reader (default)  ready  reader    4,096         5   1,000,000  text  Apache-2.0" in out
    assert "20 MiB and 0 pixels a picture" in out
    document: dict[str, Any] = json.loads(kefu("models", "--json")[1])
    assert document["models"][0]["state"] == "MODEL_STATE_READY"
    assert document["limits"]["pictures"] == 10


def test_health_says_what_is_missing(gateway: FakeGateway, kefu: Kefu) -> None:
    for service in ("", "kefu.chat.v1.ChatService", "kefu.dependency.preprocess"):
        gateway.is_healthy(service)
    code, out, _ = kefu("health")
    assert code == 0
    assert "the model server        kefu.dependency.triton      not told" in out
    gateway.is_healthy("", False)
    gateway.is_healthy("kefu.dependency.triton", False)
    code, out, _ = kefu("health")
    assert code == 1
    assert "the model server        kefu.dependency.triton      NOT SERVING" in out
    code, out, _ = kefu("health", "--json")
    assert code == 1
    assert json.loads(out) == {
        "": "NOT_SERVING",
        "kefu.chat.v1.ChatService": "SERVING",
        "kefu.dependency.triton": "NOT_SERVING",
        "kefu.dependency.preprocess": "SERVING",
        "kefu.dependency.store": "SERVICE_UNKNOWN",
    }


def test_health_tells_of_every_hosted_model(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.models = ListModelsResponse(models=[Model(name="reader"), Model(name="magma_8b")])
    for service in ("", "kefu.dependency.store", "kefu.dependency.model.reader"):
        gateway.is_healthy(service)
    gateway.is_healthy("kefu.dependency.model.magma_8b", False)
    code, out, _ = kefu("health")
    # One model that is missing is told of; whether that matters is for the gateway as a whole to say.
    assert code == 0
    assert "the session store       kefu.dependency.store           serving" in out
    assert "the model reader        kefu.dependency.model.reader    serving" in out
    assert "the model magma_8b      kefu.dependency.model.magma_8b  NOT SERVING" in out


def test_version(kefu: Kefu) -> None:
    code, out, _ = kefu("version")
    assert code == 0
    assert out.startswith("kefu 0.")
