"""Who still wants an answer.

    caller = callers.enter(request_id)      # before the engine sees the request
    caller.left                             # True once somebody asked to stop it
    callers.stop(request_id)                # False: no such request is in work here
    callers.leave(caller)

Triton tells of a cancelled call by itself (`response_sender.is_cancelled`), but its gRPC front end may not survive one
that is cancelled while it writes a response (docs/models.md).  So a request can also be stopped by a message: a request
to the same model, on the same stream, whose prompt is empty and whose `sampling` is {"cancel": "<id of the request>"}.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Caller:
    """Of one request in work; `id` is the request's own, empty where it has none."""

    id: str
    left: bool = False


class Callers:
    """Of all requests in work.  Two of the same id are both stopped: ids are the callers' to choose."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, set[Caller]] = {}

    def enter(self, request_id: str) -> Caller:
        caller = Caller(request_id)
        if request_id:
            with self._lock:
                self._known.setdefault(request_id, set()).add(caller)
        return caller

    def leave(self, caller: Caller) -> None:
        with self._lock:
            same = self._known.get(caller.id, set())
            same.discard(caller)
            if not same:
                self._known.pop(caller.id, None)

    def stop(self, request_id: str) -> bool:
        with self._lock:
            found = self._known.get(request_id, ())
            for caller in found:
                caller.left = True
            return bool(found)


def to_cancel(request: Any, pb_utils: Any) -> str | None:
    """The id that a cancelling message names; None for every other request, also for one that is wrong."""
    prompt = pb_utils.get_input_tensor_by_name(request, "input_ids")
    if prompt is None or prompt.as_numpy().size:
        return None
    sampling = pb_utils.get_input_tensor_by_name(request, "sampling")
    try:
        said = json.loads(sampling.as_numpy().reshape(-1)[0])
        found = said["cancel"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, str) and found else None
