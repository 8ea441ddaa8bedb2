"""Reads the window state for the guide, from the session and from the pages that already exist."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.chat.archive.message_tree import Chat, Message
from terrarium.app.chat.conversation.reply_captions import judge
from terrarium.app.guide.window_state import (
    ModelFact,
    PairFact,
    ReplyFact,
    RunFact,
    SafetyFact,
    ScoredFact,
    SwitchedOffFact,
    TokenFact,
    TrainingFact,
    WindowState,
)
from terrarium.app.kit.setting_names.preset_words import known_parameters
from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.models.evaluation.record import read_evaluation
from terrarium.models.evaluation.text_verdict import UNGROWN, verdict_of
from terrarium.models.library.run_record import RunInfo
from terrarium.models.preferences.store import PERSON
from terrarium.models.recipes.demonstrations.results import RefuseResult
from terrarium.models.recipes.tasks.results import read_result
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from terrarium.app.chat.chat_tab import ChatTab
    from terrarium.app.shell.screens import Screens
    from terrarium.app.training.training_tab import TrainingTab


class WindowStateReader:
    """Reads the window state in about a millisecond; slow facts are cached until they may change."""

    def __init__(self, window: Screens) -> None:
        self._window, self._session = window, window.session
        self._recipes: dict[str, str] = {}
        """Run id -> its recipe, "" for none."""
        self._scored: dict[str, ScoredFact | None] = {}
        """Run id -> its test result, None for runs without a recipe."""
        self._accuracy: tuple[str, tuple[tuple[str, float], ...]] = ("", ())
        self._design: tuple[ModelConfig | None, int] = (None, 0)
        self._known_replies: dict[str, ReplyFact] = {}
        self._runs: tuple[RunInfo, ...] = ()
        self._run_facts: tuple[RunFact, ...] = ()
        self._tokenizers: tuple[str, ...] = ()
        self._datasets: list[str] = []
        self._list_tokenizers()
        self._session.tokenizers.list_changed.connect(self._list_tokenizers)
        self._session.datasets.added.connect(self._note_dataset)

    def _list_tokenizers(self) -> None:
        self._tokenizers = tuple(info.name for info in self._session.tokenizers.list())

    def _note_dataset(self, sha: str) -> None:
        self._datasets.append(sha)

    def read(self) -> WindowState:
        """Read the current state of the window."""
        session, pages = self._session, self._window.pages.made
        chat: Any = pages.get("chat")
        training: Any = pages.get("training")
        tokenizer: Any = pages.get("tokenizer")
        builder: Any = pages.get("builder")
        machine: Any = training.run_view.views.pages.made.get("machine") if training is not None else None
        lab = tokenizer.views.explore.lab if tokenizer is not None else None
        current = session.tokenizers.current
        design = builder.form.config if builder is not None else session.designs.current
        state = self._training()
        if state is not None and state.recipe and state.run_id:
            self._recipes[state.run_id] = state.recipe
        return WindowState(
            places=frozenset(self._places(chat, training, tokenizer, builder)),
            tokenizers=self._tokenizers,
            datasets=tuple(self._datasets),
            tokenizer=session.tokenizers.name,
            vocab_size=current.get_vocab_size() if current is not None else 0,
            typed=lab.editor.text if lab is not None else "",
            n_tokens=lab.n_tokens if lab is not None else 0,
            design=design,
            n_parameters=self._parameters(design),
            runs=self._list_runs(),
            scored=self._read_score(training),
            safety=_safety(training) if training is not None else None,
            training=state,
            model=self._model(),
            replies=self._replies(chat.conversation.chat) if chat is not None else (),
            token=_token(chat) if chat is not None else None,
            head=_head(chat) if chat is not None else "",
            switched_off=_switched_off(chat) if chat is not None else None,
            pair=_pair(chat) if chat is not None else None,
            machine_step=machine.step if machine is not None else -1,
            machine_last=machine.steps[-1] if machine is not None and machine.steps else -1,
            machine_steps=self._steps_of(training.run_view.run_id) if machine is not None else 0,
            n_judged=sum(pair.by == PERSON for pair in session.preferences.pairs) if chat is not None else 0,
            exported=tuple(training.run_view.exported) if training is not None else (),
            is_serving=chat is not None and chat.serve.serving.state.status == "on",
        )

    def _places(self, chat: Any, training: Any, tokenizer: Any, builder: Any) -> list[str]:
        match self._window.pages.current:
            case "chat":
                mode, side = chat.modes.current, chat.side
                return ["chat", f"chat/mode/{mode}", *([] if side.is_folded else [f"chat/{side.current}"])]
            case "tokenizer":
                return ["tokenizer", f"tokenizer/{tokenizer.views.current}"]
            case "builder":
                return ["builder", f"builder/{builder.views.current}"]
            case "training":
                places, kind = _training_places(training), self._kind_shown(training)
                return ["training", *places, *([f"{places[-1]}/{kind}"] if kind else [])]
            case name:
                return [name]

    def _kind_shown(self, tab: TrainingTab) -> str:
        """Return the kind of the run in view; "" if no run is in view or it has not finished."""
        if tab.pages.currentWidget() is not tab.run_view:
            return ""
        run = next((run for run in self._run_facts if run.id == tab.run_view.run_id), None)
        return run.kind if run is not None and run.status == "finished" else ""

    def _parameters(self, design: ModelConfig) -> int:
        if design != self._design[0]:
            self._design = design, known_parameters(design) or 0
        return self._design[1]

    def _training(self) -> TrainingFact | None:
        state = self._session.training.state
        if state is None:
            return None
        compared = state.compared if state.is_compared else None
        return TrainingFact(
            name=state.name,
            run_id=state.run_id,
            is_over=not self._session.training.active,
            status=state.status,
            step=state.step,
            total_steps=state.total_steps,
            recipe=state.recipe,
            is_quickstart=state.quickstart,
            accuracy=state.evaluated.accuracy if state.evaluated is not None else None,
            text_bits=compared.model if compared is not None else None,
            text_table=compared.table if compared is not None else None,
            is_text_learned=compared is not None and verdict_of(compared) != UNGROWN,
        )

    def _steps_of(self, run_id: str) -> int:
        """Return the planned number of steps of a run; 0 if unknown."""
        return next((info.total_steps for info in self._runs if info.id == run_id), 0)

    def _list_runs(self) -> tuple[RunFact, ...]:
        """Return the runs of the last library read; the same tuple while nothing has changed."""
        infos = tuple(self._session.runs.index.infos())
        if infos != self._runs:
            self._runs = infos
            self._run_facts = tuple(self._run(info) for info in infos)
        return self._run_facts

    def _run(self, info: RunInfo) -> RunFact:
        spec = info.spec
        source = spec.data.source if spec is not None else ""
        return RunFact(
            id=info.id,
            name=info.name,
            status=info.status,
            kind=self._recipe(info) or source,
            step=info.step,
            topology=spec.model.topology if spec is not None else "",
            position=spec.model.position if spec is not None else "",
            has_model=info.has_model,
            is_tuned=info.is_tuned,
            align_stage=spec.align.stage if spec is not None and spec.align is not None else "",
            best_loss=info.best_loss,
        )

    def _recipe(self, info: RunInfo) -> str:
        if info.id not in self._recipes and info.status == "finished":
            self._recipes[info.id] = _read_recipe(info.folder)
        return self._recipes.get(info.id, "")

    def _read_score(self, tab: TrainingTab | None) -> ScoredFact | None:
        """Return the test result of the run whose scores are shown, else of the newest finished run.

        None while a run is training: a recipe writes the scores after its run has finished, but before it ends.
        """
        shown = tab.run_view.run_id if tab is not None and "training/run/scores" in _training_places(tab) else ""
        finished = [info for info in self._runs if info.status == "finished"]
        if not finished or self._session.training.active:
            return None
        info = next((info for info in finished if info.id == shown), finished[0])
        if info.id not in self._scored:
            self._scored[info.id] = _read_scored(info.folder)
        return self._scored[info.id]

    def _model(self) -> ModelFact | None:
        model = self._session.chat.model
        if model is None:
            return None
        if self._accuracy[0] != model.run_id:
            self._accuracy = model.run_id, self._read_accuracy(model.run_id)
        return ModelFact(
            run_id=model.run_id,
            name=model.name,
            mode=model.mode,
            step=model.step,
            n_parameters=model.n_parameters,
            vocab_size=model.config.vocab_size,
            context_length=model.context_length,
            accuracy=self._accuracy[1],
        )

    def _read_accuracy(self, run_id: str) -> tuple[tuple[str, float], ...]:
        try:
            evaluated = read_evaluation(self._session.runs.find(run_id).folder)
        except ValueError:  # the run is gone or damaged: its figures are not known
            return ()
        return tuple((kind.kind, kind.accuracy) for kind in evaluated.kinds) if evaluated is not None else ()

    def _replies(self, chat: Chat) -> tuple[ReplyFact, ...]:
        return tuple(self._reply(chat, message) for message in chat.messages if _is_complete(message))

    def _reply(self, chat: Chat, message: Message) -> ReplyFact:
        known = self._known_replies.get(message.id)
        if known is not None and known.text == message.content:
            return known
        generation, prompt = message.generation, chat.message(message.parent)
        assert generation is not None
        drawn = [token.probability for token in generation.tokens[generation.n_prefix :] if token.probability]
        reply = ReplyFact(
            id=message.id,
            prompt=prompt.content,
            text=message.content,
            temperature=generation.sampling.temperature if generation.sampling is not None else 0.0,
            n_tokens=generation.n_tokens,
            is_branch=generation.n_prefix > 0,
            turn=_turn(chat, message) if generation.n_prefix else "",
            is_right=judge(prompt, message.content)[1] if prompt.gold else None,
            probability=math.exp(sum(map(math.log, drawn)) / len(drawn)) if drawn else None,
        )
        self._known_replies[message.id] = reply
        return reply


def _turn(chat: Chat, message: Message) -> str:
    """Return a reply from the word in which it diverges from the most similar other reply to the same prompt."""
    text = message.content
    others = [each.content for each in chat.messages if each.parent == message.parent and each.id != message.id]
    same = max((_n_same(text, other) for other in others), default=0)
    return text[text.rfind(" ", 0, same) + 1 :]


def _n_same(a: str, b: str) -> int:
    """Return the length of the common prefix."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _is_complete(message: Message) -> bool:
    """Return whether a message is a complete reply: not still being generated, and not failed."""
    return message.is_reply and message.generation is not None and message.generation.reason not in ("", "failed")


