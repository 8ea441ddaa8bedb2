"""What the form of a new run proposes: from the data, the model and this computer, and never from an earlier draft."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run import proposer
from terrarium.app.new_run.new_run_page import NewRun
from terrarium.app.session.session import Session
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.events import Event
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.run_spec import RunSpec, TokenizerSpec
from terrarium.models.tokenizers import save_tokenizer, train_tokenizer
from terrarium.models.training.proposal import calibrate
from terrarium.models.training.proposal.speed import Speed

Until = Callable[[Callable[[], bool]], None]


def reviews(session: Session, n: int = 240, name: str = "reviews") -> Corpus:
    """A dataset of short texts with one of two labels."""
    rows = [
        {"text": f"The soup number {i} was {'lovely' if i % 2 else 'cold'}.", "label": "ab"[i % 2]} for i in range(n)
    ]
    n_val = n // 10
    return build_examples_corpus(
        session.library, rows[n_val:], rows[:n_val], name, None, task="classification", labels=("a", "b")
    )


@pytest.fixture
def form(session: Session, theme: ThemeProvider, qtbot: QtBot) -> NewRun:
    """The shown form."""
    form = NewRun(session, theme)
    qtbot.addWidget(form)
    form.resize(1280, 800)
    form.show()
    return form


def train_on(form: NewRun, corpus: Corpus, until: Until) -> None:
    """As “Train on it” does, until what is proposed is filled in."""
    form.session.datasets.refresh()
    until(lambda: form.session.datasets.info(corpus.sha) is not None)
    form.begin()
    form.choices.learn_from(corpus.sha)
    until(lambda: form.is_settled and form.proposer.facts is not None)


def proposed(form: NewRun, name: str) -> object:
    assert form.proposer.proposal is not None
    return form.proposer.proposal.train[name]


def know_speed(form: NewRun, **values: float) -> None:
    """Let this computer be measured: so many seconds for an update, or operations a second."""
    speed = Speed(**{"base_s": 0.0, "flops_per_s": 1e12, "token_s": 0.0} | values)  # type: ignore[arg-type]
    spec = form.draft.learned
    assert spec is not None
    form.proposer.know(spec, speed)


def back_link(form: NewRun, name: str) -> QPushButton | None:
    links = form.form.row(name).findChildren(QPushButton)
    return next((link for link in links if link.text().startswith("Proposed:") and not link.isHidden()), None)


def test_rows_are_read_in_epochs_with_about_ten_validations(form: NewRun, session: Session, until: Until) -> None:
    train_on(form, reviews(session), until)
    train = form.form.config
    assert train.steps <= 300
    assert 8 <= train.steps / train.eval_interval <= 14
    assert train.sample_interval == train.eval_interval
    assert train.prompts[0] == "The soup number 0 was cold.", "a row that is held out"
    until(lambda: "times through your 216 rows" in form.choices.proposed.words.text())
    assert int(form.review.fact("step").replace(",", "")) < 40 * train.batch_size, "real lengths, not the context"
    assert form.draft.spec().tokenizer == TokenizerSpec(kind="bpe", vocab_size=1024)


def test_nothing_of_an_earlier_draft_is_left(form: NewRun, session: Session, until: Until) -> None:
    save_tokenizer(train_tokenizer((), "byte", 0), session.library, "toy", {})
    session.tokenizers.add("toy")
    train_on(form, reviews(session), until)
    fresh = form.draft.spec()
    form.form.apply({"steps": 7, "lr": 0.1, "eval_interval": 3})
    form.tokenizer.choice.setCurrentIndex(form.tokenizer.choice.findData("toy"))
    form.name.setText("mine")
    train_on(form, reviews(session), until)
    assert form.draft.spec() == fresh
    assert form.choices.proposed.edited == ()


def test_no_wish_and_no_reward_model_of_an_earlier_draft_is_left(form: NewRun) -> None:
    choices = form.choices
    usual = choices.wish.spec
    choices.align.set_spec(AlignSpec(**usual_align("grpo"), reward_model="an-older-run"))
    choices.wish.wish.setCurrentIndex(1)
    choices.wish.seed.setValue(7)
    form.begin()
    choices.align.choice.setCurrentIndex(choices.align.choice.findData("grpo"))
    assert choices.align.spec == AlignSpec(**usual_align("grpo"))
    assert choices.wish.spec == usual


def test_what_the_user_changes_stays_and_can_be_taken_back(
    form: NewRun, session: Session, until: Until, qtbot: QtBot
) -> None:
    train_on(form, reviews(session), until)
    steps = form.form.config.steps
    form.form.apply({"steps": 40})
    assert form.choices.proposed.edited[0] == "steps"
    link = back_link(form, "steps")
    assert link is not None
    assert link.text() == f"Proposed: {steps}"
    until(lambda: form.form.config.eval_interval == 4)  # what the user has not chosen follows
    know_speed(form, base_s=60.0)  # far too slow here
    until(lambda: proposed(form, "steps") != steps)
    assert form.form.config.steps == 40
    know_speed(form)
    until(lambda: proposed(form, "steps") == steps)
    link = back_link(form, "steps")
    assert link is not None
    qtbot.mouseClick(link, Qt.MouseButton.LeftButton)
    assert form.form.config.steps == steps
    assert back_link(form, "steps") is None


def test_a_slow_computer_is_proposed_what_fits_into_ten_minutes(
    form: NewRun, session: Session, until: Until, qtbot: QtBot
) -> None:
    train_on(form, reviews(session), until)
    know_speed(form, base_s=20.0)
    until(lambda: form.form.config.steps <= 30)
    about = form.choices.proposed
    until(lambda: about.words.text().startswith("About "))
    assert "ten minutes while this computer does nothing else" in about.why.text()
    until(lambda: about.longer.text().startswith("10 × longer: about 1 h"))
    assert "a few steps on random words" in form.review.note.text()
    steps = form.form.config.steps
    qtbot.mouseClick(about.longer, Qt.MouseButton.LeftButton)
    assert form.form.config.steps == 10 * steps
    until(about.longer.isHidden)


def test_no_length_is_said_while_the_computer_is_measured(form: NewRun, session: Session, until: Until) -> None:
    session.device.warm_up()
    train_on(form, reviews(session), until)
    about = form.choices.proposed
    until(lambda: about.words.text().startswith("Measuring this computer"))
    assert about.longer.isHidden()
    until(lambda: session.device.ready and form.is_settled)
    assert about.words.text().startswith("Measuring this computer"), "from the first look at the data on"
    form.form.apply({"steps": 40})
    until(lambda: "times through your 216 rows" in about.words.text())  # that is the user's choice
    form.begin()
    form.choices.learn_from(next(info.corpus.sha for info in session.datasets.list()))
    until(lambda: form.is_settled and about.words.text().startswith("Measuring this computer"))
    know_speed(form)
    until(lambda: about.words.text().startswith("About "))
    assert not about.longer.isHidden()


def test_what_other_programs_took_is_said_beside_the_time(form: NewRun, session: Session, until: Until) -> None:
    train_on(form, reviews(session), until)
    know_speed(form, base_s=0.01, others=0.7)
    until(lambda: "random words, while other programs use 70\N{NO-BREAK SPACE}%" in form.review.note.text())
    assert "saving" in form.review.note.text()


def test_a_repeated_run_keeps_its_settings(form: NewRun, session: Session, tiny_spec: RunSpec, until: Until) -> None:
    other = dataclasses.replace(tiny_spec, train=dataclasses.replace(tiny_spec.train, steps=77, eval_interval=5))
    form.set_spec(other)
    until(lambda: form.is_settled)
    assert form.draft.spec() == other
    assert back_link(form, "steps") is None
    form.begin()
    assert form.form.config.steps != 77


def test_after_a_start_the_next_draft_is_a_new_one(form: NewRun, session: Session, until: Until) -> None:
    train_on(form, reviews(session), until)
    form.form.apply({"steps": 5})
    form.begin_if_over()
    assert form.form.config.steps == 5, "this draft is not over"
    form.queue_run()
    form.begin_if_over()
    assert form.form.config.steps != 5
    assert form.draft.spec().data.source == "tiny-world"


def test_the_computer_is_measured_while_the_form_is_in_view(
    session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposer, "_SETTLE_MS", 1)
    form = NewRun(session, theme)
    qtbot.addWidget(form)
    form.resize(1280, 800)
    form.show()
    session.device.warm_up()
    train_on(form, reviews(session), until)
    until(lambda: form.proposer.speed is not None)
    until(lambda: form.review.fact("time").startswith("about "))
    assert "a few steps on random words" in form.review.note.text()


def test_no_time_is_said_while_the_data_is_looked_at(form: NewRun, session: Session, until: Until) -> None:
    corpus = reviews(session)
    session.datasets.refresh()
    until(lambda: session.datasets.info(corpus.sha) is not None)
    form.proposer.may_measure = True
    form.begin()
    form.choices.learn_from(corpus.sha)
    form.proposer.stop()
    form.proposer.look(form.draft.learned)
    assert form.proposer.busy
    assert form.proposer.is_measuring, "in a moment"
    until(lambda: form.is_settled and form.proposer.facts is not None)


def test_what_cannot_be_measured_is_tried_once(
    session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposer, "_SETTLE_MS", 1)
    tried: list[int] = []

    def measure_speed(spec: RunSpec, *args: object) -> Iterator[Event]:
        tried.append(spec.train.batch_size)
        raise ValueError("The memory does not suffice.")
        yield Event()

    monkeypatch.setattr(calibrate, "measure_speed", measure_speed)
    form = NewRun(session, theme)
    qtbot.addWidget(form)
    form.show()
    session.device.warm_up()
    train_on(form, reviews(session), until)
    until(lambda: bool(tried) and form.is_settled and not form.proposer.is_measuring)
    assert form.review.fact("time") == "unknown"
    n = len(tried)
    for _ in range(10):  # what follows an edit, and what is measured then, if anything
        form.form.changed.emit(form.form.config)
        until(lambda: form.is_settled and not form.proposer.is_measuring)
    assert len(tried) == n
    size = 2 * form.form.config.batch_size
    form.form.apply({"batch_size": size})
    until(lambda: size in tried)
