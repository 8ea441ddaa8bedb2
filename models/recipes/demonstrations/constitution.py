"""“By its own rules”: a helpful model criticises and revises its own replies by rules that the user can change.

It is taught two tasks with gold answers: to judge whether a reply breaks a rule, and to rewrite a reply. From then on
no gold answers are used: it replies to forbidden and harmless questions, criticises each reply, and revises those
that it judges to break a rule. It is fine-tuned on the retained and revised replies, mixed with ordinary questions,
and then trained by DPO to prefer what its critique preferred. The gold answers only measure: the replies, and the
critiques.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence

from tokenizers import Tokenizer

from terrarium.models.alignment.critiques import Critic
from terrarium.models.alignment.rollouts import draw_replies, longest_prompt, reply_end, reply_text
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, list_corpora, prompt_digest
from terrarium.models.evaluation.safety import N_EACH
from terrarium.models.evaluation.safety_report import SafetyReport
from terrarium.models.events import Event, Notice, Phase
from terrarium.models.inference.many_replies import generate_in_batches
from terrarium.models.number_words import format_count
from terrarium.models.preferences.dataset import build_preference_corpus
from terrarium.models.recipes.demonstrations.demonstration import check_can_reply, load_chat_model
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.demonstrations.refuse import LESSONS, fine_tuning, lesson_spec, measure_safety
from terrarium.models.recipes.demonstrations.results import (
    CONSTITUTION,
    ConstitutionResult,
    CriticFigures,
    Health,
    RoundResult,
)
from terrarium.models.recipes.demonstrations.stages import Stages, stage_spec
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.constitution import (
    NO,
    RULES,
    YES,
    drawn_row,
    is_broken,
    kind_of_rule,
    question_of,
    taught_rows,
)
from terrarium.models.tiny_world.refusals import Secrets
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World

_TITLES = DEMONSTRATIONS[CONSTITUTION].stages
N_TAUGHT = 400
"""The number of critiques and revisions that are taught with gold answers."""
N_ASKED: Mapping[str, int] = {"forbidden": 400, "look-alike": 400}
"""The questions that it replies to in a round, by cell."""
N_OLD = 1200
"""The number of ordinary questions with their earlier answers, mixed with its own replies against forgetting."""
STEPS = {"critic": 800, "revised": 600, "preferred": 60}
RATES = {"critic": 1e-3, "revised": 1e-3, "preferred": 3e-4}
MAX_ROUNDS = 2
ENOUGH = 0.03
"""No further round follows if a model judges less than this share of its own replies to break a rule."""
SURE = 2.0
"""The minimum absolute log-odds of a critique that is learned from: false alarms are mostly uncertain."""
_VAL_SHARE = 0.1
_N_HEALTH, _N_CARDS = 96, 6


def constitution(
    stages: Stages,
    base: str,
    *,
    rules: Sequence[str] = RULES,
    seed: int = 0,
    world_seed: int = 0,
    n_each: int = N_EACH,
) -> Generator[Event, None, ConstitutionResult]:
    """Run the demonstration on a chat model. Yields the events of its trainings and measurements.

    Args:
        base: a run, or a path.
        rules: of the constitution, see `kind_of_rule`.
        seed: of the trainings and draws.
        world_seed: of the world that the model was trained on.

    Raises:
        ValueError: if there is no such model, it cannot chat, a rule does not apply to this world, or a training
            fails.
    """
    check_can_reply(stages.library, base)
    for rule in rules:
        kind_of_rule(rule)
    loop = _Loop(stages=stages, rules=tuple(rules), seed=seed, world_seed=world_seed, n_each=n_each)
    return (yield from loop.run(base))


class _Loop:
    """The stages, one after the other, and their measurements."""

    def __init__(self, *, stages: Stages, rules: Sequence[str], seed: int, world_seed: int, n_each: int) -> None:
        self.stages, self.library, self.device = stages, stages.library, stages.device
        self.rules, self.seed, self.world_seed, self.n_each = rules, seed, world_seed, n_each
        self.secrets = Secrets(World(world_seed))
        self.reports: dict[str, SafetyReport] = {}
        self.health: dict[str, Health] = {}
        self.runs: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def run(self, base: str) -> Generator[Event, None, ConstitutionResult]:
        began = time.perf_counter()
        spec = lesson_spec(self.library, LESSONS["helpful"], base, self.seed, self.world_seed)
        helpful = yield from self.stages.train(spec)
        yield from self._measured("helpful", helpful.id, began)
        began = time.perf_counter()
        taught = self._taught()
        critic_run = yield from self._imitate("critic", _TITLES["critic"], helpful.id, taught)
        yield from self._measured("critic", critic_run.id, began)
        model, tokenizer = load_chat_model(self.library, critic_run.id, self.device)
        critic = Critic(model=model, tokenizer=tokenizer, rules=self.rules)
        figures = yield from self._critic_figures(critic)

        rounds: list[RoundResult] = []
        cards: Sequence[Example] = ()
        final, run = "critic", critic_run
        for number in range(1, MAX_ROUNDS + 1):
            began = time.perf_counter()
            rows = yield from self._drafts(run, critic, number)
            cards = cards or _cards(rows)
            n_broken = sum(row["critique"]["log_odds"] > 0 for row in rows)
            if number > 1 and n_broken < ENOUGH * len(rows):
                break
            digit = str(number) if number > 1 else ""
            old = self._old_rows(number)
            corpus = self._chat_corpus(f"Replies and critiques of {run.name}, seed {self.seed}", rows, old)
            run = yield from self._imitate("revised", _TITLES[f"revised{digit}"], run.id, corpus)
            stage = f"revised{digit}"
            yield from self._measured(stage, run.id, began)
            preferred, n_pairs = _pairs(rows, old, random.Random(f"pairs-{self.seed}-{number}")), 0
            if len({prompt_digest(row["messages"]) for row in preferred}) > 1:  # one for validation
                began = time.perf_counter()
                pairs = build_preference_corpus(self.library, f"Own critiques, {run.name}", preferred)
                run = yield from self._prefer(_TITLES[f"preferred{digit}"], run.id, pairs)
                stage, n_pairs = f"preferred{digit}", len(pairs.rows("train"))
                yield from self._measured(stage, run.id, began)
            is_kept = not self.health[stage].has_collapsed(self.health["helpful"])
            rounds.append(RoundResult(n=len(rows), n_broken=n_broken, n_pairs=n_pairs, is_kept=is_kept))
            if not is_kept:
                yield Notice(sentence=f"Replies collapsed in round {number}, so the model before it stays.")
                break
            final = stage
        return ConstitutionResult(
            base=base,
            seed=self.seed,
            rules=self.rules,
            reports=self.reports,
            health=self.health,
            runs=self.runs,
            seconds=self.seconds,
            critic=figures,
            rounds=rounds,
            final=final,
            cards=cards,
        )

    # Training

    def _imitate(self, stage: str, title: str, parent: str, corpus: Corpus) -> Generator[Event, None, RunFolder]:
        data = DataSpec(source="dataset", dataset=corpus.label, task="chat")
        steps, rate = STEPS[stage], RATES[stage]
        spec = fine_tuning(self.library, title, parent, data, steps, self.seed, rate=rate)
        return (yield from self.stages.train(spec, corpus))

    def _prefer(self, title: str, parent: str, pairs: Corpus) -> Generator[Event, None, RunFolder]:
        align = AlignSpec(**usual_align("dpo") | {"max_tokens": MAX_REPLY_TOKENS, "nll_weight": 1.0})
        data = DataSpec(source="dataset", dataset=pairs.label, task="preference")
        train = usual_align_train("dpo") | {"seed": self.seed, "steps": STEPS["preferred"], "lr": RATES["preferred"]}
        spec = stage_spec(self.library, title, parent, data, train, align)
        return (yield from self.stages.train(spec, pairs))

    # Data

    def _taught(self) -> Corpus:
        """Make the dataset of critiques and revisions with gold answers, in the words of these rules."""
        rng = random.Random(f"constitution-{self.seed}")
        train = taught_rows(self.rules, self.secrets, rng, N_TAUGHT, held_out=False)
        val = taught_rows(self.rules, self.secrets, rng, max(4, N_TAUGHT // 10), held_out=True)
        return self._stored(f"Tiny World {self.world_seed}, critique and revise", train, val)

    def _chat_corpus(self, label: str, rows: Sequence[Example], old: Sequence[Example]) -> Corpus:
        """Make a dataset of retained and revised replies, mixed with `old` answers, split by prompt.

        Raises:
            ValueError: if there are hardly any such replies, because from old answers alone it would learn nothing
                about its rules.
        """
        kept = [row for row in rows if row["messages"][-1]["role"] == "assistant"]
        if len({prompt_digest(row["messages"][:-1]) for row in kept}) < 2:
            raise ValueError(
                f"Of {format_count(len(rows), 'reply', 'replies')} hardly any can be learned from, since they do not "
                "end, their revisions still break a rule, or the critiques are not sure: start from a model that "
                "answers."
            )
        kept += old
        order = sorted({prompt_digest(row["messages"][:-1]) for row in kept})
        held_out = set(order[: max(1, round(_VAL_SHARE * len(order)))])
        val = [row for row in kept if prompt_digest(row["messages"][:-1]) in held_out]
        train = [row for row in kept if prompt_digest(row["messages"][:-1]) not in held_out]
        return self._stored(label, train, val)

    def _stored(self, wanted: str, train: Sequence[Example], val: Sequence[Example]) -> Corpus:
        """Return a dataset of conversations with that name, or with a number appended if other rows have the name."""
        known = {corpus.label: corpus for corpus in list_corpora(self.library) if corpus.task == "chat"}
        for name, corpus in known.items():
            if name.startswith(wanted) and [corpus.read_examples(split) for split in ("train", "val")] == [train, val]:
                return corpus
        n, name = 1, wanted
        while name in known:
            n, name = n + 1, f"{wanted} ({n + 1})"
        return build_examples_corpus(self.library, train, val, name, self.world_seed, task="chat")

    def _drafts(self, run: RunFolder, critic: Critic, number: int) -> Generator[Event, None, list[Example]]:
        """Return rows with a question, the model's reply, its critique and its revision. Their messages end with the
        accepted reply, or with the question if there is none: the reply did not end, its revision breaks a rule,
        too, or is not a sentence, or the critique is not SURE.

        Replies that do not fit the context as a critique are left out. A question that is drawn several times is
        asked once, and has as many rows.
        """
        model, tokenizer = load_chat_model(self.library, run.id, self.device)
        rng = random.Random(f"constitution-{self.seed}-{number}")
        rows = [drawn_row(self.secrets, rng, cell, held_out=False) for cell, n in N_ASKED.items() for _ in range(n)]
        times = Counter(prompt_digest(row["messages"]) for row in rows)
        rows = list({prompt_digest(row["messages"]): row for row in rows}.values())
        yield Phase(name="Replying")
        rows, replies = yield from self._replies(model, tokenizer, rows)
        said = [(question_of(row), reply) for row, (reply, _) in zip(rows, replies, strict=True)]
        yield Phase(name="Criticising its own replies")
        critiques = yield from critic.critiques(said)
        rules = [critique.rule for critique in critiques]
        words = yield from critic.words(said, rules)
        yield Phase(name="Revising its own replies")
        revisions = yield from critic.revisions(said, rules)
        again = yield from critic.critiques([(each[0], new) for each, new in zip(said, revisions, strict=True)])
        found: list[Example] = []
        for i, critique in enumerate(critiques):
            if not math.isfinite(critique.log_odds):
                continue
            revision, reply = revisions[i], said[i][1]
            is_usable = replies[i][1] and bool(reply)
            if critique.is_broken:
                is_usable = not again[i].is_broken and is_whole_revision(revision)
            is_usable = is_usable and abs(critique.log_odds) >= SURE
            kept = {"role": "assistant", "content": revision if critique.is_broken else reply}
            draft = {
                "messages": [*rows[i]["messages"], *([kept] if is_usable else [])],
                "cell": rows[i]["cell"],
                "reply": reply,
                "critique": {"rule": critique.rule, "log_odds": critique.log_odds, "words": words[i]},
                "revision": revision,
            }
            found += [draft] * times[prompt_digest(rows[i]["messages"])]  # there are more forbidden ones than others
        return found

    def _old_rows(self, number: int) -> list[Example]:
        """Return ordinary questions with their answers, as in its earlier training data."""
        rng = random.Random(f"constitution-old-{self.seed}-{number}")
        rows = [drawn_row(self.secrets, rng, "ordinary", held_out=False) for _ in range(N_OLD)]
        return [
            {
                "messages": [*row["messages"], {"role": "assistant", "content": row["gold"]}],
                "cell": row["cell"],
            }
            for row in rows
        ]

    def _replies(
        self, model: Decoder, tokenizer: Tokenizer, rows: Sequence[Example]
    ) -> Generator[Event, None, tuple[list[Example], list[tuple[str, bool]]]]:
        """Return the rows with room for a reply, and the greedy reply to each, with whether it ends."""
        asked = self._fitting(model, tokenizer, rows)
        prompts = [prompt for _, prompt in asked]
        said = yield from generate_in_batches(model, prompts, MAX_REPLY_TOKENS, reply_end(tokenizer))
        replies = [
            (tokenizer.decode(ids, skip_special_tokens=False).strip(), len(ids) < MAX_REPLY_TOKENS) for ids in said
        ]
        return [row for row, _ in asked], replies

    def _fitting(
        self, model: Decoder, tokenizer: Tokenizer, rows: Sequence[Example]
    ) -> list[tuple[Example, list[int]]]:
        """Return the rows with room for a reply, the shortest first, with their ids."""
        longest = longest_prompt(model.config.context_length, MAX_REPLY_TOKENS)
        ids = [encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0] for row in rows]
        asked = [(row, prompt) for row, prompt in zip(rows, ids, strict=True) if len(prompt) <= longest]
        return sorted(asked, key=lambda each: len(each[1]))

    # Measuring

    def _measured(self, stage: str, model: str, began: float) -> Generator[Event, None, None]:
        self.runs[stage] = model
        self.reports[stage] = yield from measure_safety(self.library, model, self.world_seed, self.device, self.n_each)
        self.health[stage] = yield from self._health(model)
        self.seconds[stage] = time.perf_counter() - began

    def _health(self, model: str) -> Generator[Event, None, Health]:
        """Measure the health of replies drawn to harmless and ordinary questions, always the same ones."""
        decoder, tokenizer = load_chat_model(self.library, model, self.device)
        rng = random.Random(f"constitution-health-{self.world_seed}")
        cells = ("look-alike", "ordinary") * (_N_HEALTH // 2)
        rows = [drawn_row(self.secrets, rng, cell, held_out=True) for cell in cells]
        prompts = [prompt for _, prompt in self._fitting(decoder, tokenizer, rows)]
        drawn = yield from draw_replies(decoder, tokenizer, prompts, 1, seed=self.seed, max_tokens=MAX_REPLY_TOKENS)
        replies = [own[0] for own in drawn]
        return Health(
            distinct_2=distinct_2([reply_text(tokenizer, reply) for reply in replies]),
            ended=sum(reply.ended for reply in replies) / len(replies),
        )

    def _critic_figures(self, critic: Critic) -> Generator[Event, None, CriticFigures]:
        """Measure critiques of the model's own replies to held-out questions."""
        yield Phase(name="Measuring its critiques")
        rows = [each for each in self.reports["critic"].replies if each[0]["cell"] in ("forbidden", "look-alike")]
        found = yield from critic.critiques([(question_of(row), reply) for row, reply in rows])
        broken = [any(is_broken(rule, row, reply) for rule in self.rules) for row, reply in rows]
        return CriticFigures(
            n=len(rows),
            n_broken=sum(broken),
            n_found=sum(critique.is_broken for critique, is_bad in zip(found, broken, strict=True) if is_bad),
            n_false=sum(critique.is_broken for critique, is_bad in zip(found, broken, strict=True) if not is_bad),
        )


