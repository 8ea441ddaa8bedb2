"""A hub on this computer, as far as uploading goes: models are made, files stored, and it fails as it is told to."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a_token_of_nobody"


class FakeHub(ThreadingHTTPServer):
    """The hub of the user “anna”.

    Attributes:
        models: name -> whether it is private. files: path -> content, of all that was committed.
        fails: part of an address -> the status that is answered there. hangs: part of one that is never answered.
        says: what it says of an error. tokens: those that were sent.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models: dict[str, bool] = {}
        self.files: dict[str, bytes] = {}
        self.stored: dict[str, bytes] = {}
        self.fails: dict[str, int] = {}
        self.hangs = ""
        self.says = ""
        self.tokens: set[str] = set()
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub that answers."""
    hub = FakeHub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.ended.set()
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        hub = self.server
        if "Authorization" in self.headers:
            hub.tokens.add(self.headers["Authorization"].removeprefix("Bearer "))
        if hub.hangs and hub.hangs in self.path:
            hub.ended.wait()
            return
        status = next((status for part, status in hub.fails.items() if part in self.path), 0)
        if status:
            self._send(status, {"error": hub.says or "no"})
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted.get('organization') or 'anna'}/{wanted['name']}"
            is_private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
            is_there = name in hub.models
            hub.models.setdefault(name, is_private)
            self._send(409 if is_there else 200, {"url": f"{hub.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in files
            ]
            self._send(200, {"files": modes})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for each in objects:
                each["actions"] = {"upload": {"href": f"{hub.address}/store/{each['oid']}", "header": {}}}
            self._send(200, {"transfer": "basic", "objects": objects})
        elif self.path.startswith("/store/"):
            hub.stored[self.path.removeprefix("/store/")] = body
            self._send(200, {})
        elif "/commit/" in self.path:
            self._commit([json.loads(line) for line in body.splitlines()])
        elif self.path.startswith("/api/models/"):
            name = self.path.removeprefix("/api/models/")
            files = [{"rfilename": path} for path in (".gitattributes", *hub.files)]
            self._send(200, {"id": name, "private": hub.models[name], "siblings": files})
        else:
            self._send(404, {"error": self.path})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        hub = self.server
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                hub.files[value["path"]] = hub.stored[value["oid"]]
        self._send(200, {"commitUrl": f"{hub.address}/anna/small/commit/abc", "commitOid": "abc"})

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