def _training_places(tab: TrainingTab) -> list[str]:
    page: Any = tab.pages.currentWidget()
    if tab.shows_recipes:
        result = tab.recipes.shown_result
        return ["training/recipes", *([f"training/recipes/{result}"] if result else [])]
    if page is tab.run_view:
        return ["training/run", f"training/run/{tab.run_view.views.current}"]
    return ["training/compare" if page is tab.comparison else "training/new"]


def _read_recipe(folder: Path) -> str:
    """Return the recipe of a run trained in an earlier launch; "" if it has none or its file is damaged."""
    with contextlib.suppress(ValueError, OSError):
        result = read_result(folder)
        return result.name if result is not None else ""
    return ""


def _read_scored(folder: Path) -> ScoredFact | None:
    """Return the test result of a run; None if it has none or its file is damaged."""
    with contextlib.suppress(ValueError, OSError):
        result = read_result(folder)
        if result is not None and result.report.value is not None:
            unseen = result.groups.get("unseen")
            value = unseen.report.with_headline(result.metric).value if unseen is not None else None
            return ScoredFact(metric=result.metric, value=result.report.value, group=result.group, unseen=value)
    return None


def _safety(tab: TrainingTab) -> SafetyFact | None:
    """Return the result of the refusal demonstration while it is shown, else None."""
    shown = tab.recipes.result.shown if tab.shows_recipes and tab.recipes.shown_result else None
    if shown is None or not isinstance(shown.result, RefuseResult):
        return None
    helpful, refuses, without = (shown.result.reports[name] for name in ("helpful", "refuses", "refuses_all"))
    return SafetyFact(
        told_before=helpful.forbidden.share("told"),
        told_after=refuses.forbidden.share("told"),
        told_when_begun=refuses.attacks["prefill"].share("told"),
        over_refused=refuses.over_refused,
        over_refused_without=without.over_refused,
    )


