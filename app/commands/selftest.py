"""`terrarium selftest`: checks that this installation or frozen bundle works, by running the whole chain in miniature.

It finds packaging faults: a missing library, font, colour map or template.
"""

from __future__ import annotations

import json
import math
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.app.commands.options import Command, option
from terrarium.app.commands.progress import ProgressLine, drive

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

    from terrarium.models.library.library import Library

_LEAST_COLOURS = 32
"""A blank page has a handful of colours, a page with antialiased text hundreds."""

TEXT = "Ben is in the barn. Clara has the kite. The goat eats hay, and the kite is red. Where is Ben? In the barn.\n"


class Selftest(Command, description=__doc__):
    """Check that Terrarium works on this computer."""

    pictures: Path | None = option("also save a picture of each page of the window", metavar="DIR")

    def run(self) -> None:
        """Run all checks and print one line for each.

        Raises:
            ValueError: if a check fails; it names the check.
        """
        from terrarium.models.library.library import Library

        results = []
        with tempfile.TemporaryDirectory(prefix="terrarium-selftest-") as folder:
            for name, check in checks(Library(Path(folder)), self.device, self.pictures).items():
                started = time.monotonic()
                try:
                    finding = check()
                except (ImportError, OSError, RuntimeError, ValueError, LookupError) as error:
                    raise ValueError(f"The self-test failed at “{name}”: {error}") from error
                results.append({"check": name, "finding": finding, "seconds": round(time.monotonic() - started, 2)})
                if not self.as_json:
                    print(f"ok  {name:<17}{finding}", flush=True)
        self.show({"ok": True, "checks": results}, f"All {len(results)} checks passed.")


def checks(library: Library, device: str, pictures: Path | None = None) -> dict[str, Callable[[], str]]:
    """Return the checks by name, in order, as later checks use the results of earlier ones. Each returns its finding.

    Args:
        pictures: the folder to save pictures of the window in; None to save none.
    """
    return {
        "tokenizer": partial(check_tokenizer, library),
        "chat template": check_chat_template,
        "training": partial(check_training, library, device),
        "generation": partial(check_generation, library),
        "serving": partial(check_serving, library),
        "parquet": partial(check_parquet, library),
        "functions": check_functions,
        "scores of texts": check_text_scores,
        "fonts": check_fonts,
        "plot": check_plot,
        "icons": check_icons,
        "colour maps": check_colour_maps,
        "window": partial(check_window, library, pictures),
    }


def check_tokenizer(library: Library) -> str:
    """Train a tokenizer in a child process, save it, load it, and encode and decode a text."""
    from terrarium.models.tokenizers import decode, encode_text, load_tokenizer, train_in_child

    corpus = library.home / "text.txt"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    corpus.write_text(TEXT * 200, encoding="utf-8")
    for _ in train_in_child([corpus], "bpe", 300, library.tokenizers / "selftest"):
        pass
    tokenizer = load_tokenizer("selftest", library)
    text = "The goat ate Zoë’s 12 kites. 🌱"
    ids = encode_text(tokenizer, text)
    _require(decode(tokenizer, ids) == text, "a text changes when encoded and decoded")
    return f"{tokenizer.get_vocab_size()} tokens, trained in a child process; encoding and decoding gave the text back"


def check_chat_template() -> str:
    """Check that the bundled chat template renders a conversation."""
    from terrarium.models.chat.own_template import render_chat

    text = render_chat([{"role": "user", "content": "Where is Ben?"}], add_generation_prompt=True)
    _require(text.startswith("<|user|>") and text.endswith("<|assistant|>"), f"it rendered {text!r}")
    return text


