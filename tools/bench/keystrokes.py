"""Keystroke benchmark: time from a key press to the painted token pills. The real widgets, offscreen."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from terrarium.app.commands.progress import ProgressLine
from tools.bench.result import Result

if TYPE_CHECKING:
    from terrarium.app.tokenizer.explore.token_lab import TokenLab

SIZES = {"1 kB": 1_000, "20 kB": 20_000, "200 kB": 200_000}
TARGET_MS = 50.0
"""Maximum up to 20 kB; longer texts are encoded in the background, and the window stays responsive."""

_KEYS = 15
_VOCAB_SIZE = 4096


def bench_keystrokes(text: str, line: ProgressLine) -> list[Result]:
    """Milliseconds from a key press in the middle of a text of each size until its tokens are painted: medians."""
    from PySide6.QtCore import QEventLoop, Qt
    from PySide6.QtGui import QKeyEvent, QTextCursor
    from PySide6.QtWidgets import QApplication

    from terrarium.app.kit.theme import ThemeProvider
    from terrarium.app.shell.offscreen import application
    from terrarium.app.tokenizer.explore.token_lab import TokenLab
    from terrarium.models.tokenizers import train_tokenizer

    qapp = application()
    theme = ThemeProvider(qapp, "light")
    lab = TokenLab(theme)
    theme.apply_theme(lab)
    lab.resize(900, 600)
    lab.show()
    line.say("Training a tokenizer…")
    lab.set_tokenizer(train_tokenizer([text[:300_000]], "bpe", _VOCAB_SIZE))
    results = []
    for name, n_bytes in SIZES.items():
        line.say(f"Typing into {name}…")
        shown = text.encode()[:n_bytes].decode(errors="ignore")
        lab.editor.set_text(shown)
        _wait_for(lab, shown)
        cursor = lab.editor.textCursor()
        cursor.setPosition(len(shown) // 2)
        lab.editor.setTextCursor(cursor)
        lab.editor.moveCursor(QTextCursor.MoveOperation.EndOfWord)
        times = []
        for i in range(_KEYS):
            qapp.processEvents(QEventLoop.ProcessEventsFlag.AllEvents)
            key = QKeyEvent(QKeyEvent.Type.KeyPress, Qt.Key.Key_A, Qt.KeyboardModifier.NoModifier, chr(97 + i))
            started_at = time.perf_counter()
            QApplication.sendEvent(lab.editor, key)
            _wait_for(lab, lab.editor.text)
            lab.view.viewport().repaint()
            times.append(1000 * (time.perf_counter() - started_at))
        median = statistics.median(times)
        target = TARGET_MS if n_bytes <= 20_000 else None
        met = None if target is None else median <= target
        results.append(
            Result(name=f"keystroke {name}", ours=median, unit="ms to the painted tokens", target=target, met=met)
        )
    lab.close()
    lab.deleteLater()
    return results


def _wait_for(lab: TokenLab, text: str) -> None:
    """Process events until the tokens of `text` are shown."""
    from PySide6.QtWidgets import QApplication

    while lab.text != text or lab.tokens is None or lab.tokens.text != text:
        QApplication.processEvents()
