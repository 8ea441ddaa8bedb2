"""A Hugging Face hub on loopback that answers as the real one did, for two datasets."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from terrarium.models.corpora.hub import Hub

FILMS, GATED = "somebody/films", "somebody/secrets"
_CONVERTED = "refs/convert/parquet"
_INFO = {
    FILMS: {
        "id": FILMS,
        "author": "somebody",
        "gated": False,
        "private": False,
        "downloads": 1234,
        "likes": 5,
        "description": "Sentences about films,\n\tand whether they are good.",
        "tags": [
            "task_categories:text-classification",
            "language:en",
            "license:mit",
            "size_categories:n<1K",
            "region:us",
        ],
    },
    GATED: {"id": GATED, "gated": "manual", "downloads": 7, "likes": 0, "tags": ["license:other"]},
}
_FEATURES = [
    {"feature_idx": 0, "name": "text", "type": {"dtype": "string", "_type": "Value"}},
    {"feature_idx": 1, "name": "label", "type": {"names": ["bad", "good"], "_type": "ClassLabel"}},
]
ROWS = {
    "train": [(f"The film number {n} was {'good' if n % 2 else 'bad'}.", n % 2) for n in range(60)],
    "test": [(f"The play number {n} was {'good' if n % 2 else 'bad'}.", n % 2) for n in range(20)],
}


@dataclass
class RecordedHub:
    """The files of the hub, and what was asked of it: (path, its Range header)."""

    files: dict[str, bytes]
    asked: list[tuple[str, str]] = field(default_factory=list)
    hub: Hub = field(default_factory=Hub)
    holds_after: int | None = None
    """Send only so many bytes of each file and then nothing, without closing the connection."""

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append((path, request.headers.get("range", "")))
        if path == "/api/datasets":
            words = request.query_params.get("search", "")
            return JSONResponse([info for id, info in _INFO.items() if words in id])
        if path.startswith("/viewer/"):
            return self._viewed(path.removeprefix("/viewer/"), dict(request.query_params))
        for id, info in _INFO.items():
            if path == f"/api/datasets/{id}":
                return JSONResponse(info)
            if path == f"/api/datasets/{id}/tree/{_CONVERTED}" and id == FILMS:
                return JSONResponse([_entry(name, data) for name, data in self.files.items()])
            if path.startswith(f"/datasets/{id}/resolve/{_CONVERTED}/"):
                return self._file(path.rpartition(f"{_CONVERTED}/")[2], request.headers.get("range", ""))
        return JSONResponse({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str, asked: str) -> Response:
        data = self.files[name]
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        head = {"Content-Length": str(len(data) - start)}
        if asked:
            head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"

        async def parts() -> AsyncIterator[bytes]:
            rest = data[start:]
            yield rest if self.holds_after is None else rest[: self.holds_after]
            while self.holds_after is not None and not self.stopping.is_set():
                await asyncio.sleep(0.01)

        return StreamingResponse(parts(), 206 if asked else 200, head, "application/octet-stream")

    def _viewed(self, what: str, asked: dict[str, str]) -> Response:
        if asked["dataset"] != FILMS:
            return JSONResponse({"error": "The dataset does not exist, or is not accessible."}, 401)
        if what == "size":
            sizes = [
                {
                    "dataset": FILMS,
                    "config": "default",
                    "split": split,
                    "num_bytes_parquet_files": len(self.files[f"default/{split}/0000.parquet"]),
                    "num_rows": len(rows),
                    "num_columns": 2,
                }
                for split, rows in ROWS.items()
            ]
            return JSONResponse({"size": {"splits": sizes}, "pending": [], "failed": [], "partial": False})
        rows = [
            {"row_idx": i, "row": {"text": text, "label": label}, "truncated_cells": []}
            for i, (text, label) in enumerate(ROWS[asked["split"]])
        ]
        return JSONResponse({"dataset": FILMS, "features": _FEATURES, "rows": rows})

    stopping: threading.Event = field(default_factory=threading.Event)


def _entry(name: str, data: bytes) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    lfs = {"oid": digest, "size": len(data), "pointerSize": 130}
    return {"type": "file", "path": name, "size": len(data), "oid": digest[:40], "lfs": lfs}


@contextmanager
def recorded_hub(folder: Path) -> Iterator[RecordedHub]:
    """Serve the hub on loopback, which may be asked meanwhile: all other tests are offline.

    folder: for files that are made on the way.
    """
    files = {}
    for split, rows in ROWS.items():
        path = folder / f"{split}.parquet"
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE rows (text VARCHAR, label BIGINT)")
            connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
            connection.execute(f"COPY rows TO '{path}' (FORMAT parquet)")
        files[f"default/{split}/0000.parquet"] = path.read_bytes()
    recorded = RecordedHub(files)
    app = Starlette(routes=[Route("/{path:path}", recorded.answer, methods=["GET", "HEAD"])])
    server = uvicorn.Server(
        uvicorn.Config(app, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    )
    with socket.socket() as bound, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        recorded.hub = Hub(address, f"{address}/viewer")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield recorded
        finally:
            recorded.stopping.set()
            server.should_exit = True
            thread.join()