def _token(tab: ChatTab) -> TokenFact | None:
    """Return the pinned token, with the probability at which it was sampled; None if no token is pinned."""
    text, position = tab.focus.text, tab.focus.locked
    if text is None or position is None:
        return None
    probability = None
    for message in tab.conversation.chat.path:
        generation = message.generation
        if generation is not None and generation.tokens and text.n_prompt <= position:
            ids = tuple(token.id for token in generation.tokens)
            if ids == text.ids[text.n_prompt :]:
                probability = generation.tokens[position - text.n_prompt].probability
    return TokenFact(word=text.words[position].strip("·"), probability=probability, position=position)


def _head(tab: ChatTab) -> str:
    head = tab.focus.head
    return _in_sentence(format_site(head.site, head.head)) if head is not None else ""


def _in_sentence(name: str) -> str:
    return name[:1].lower() + name[1:]


def _switched_off(tab: ChatTab) -> SwitchedOffFact | None:
    panel: Any = tab.side.pages.made.get("ablation")
    if panel is None or panel.answer is None or panel.target != panel.answer.target:
        return None
    parts, answer = panel.intervention.parts, panel.answer
    before, after = next((p, q) for id, p, q in answer.change.tokens if id == answer.token)
    if not parts or before == after:
        return None
    return SwitchedOffFact(
        parts=tuple(_in_sentence(format_site(part.site, part.head)) for part in parts),
        are_heads=all(part.head is not None for part in parts),
        before=before,
        after=after,
    )


def _pair(tab: ChatTab) -> PairFact | None:
    page: Any = tab.modes.pages.made.get("pairs")
    if page is None or page.answer is None:
        return None
    encoder, decoder = (page.answer.models.get(kind) for kind in ("encoder-only", "decoder-only"))
    if encoder is None or decoder is None or encoder.nouns is None or decoder.nouns is None:
        return None
    (first, second), causal = encoder.nouns, decoder.nouns
    same = causal[0].nouns == causal[1].nouns
    gaps = [abs(a - b) for a, b in zip(causal[0].scores, causal[1].scores, strict=True)] if same else [math.inf]
    return PairFact(
        texts=page.answer.texts,
        encoder=(first.best, second.best),
        decoder=(causal[0].best, causal[1].best),
        decoder_difference=max(gaps),
    )
