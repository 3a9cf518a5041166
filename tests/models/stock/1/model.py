"""Answers with the prompt's last line, a character a token, over the tensors of Triton's vLLM backend.

A prompt whose last line is `slow` writes until it is cancelled; `too long` fails with vLLM's words.  Each picture
counts ten prompt tokens; the answer ends with the pictures' sizes in bytes, so that a test sees that they arrived.
"""

import locale

locale.setlocale(locale.LC_ALL, "C.UTF-8")

import base64  # noqa: E402
import json  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402

_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_TOO_LONG = "The decoder prompt (length 9999) is longer than the maximum model length of 512."


class TritonPythonModel:
    def initialize(self, args):
        self._cancelled = 0

    def execute(self, requests):
        for request in requests:
            threading.Thread(
                target=self._serve, args=(request, request.get_response_sender())
            ).start()
        return None

    def _serve(self, request, sender):
        def text(name):
            found = pb_utils.get_input_tensor_by_name(request, name)
            return None if found is None else [v.decode() for v in found.as_numpy()]

        def flag(name):
            found = pb_utils.get_input_tensor_by_name(request, name)
            return found is not None and bool(found.as_numpy()[0])

        asked = {
            n: flag(f"return_{n}")
            for n in ("finish_reason", "logprobs", "num_input_tokens", "num_output_tokens")
        }
        prompt = text("text_input")[0]
        pictures = [base64.b64decode(one, validate=True) for one in text("image") or ()]
        settings = json.loads(text("sampling_parameters")[0])
        # As the backend does it: this one value is JSON within the JSON.
        if "structured_outputs" in settings:
            json.loads(settings["structured_outputs"])
        line = prompt.rstrip("\n").rpartition("\n")[2]
        if line == "too long" or not flag("stream"):
            self._fail(sender, _TOO_LONG)
            return
        if line == "cancelled?":
            line = str(self._cancelled)
        answer = line + "".join(f" {len(one)}" for one in pictures)
        pieces = iter(lambda: "x", None) if line == "slow" else iter(answer)
        most = settings["max_tokens"]
        for sent, piece in enumerate(pieces, 1):
            if sender.is_cancelled():
                self._cancelled += 1
                error = pb_utils.TritonError(
                    "Request was cancelled", pb_utils.TritonError.CANCELLED
                )
                sender.send(pb_utils.InferenceResponse(error=error), flags=_FINAL)
                return
            reason = (
                "length"
                if sent == most
                else "stop"
                if line != "slow" and sent == len(answer)
                else None
            )
            self._send(sender, asked, piece, reason, prompt, pictures)
            if reason:
                return
            if line == "slow":
                time.sleep(0.01)

    def _send(self, sender, asked, piece, reason, prompt, pictures):
        told = {"text_output": np.array([piece.encode()], np.object_)}
        if asked["finish_reason"]:
            told["finish_reason"] = np.array([str(reason).encode()], np.object_)
        if asked["logprobs"]:
            one = {str(ord(piece)): {"logprob": -0.25, "rank": 1, "decoded_token": piece}}
            told["logprobs"] = np.array([json.dumps([one]).encode()], np.object_)
        if asked["num_input_tokens"]:
            told["num_input_tokens"] = np.asarray(
                len(prompt.encode()) + 10 * len(pictures), np.uint32
            )
        if asked["num_output_tokens"]:
            told["num_output_tokens"] = np.asarray([1], np.uint32)
        tensors = [pb_utils.Tensor(name, value) for name, value in told.items()]
        sender.send(pb_utils.InferenceResponse(tensors), flags=_FINAL if reason else 0)

    def _fail(self, sender, words):
        error = pb_utils.TritonError(f"Error generating stream: {words}")
        nothing = pb_utils.Tensor("text_output", np.asarray(["N/A"], np.object_))
        sender.send(pb_utils.InferenceResponse([nothing], error=error), flags=_FINAL)
