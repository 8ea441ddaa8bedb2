"""What there is to say below the notebook: how much the model reads, and what it wrote last."""

from __future__ import annotations

from app.chat.modes.one_reply import Written
from app.chat.notebook.text_end import End
from models.number_words import counted


def notebook_words(end: End | None, written: Written | None) -> str:
    """A line about the text, whose `end` the model reads (None: not known yet), and about the last writing."""
    said = []
    if end is not None:
        if end.start:
            said.append(f"The model reads the last {end.n_tokens:,} tokens; what is faint does not fit")
        else:
            said.append(counted(end.n_tokens, "token"))
    if written is not None and written.tokens:
        n, finished = len(written.tokens), written.finished
        speed = f" at {finished.tokens_per_s:,.0f} tokens/s" if finished is not None and finished.tokens_per_s else ""
        said.append(f"last written: {counted(n, 'token')}{speed}, seed {written.sampling.seed}")
        if finished is not None and finished.reason == "stop":
            said.append("the model ended the text here")
    return " · ".join(said)