def is_whole_revision(revision: str) -> bool:
    """Whether a revision is a sentence, and not a critique by mistake."""
    words = revision.replace(".", " ").replace(",", " ").split()
    return len(words) > 2 and words[0] not in (YES, NO.rstrip("."))


def distinct_2(texts: Sequence[str]) -> float:
    """Return the share of distinct bigrams of words among all; 0 if there are none."""
    pairs = [pair for text in texts for words in [text.split()] for pair in itertools.pairwise(words)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _pairs(rows: Sequence[Example], old: Sequence[Example], rng: random.Random) -> list[Example]:
    """Return the preferences of the model's own critique.

    A revision is preferred to a reply that breaks a rule; any other reply is preferred to a revision of another
    question, which is needless here. As many `old` answers are preferred in the same way.
    """
    learned = [row for row in rows if row["messages"][-1]["role"] == "assistant"]
    revised = [row for row in learned if row["critique"]["log_odds"] > 0]
    kept = [row for row in learned if row["critique"]["log_odds"] < 0]
    found = [(row["messages"], row["reply"]) for row in revised if row["reply"]]
    if revised:
        needless = [row["revision"] for row in revised]
        found += [(row["messages"], rng.choice(needless)) for row in (*kept, *old[: len(kept)])]
    return [
        {"messages": messages[:-1], "chosen": messages[-1]["content"], "rejected": worse, "source": "critique"}
        for messages, worse in found
        if messages[-1]["content"] != worse
    ]


def _cards(rows: Sequence[Example]) -> list[Example]:
    """Return some distinct rows of forbidden and of harmless questions, to show."""
    apart = {prompt_digest(row["messages"]): row for row in rows}.values()
    sorts = [[row for row in apart if row["cell"] == cell] for cell in ("forbidden", "look-alike")]
    return [row for sort in sorts for row in sort[:: max(1, len(sort) // _N_CARDS)][:_N_CARDS]]
