"""What Triton lets anybody do: ask for answers and for health. Everything else wants a key.

    arguments = closed_arguments(key, http=False)
    await client.load_model("reader", headers=key_header(key))

Without this, whoever reaches the port may load a model of their own making (Triton runs its Python), map shared memory
of the host into a request, read configurations, or switch tracing on and fill the disk. The key is a header that the
server itself compares. It stands in the server's argument list: whoever may read that is on the host, as us.
"""

from __future__ import annotations

HEADER = "kefu-admin-key"
RESTRICTED = (
    "shared-memory",
    "model-repository",
    "model-config",
    "metadata",
    "statistics",
    "trace",
    "logging",
)
# Request and response objects that the server keeps for reuse; what is in flight beyond them is freed when it is done.
POOL = 64


def closed_arguments(key: str, *, http: bool, flags: frozenset[str]) -> list[str]:
    """The server's arguments. `flags`: what this server knows (newer ones can bound the pool of streamed responses)."""
    rule = f"{','.join(RESTRICTED)}:{HEADER}={key}"
    arguments = [
        f"--grpc-restricted-protocol={rule}",
        f"--grpc-infer-allocation-pool-size={POOL}",
    ]
    if http:
        arguments.append(f"--http-restricted-api={rule}")
    if "grpc-max-response-pool-size" in flags:
        arguments.append(f"--grpc-max-response-pool-size={POOL}")
    return arguments


def key_header(key: str) -> dict[str, str]:
    """What a call that is restricted must carry."""
    return {f"triton-grpc-protocol-{HEADER}": key}