def check_training(library: Library, device: str) -> str:
    """Check that a tiny model trains for two steps and writes a checkpoint."""
    from terrarium.models.events import Saved, TrainMetrics
    from terrarium.models.settings.model_config import ModelConfig
    from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
    from terrarium.models.training.trainer import Trainer, prepare_run

    spec = RunSpec(
        name="selftest",
        model=ModelConfig(n_layer=2, n_head=2, d_model=32, context_length=32, position="rope", conv_width=4),
        tokenizer=TokenizerSpec(path="selftest"),
        data=DataSpec(source="files", files=(str(library.home / "text.txt"),)),
        train=TrainConfig(steps=2, batch_size=4, warmup_steps=0, eval_interval=0, sample_interval=0),
    )
    with ProgressLine() as line:
        folder = drive(prepare_run(library, spec), line)
    losses, saved = [], 0
    for event in Trainer(folder, library, device=device, allow_threads=1).events():
        if isinstance(event, TrainMetrics):
            losses.append(event.loss)
        saved += isinstance(event, Saved)
    _require(len(losses) == 2 and all(map(math.isfinite, losses)), f"the losses of two steps were {losses}")
    _require(saved > 0, "no checkpoint was written")
    return f"two steps, loss {losses[0]:.3f} then {losses[1]:.3f}, checkpoint written"


def check_generation(library: Library) -> str:
    """Check that the checkpoint can be loaded and generates text."""
    from terrarium.models.events import ReplyFinished, TokenMade
    from terrarium.models.inference.generate import generate
    from terrarium.models.inference.sampling import SamplingConfig
    from terrarium.models.interop.loading import load_model
    from terrarium.models.tokenizers import encode_prompt

    model, tokenizer = load_model(library.find_run("selftest"))
    if tokenizer is None:
        raise ValueError("the run has no tokenizer")
    ids = encode_prompt(tokenizer, "Ben is")
    events = list(generate(model, tokenizer, ids, SamplingConfig(temperature=1.0, seed=0, max_tokens=8)))
    made = [event for event in events if isinstance(event, TokenMade)]
    _require(made and isinstance(events[-1], ReplyFinished), "no token was generated")
    return f"checkpoint read, {len(made)} tokens generated"


def check_serving(library: Library) -> str:
    """Check that the checkpoint can be served, and a request over HTTP is answered."""
    from terrarium.app.commands.serve import open_served
    from terrarium.app.serve.endpoint.endpoints import make_endpoint
    from terrarium.app.serve.endpoint.engine import ThreadEngine
    from terrarium.app.serve.endpoint.http_server import HttpServer, base_url, bind
    from terrarium.app.serve.endpoint.request_log import RequestLog

    bound = bind(0)
    url, engine = base_url(bound), ThreadEngine(open_served(str(library.find_run("selftest")), "cpu"))
    server = HttpServer(make_endpoint(engine, RequestLog()), lambda: engine.close("The self-test is over."))
    thread = threading.Thread(target=server.serve_on, args=(bound,), daemon=True)
    thread.start()
    try:
        body = json.dumps({"model": "selftest", "prompt": "Ben is", "max_tokens": 8, "temperature": 0}).encode()
        with urllib.request.urlopen(f"{url}/completions", body, timeout=60) as answer:
            made = json.loads(answer.read())["usage"]["completion_tokens"]
    finally:
        server.stop()
        thread.join()
    _require(made > 0, "no token was returned")
    return f"{made} tokens generated by {url}"


def check_parquet(library: Library) -> str:
    """Check that duckdb, with its Parquet extension, writes a table that can be read as rows."""
    import duckdb

    from terrarium.models.importing.formats.registry import open_source

    path = library.home / "rows.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.sql("SELECT 'Ben is in the barn.' AS text, 'calm' AS label").write_parquet(str(path))
    rows = [record.values for record in open_source([path]).records()]
    _require(rows == [{"text": "Ben is in the barn.", "label": "calm"}], f"a table was read as {rows}")
    return "a table written and read"


def check_functions() -> str:
    """Check that the sandbox for model-written functions starts and runs a function."""
    from terrarium.models.events import result_of
    from terrarium.models.tasks.code_judge import judge_code

    row = {"source": "def double(n):\n", "cases": [{"arguments": [2], "expected": 4}]}
    report, _ = result_of(judge_code([row], ["    return 2 * n\n"]))
    _require(report.value == 1.0, f"{report.notes[0] if report.notes else 'a right function did not pass'}")
    return "a function passed its case in the sandbox"


