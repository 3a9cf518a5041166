"""The exported tokenizer cuts text as the engine's own does: gateway and engine must mean the same by a token id.

The engine's own is llama.cpp in Triton's environment, so it is asked there, by a small program.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from kefu_modelhost.gguf import read_metadata
from kefu_modelhost.tokenizer import build_byte_tokenizer, build_tokenizer
from tests.fixtures.triton import TRITON_ENV, WEIGHTS, require_triton, require_weights

pytestmark = [pytest.mark.triton, pytest.mark.weights]

_TOKENIZE = """
import json, os, shutil, sys, tempfile
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup, params.verbosity, params.ui = 256, 1, False, -1, False
params.cache_ram_mib, params.fit_params = 0, False
folder = tempfile.mkdtemp()
params.hostnames = [os.path.join(folder, "http.sock")]
server = xllamacpp.Server(params)

import http.client, socket

class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(params.hostnames[0])

out = []
link = Unix("localhost")
for text, special in json.load(sys.stdin):
    body = json.dumps({"content": text, "add_special": False, "parse_special": special})
    link.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
    out.append(json.loads(link.getresponse().read())["tokens"])
shutil.rmtree(folder)
print("\\n" + json.dumps(out), flush=True)
os._exit(0)
"""

_PIECES = [
    *"退款为什么被拒绝已打包快递单号是多少优惠券过期了吗，。！？：；（）【】《》",
    *"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ 0123456789 .,:;!?-_/\\'\"()[]{}<>|@#$%^&*+=~`",
    *"éüñçøßžåÉÜ ёжик Привет שלום مرحبا ไทย हिन्दी 日本語カタカナ 한국어",
    *["👍", "👍🏽", "👨‍👩‍👧‍👦", "🇨🇳", "😀", "❤️", "\u200d", "\ufe0f", "\u3000", "\u00a0"],
    *[
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        " ",
        "  ",
        "   ",
        " \n",
        "'s",
        "'LL",
        "I'm",
        "2025-04-20 10:32:18",
    ],
    *[
        "¥299.00",
        "SF1390284756123",
        "e\u0301",
        "\u1100\u1161",
        "ﬁ",
        "２０２５",
        "A4:2B:B0:9C:11:7E",
    ],
]
_SPECIALS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|image_pad|>",
    "<|endoftext|>",
    "<|vision_start|>",
    "<tool_call>",
]


def random_texts(count: int) -> list[str]:
    rng = random.Random(20250420)
    texts = ["", " ", "\n", *_PIECES, *_SPECIALS]
    for _ in range(count):
        length = rng.randint(1, 60)
        pieces = rng.choices(_PIECES, k=length)
        if rng.random() < 0.4:
            pieces.insert(rng.randrange(length), rng.choice(_SPECIALS))
        if rng.random() < 0.3:
            # Anything that Unicode has, surrogates aside.
            pieces += [
                chr(rng.choice([*range(0x20, 0xD800), *range(0xE000, 0x1FFFF)])) for _ in range(5)
            ]
        texts.append("".join(pieces))
    return texts


@pytest.fixture(scope="module")
def weights() -> Path:
    require_triton()
    require_weights()
    return WEIGHTS / "reader/model.gguf"


def test_it_equals_the_engines_own_on_random_text(weights: Path) -> None:
    texts = random_texts(1500)
    cases = [(text, special) for text in texts for special in (True, False)]
    done = subprocess.run(
        [str(TRITON_ENV / "bin/python"), "-c", _TOKENIZE, str(weights)],
        input=json.dumps(cases).encode(),
        capture_output=True,
        check=True,
        timeout=150,
    )
    engine = json.loads(done.stdout.splitlines()[-1])
    ours = build_tokenizer(read_metadata(weights))
    assert len(engine) == len(cases)
    for (text, special), expected in zip(cases, engine, strict=True):
        ours.encode_special_tokens = not special
        assert ours.encode(text, add_special_tokens=False).ids == expected, (text, special)


def test_it_survives_being_written(weights: Path) -> None:
    """tokenizer.json as the gateway reads it, not only the object that was built."""
    built = build_tokenizer(read_metadata(weights))
    read = Tokenizer.from_file(str(weights.parent / "tokenizer.json"))
    for text in random_texts(200):
        ids = built.encode(text, add_special_tokens=False).ids
        assert read.encode(text, add_special_tokens=False).ids == ids
        assert read.decode(ids, skip_special_tokens=False) == text


def test_the_byte_tokenizer_is_bytes() -> None:
    tokenizer = build_byte_tokenizer(("<|picture|>",))
    said = "a 退款\n👍🏽"
    assert tokenizer.encode(f"<|picture|>{said}", add_special_tokens=False).ids == [
        256,
        *said.encode(),
    ]
    assert tokenizer.decode(list(said.encode())) == said
