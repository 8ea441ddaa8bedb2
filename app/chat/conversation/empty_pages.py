"""The middle of the chat tab: the conversation, or what to do before there can be one."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from app.kit.basics import EmptyState, button
from app.kit.theme import ThemeProvider


class ChatPages(QStackedWidget):
    """Shows one page: "chat"; where that is empty "starters", or by the model's mode "talk", "text", "answer", "fill";
    "loading"; "choose"; "train".

    Signals:
        open_asked(): open the newest model.
        train_asked(): make a model.
    """

    open_asked = Signal()
    train_asked = Signal()

    def __init__(self, chat: QWidget, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open = button("Open", theme, self.open_asked.emit, icon="chat-circle", role="primary")
        self.open.setToolTip("Load the latest checkpoint of the newest run")
        self.train = button("Train a model", theme, self.train_asked.emit, icon="play", role="primary")
        self.train.setToolTip("Go to the Training tab")
        self._pages = {
            "chat": chat,
            "talk": EmptyState(
                "Begin a conversation",
                "Write a message below. The panels on the right show how each word of the reply comes about.",
            ),
            "starters": EmptyState(
                "Ask it something new",
                "The buttons below draw questions and requests that were kept out of training, and know the right "
                "answers. Or write your own.",
            ),
            "text": EmptyState(
                "Begin a text", "This model was trained on plain text: it goes on from whatever you write below."
            ),
            "answer": EmptyState(
                "Write a source text",
                "An encoder-decoder reads it whole, and answers with a text of its own. Trained here, it fills gaps: "
                "write <|extra_0|> where words are missing.",
            ),
            "fill": EmptyState(
                "Hide a word",
                "An encoder sees the whole text at once: write [MASK] where a word is missing, and it ranks what might "
                "stand there.",
            ),
            "loading": EmptyState(
                "The model is being loaded", "You can write meanwhile, and send it when the model is there."
            ),
            "choose": EmptyState(
                "Choose a model",
                "Pick one above: each run of your library can talk from its latest checkpoint.",
                self.open,
            ),
            "train": EmptyState(
                "Nobody to talk to yet",
                "A model must be trained before it can talk. A small one takes minutes.",
                self.train,
            ),
        }
        for page in self._pages.values():
            self.addWidget(page)

    def show_page(self, name: str) -> None:
        """Show the page of that name."""
        self.setCurrentWidget(self._pages[name])

    def offer(self, words: str) -> None:
        """What the newest model is called; '' where there is none."""
        self.open.setText(f"Open {words}")
        self.open.setVisible(bool(words))
