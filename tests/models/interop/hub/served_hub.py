"""A Hugging Face hub on loopback with a few tiny models, which misbehaves when it is told to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from terrarium.models.architecture.transformer import build_model
from terrarium.models.events import result_of
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.hub.hub_models import ModelHub
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens

LLAMA, GGUF, PICKLED, GATED, STRANGE = "tiny/llama", "tiny/llama-GGUF", "tiny/pickled", "tiny/secret", "tiny/strange"
REVISION = "0123456789abcdef0123456789abcdef01234567"
Q8, F32 = "llama-Q8_0.gguf", "llama-F32.gguf"
CONFIG = ModelConfig(
    vocab_size=261,
    context_length=64,
    n_layer=1,
    n_head=2,
    d_model=64,
    position="rope",
    norm="rmsnorm",
    activation="swiglu",
    bias="none",
)


@dataclass
class ServedHub:
    """The models of the hub, and what was asked of it.

    Attributes:
        files: model -> name -> bytes; further names are announced only.
        asked: (path, Range, Authorization) of each request.
        status: path -> the status that is answered instead, for as many requests as it is there.
        cuts: the numbers of bytes after which the next answers with weights are cut off.
        holds_after: send only so many bytes of weights, and then nothing, without closing.
        sums: name -> the SHA-256 that is announced instead of the right one.
        elsewhere: weights are redirected to that address.
        ignores_ranges: always sends files from their beginning.
    """

    files: dict[str, dict[str, bytes]]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    holds_after: int | None = None
    sums: dict[str, str] = field(default_factory=dict)
    elsewhere: str = ""
    ignores_ranges: bool = False
    address: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def hub(self) -> ModelHub:
        return ModelHub(self.address)

    def behave(self) -> None:
        """Forget what was asked, and everything that was wrong."""
        for each in (self.asked, self.status, self.cuts, self.sums):
            each.clear()  # type: ignore[attr-defined]
        self.holds_after, self.elsewhere, self.ignores_ranges = None, "", False

    def info(self, id: str, *, with_files: bool) -> dict[str, object]:
        """A model as the hub's API describes it."""
        names = self.files[id]
        is_gguf = any(name.endswith(".gguf") for name in names)
        about: dict[str, object] = {
            "id": id,
            "sha": REVISION,
            "downloads": 1234,
            "likes": 5,
            "gated": "manual" if id == GATED else False,
            "pipeline_tag": "text-generation",
            "tags": ["license:mit", "gguf" if is_gguf else "pytorch" if id == PICKLED else "safetensors"],
        }
        if is_gguf:
            about["gguf"] = {"total": 70_000, "architecture": "llama", "context_length": 64}
        elif "config.json" in names:
            about["config"] = {"architectures": json.loads(names["config.json"])["architectures"]}
            about["safetensors"] = {"parameters": {"F32": 70_000}, "total": 70_000}
        if with_files:
            about["siblings"] = [self._sibling(name, data) for name, data in names.items()]
        return about

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        found: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
        if name.endswith((".safetensors", ".gguf", ".bin")):
            digest = self.sums.get(name) or hashlib.sha256(data).hexdigest()
            found["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
        return found


class _Server(ThreadingHTTPServer):
    """Its clients may leave in the middle of an answer."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class _Handler(BaseHTTPRequestHandler):
    """Answers as the hub does."""

    protocol_version = "HTTP/1.1"

    def __init__(self, served: ServedHub, *args: object) -> None:
        self.served = served
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._send(200, b"")

    def do_GET(self) -> None:
        served, parts = self.served, urlsplit(self.path)
        served.asked.append((parts.path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if parts.path in served.status:
            self._send(served.status[parts.path], b"{}")
        elif parts.path == "/api/models":
            words = parse_qs(parts.query).get("search", [""])[0]
            self._send_json([served.info(id, with_files=False) for id in served.files if words in id])
        else:
            self._send_of_model(parts.path)

    def _send_of_model(self, path: str) -> None:
        for id, names in self.served.files.items():
            if path == f"/api/models/{id}":
                self._send_json(self.served.info(id, with_files=True))
                return
            prefix = f"/{id}/resolve/{REVISION}/"
            if path.startswith(prefix) and id == GATED:
                self._send(403, b"", {"X-Error-Code": "GatedRepo"})
                return
            if path.startswith(prefix) and path.removeprefix(prefix) in names:
                name = path.removeprefix(prefix)
                if self.served.elsewhere and name.endswith((".safetensors", ".gguf")):
                    self._send(302, b"", {"Location": self.served.elsewhere + path})
                else:
                    self._send_file(names[name], is_weights=name.endswith((".safetensors", ".gguf")))
                return
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send_file(self, data: bytes, *, is_weights: bool) -> None:
        served, asked = self.served, "" if self.served.ignores_ranges else self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        if start >= len(data) > 0:
            self._send(416, b"")
            return
        rest = data[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(rest)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if not is_weights:
            self.wfile.write(rest)
        elif served.holds_after is not None and len(rest) > served.holds_after:
            self.wfile.write(rest[: served.holds_after])
            self.wfile.flush()
            served.stopping.wait()
            self.close_connection = True
        elif served.cuts and len(rest) > served.cuts[0]:
            self.wfile.write(rest[: served.cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def tiny_models(folder: Path) -> dict[str, dict[str, bytes]]:
    """The files of a tiny Llama as a folder and as GGUF, and of models that cannot be had."""
    tokenizer = train_tokenizer((), "byte", 0)
    add_missing_special_tokens(tokenizer, "decoder-only")
    config = dataclasses.replace(CONFIG, vocab_size=tokenizer.get_vocab_size())
    model = build_model(config)
    result_of(export_hf(model, tokenizer, folder / "llama"))
    whole = {path.name: path.read_bytes() for path in (folder / "llama").iterdir()}
    ggufs = {}
    for name, kind in ((F32, "F32"), (Q8, "Q8_0")):
        result_of(write_gguf(model, plan_gguf(config, tokenizer, kind), folder / name))
        ggufs[name] = (folder / name).read_bytes()
    strange = json.loads(whole["config.json"]) | {"architectures": ["MambaForCausalLM"]}
    evil = {"pytorch_model.bin": b"pickled", "modeling.py": b"import os", "../out.safetensors": b"x", "a/b.json": b"{}"}
    return {
        LLAMA: whole | evil,
        GGUF: {**ggufs, "README.md": b"# Llama", "x-00001-of-00002.gguf": b"GGUF"},
        PICKLED: {"config.json": whole["config.json"], "pytorch_model.bin": b"pickled"},
        GATED: whole,
        STRANGE: whole | {"config.json": json.dumps(strange).encode()},
    }


@contextmanager
def served_hub(files: dict[str, dict[str, bytes]]) -> Iterator[ServedHub]:
    """Serve models on loopback, which may be asked meanwhile: all other tests are offline."""
    served = ServedHub(files)
    server = _Server(("127.0.0.1", 0), partial(_Handler, served))
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        thread.start()
        try:
            yield served
        finally:
            served.stopping.set()
            server.shutdown()
            server.server_close()
            thread.join()