def check_text_scores() -> str:
    """Check that sacrebleu, with the tokenizer that it imports by name, scores a translation."""
    from terrarium.models.metrics.texts import score_texts

    text = "Ben est dans la grange."
    report = score_texts(["Ben is in the barn."], [text], [text], metrics=("bleu", "chrf2"), resamples=0)
    values = [score.value for score in report.scores.values()]
    _require(all(value is not None and value > 99 for value in values), f"a right translation scores {values}")
    return ", ".join(f"{name} {score.value:.0f}" for name, score in report.scores.items()) + " of a right translation"


def check_fonts() -> str:
    """Check that Qt finds a font; otherwise it draws boxes."""
    from PySide6.QtGui import QFontDatabase

    from terrarium.app.shell.offscreen import application

    application()
    families = QFontDatabase.families()
    _require(families, "no fonts found: on Debian and Ubuntu, apt-get install fontconfig fonts-dejavu-core")
    return f"{len(families)} font families"


def check_plot() -> str:
    """Check that pyqtgraph draws a curve, and Qt captures it."""
    import pyqtgraph as pg

    from terrarium.app.shell.offscreen import application

    application()

    plot = pg.PlotWidget()
    plot.resize(320, 200)
    plot.plot([1.0, 2.0, 3.0], [5.0, 3.0, 2.0], pen=pg.mkPen("#5CC58C", width=4))
    picture = plot.grab().toImage()
    plot.close()
    colours = _colours(picture)
    _require("#5cc58c" in colours, "the curve is not in the picture")
    return f"{picture.width()}×{picture.height()} pixels, {len(colours)} colours, the curve among them"


def check_icons() -> str:
    """Check that icons of qtawesome and Terrarium's SVG icon are drawn."""
    import qtawesome
    from PySide6.QtGui import QImage

    from terrarium.app.shell.offscreen import application

    application()
    glyph = qtawesome.icon("ph.play", color="#2B7A4B").pixmap(32, 32).toImage()
    _require("#2b7a4b" in _colours(glyph), "the icon font draws nothing")
    svg = QImage.fromData(files("terrarium.resources").joinpath("icon.svg").read_bytes())
    _require(not svg.isNull() and len(_colours(svg)) > 1, "Qt cannot draw resources/icon.svg")
    return "an icon of the icon font and the app's own icon are drawn"


def check_colour_maps() -> str:
    """Check that pyqtgraph's colour maps, which are data files, are in the bundle."""
    import pyqtgraph as pg

    names = ("CET-CBL2", "CET-L17", "CET-CBD1", "viridis", "inferno")
    for name in names:
        _require(len(pg.colormap.get(name).getLookupTable(nPts=256)) == 256, f"{name} is incomplete")
    return ", ".join(names)


def check_window(library: Library, pictures: Path | None = None) -> str:
    """Check that the window opens, and draws its home page and each of its tabs."""
    from PySide6.QtCore import QCoreApplication

    from terrarium.app.shell.offscreen import opened_window
    from terrarium.app.shell.top_bar import HOME, TABS

    names = (HOME, *(name for name, *_ in TABS))
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    with opened_window(library) as window:
        window.resize(1280, 720)
        for name in names:
            window.show_tab(name)
            QCoreApplication.processEvents()
            picture = window.grab().toImage()
            _require(len(_colours(picture)) >= _LEAST_COLOURS, f"the page “{name}” is blank")
            _require(pictures is None or picture.save(str(pictures / f"{name}.png")), f"{pictures} cannot be written")
    return f"{len(names)} pages drawn"


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def _colours(picture: QImage) -> set[str]:
    """Return the set of colours in a picture, as '#rrggbb'."""
    pixels = {picture.pixel(x, y) for x in range(picture.width()) for y in range(picture.height())}
    return {f"#{pixel & 0xFFFFFF:06x}" for pixel in pixels}
