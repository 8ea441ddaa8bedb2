"""Pointing models: reading, training and evaluation, and why a causal one is right in exactly half of the pairs."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import build_model
from terrarium.models.events import ARROW, Event, Finished, SampleMade, ValMetrics
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.pronoun_specs import KINDS, pronoun_spec
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tasks.pronouns.batches import pointing_batch
from terrarium.models.tasks.pronouns.evaluation import (
    PronounEvaluation,
    evaluation_pairs,
    read_pronouns,
    rule_accuracies,
    write_pronouns,
)
from terrarium.models.tasks.pronouns.pointing import check_pointing, pointer_scores
from terrarium.models.tasks.pronouns.pronoun_reading import read_sentence, read_sentences
from terrarium.models.tasks.pronouns.resolving import evaluate_pronouns, resolve
from terrarium.models.tiny_world import pronouns
from terrarium.models.tiny_world.pronouns import NOUNS, Reference, build_pronoun_corpus, sentences
from terrarium.models.tokenizers import decode, train_tokenizer
from terrarium.models.training.batches import make_batches
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.samples import write_sample
from terrarium.models.training.setup import unigram_entropy

TIRED, WIDE = (f"The animal didn't cross the street because it was too {word}." for word in ("tired", "wide"))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """With some of the sentences only, of which each of these trainings sees no more."""

    def some(*, held_out: bool) -> list[Reference]:
        return random.Random(0).sample(list(sentences(held_out=held_out)), 300 if held_out else 3000)

    library = Library(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pronouns, "sentences", some)
        build_pronoun_corpus(library)
    return library


@pytest.fixture(scope="module")
def tokenizer(library: Library) -> Tokenizer:
    corpus = build_pronoun_corpus(library)
    lines = [example["text"] for example in corpus.read_examples("train")]
    return train_tokenizer(lines, "word", 87)


def fresh_model(topology: str, tokenizer: Tokenizer) -> torch.nn.Module:
    torch.manual_seed(0)
    config = pronoun_spec(topology).model
    return build_model(dataclasses.replace(config, vocab_size=tokenizer.get_vocab_size()))


def drive(events: Generator[Event, None, object]) -> list[Event]:
    return list(events)


def test_the_last_it_of_a_sentence_counts(tokenizer: Tokenizer) -> None:
    reading = read_sentence(tokenizer, TIRED)
    assert [candidate.noun for candidate in reading.candidates] == ["animal", "street"]
    words = {candidate.noun: decode(tokenizer, [reading.ids[candidate.position]]) for candidate in reading.candidates}
    assert {noun: word.strip() for noun, word in words.items()} == {"animal": "animal", "street": "street"}
    assert decode(tokenizer, [reading.ids[reading.it]]).strip() == "it"
    assert [decode(tokenizer, [reading.ids[i]]).strip() for i in reading.adjective] == ["tired"]


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_nouns_of_several_tokens_use_the_last_one(kind: str) -> None:
    tokenizer = train_tokenizer([TIRED] * 4, kind, 300)
    reading = read_sentence(tokenizer, "The turnip didn't tempt the donkey because it was too wide.")
    assert [candidate.noun for candidate in reading.candidates] == ["turnip", "donkey"]
    for candidate in reading.candidates:
        assert decode(tokenizer, reading.ids[: candidate.position + 1]).endswith(candidate.noun)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The animal was tired.", "no “it”"),
        ("The animal slept because it was tired.", "only “animal” comes before it"),
        ("It was too wide for the animal and the street.", "none comes before it"),
        ("", "no “it”"),
    ],
)
def test_sentences_without_it_or_nouns_are_refused(tokenizer: Tokenizer, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_sentence(tokenizer, text)


def test_targets_are_the_positions_of_the_antecedents(library: Library, tokenizer: Tokenizer) -> None:
    spec = pronoun_spec("encoder-only")
    corpus = build_pronoun_corpus(library)
    batches = make_batches(corpus, tokenizer, spec.model, spec.train, "val")
    examples = corpus.read_examples("val")
    batch = batches.batch(3)
    size = spec.train.batch_size
    assert batch.candidates is not None
    assert bool((batch.candidates.sum(1) == 2).all())
    assert bool((batch.weights.sum(1) == 1).all())
    for i in range(size):
        it = int(batch.weights[i].argmax())
        noun = decode(tokenizer, [int(batch.inputs[i, batch.targets[i, it]])]).strip()
        assert noun == examples[3 * size + i]["gold"]
    last = batches.batch(batches.n_batches - 1)
    assert len(last.inputs) == len(examples) - size * (batches.n_batches - 1)
    training = make_batches(corpus, tokenizer, spec.model, spec.train, "train")
    assert torch.equal(training.batch(700).inputs, training.batch(700).inputs)
    assert unigram_entropy(training, spec.model.vocab_size) is None


def test_a_context_that_is_too_short_is_refused(library: Library, tokenizer: Tokenizer) -> None:
    spec = pronoun_spec("encoder-only")
    config = dataclasses.replace(spec.model, context_length=8)
    with pytest.raises(ValueError, match="context has only 8"):
        make_batches(build_pronoun_corpus(library), tokenizer, config, spec.train, "val")


def test_scores_are_products_of_states_among_the_candidates() -> None:
    hidden = torch.randn(2, 5, 4)
    candidates = torch.tensor([[True, False, True, False, False], [False, True, False, True, False]])
    scores = pointer_scores(hidden, candidates, torch.tensor([0, 1]), torch.tensor([4, 4]))
    assert torch.isinf(scores).equal(~candidates)
    torch.testing.assert_close(scores[1, 3], hidden[1, 3] @ hidden[1, 4] / 2)


@pytest.mark.parametrize("topology", KINDS)
def test_all_weights_learn_from_pointing(topology: str, tokenizer: Tokenizer) -> None:
    config = pronoun_spec(topology).model
    check_pointing(config)
    model = fresh_model(topology, tokenizer)
    readings = read_sentences(tokenizer, [TIRED, WIDE])
    golds = [reading.candidates[i].position for i, reading in enumerate(readings)]
    weighted_nll(model, pointing_batch(readings, golds)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_designs_with_weights_that_stay_untrained_are_refused() -> None:
    encoder, decoder = (pronoun_spec(topology).model for topology in KINDS)
    for config in (
        dataclasses.replace(encoder, head="language"),
        dataclasses.replace(decoder, tied_embeddings=False),
        dataclasses.replace(decoder, topology="encoder-decoder"),
    ):
        with pytest.raises(ValueError, match="choose"):
            check_pointing(config)


def test_a_causal_model_does_not_see_the_adjective(tokenizer: Tokenizer) -> None:
    """Its scores are bitwise equal, so one sentence of every pair is right: exactly half, trained or not."""
    model = fresh_model("decoder-only", tokenizer)
    tired, wide = read_sentences(tokenizer, [TIRED, WIDE])
    assert tired.ids != wide.ids
    assert resolve(model, [tired]) == resolve(model, [wide])
    result = evaluate_pronouns(model, tokenizer, 0, evaluation_pairs(60))
    assert (result.accuracy, result.both, result.largest_difference) == (0.5, 0.0, 0.0)


def test_an_encoder_sees_the_adjective_unless_masked(tokenizer: Tokenizer) -> None:
    model = fresh_model("encoder-only", tokenizer).train()
    tired, wide = read_sentences(tokenizer, [TIRED, WIDE])
    assert resolve(model, [tired]) != resolve(model, [wide])
    assert resolve(model, [tired], without_adjective=True) == resolve(model, [wide], without_adjective=True)
    assert model.training


def test_rules_without_the_adjective_reach_half() -> None:
    pairs = evaluation_pairs(50)
    assert set(rule_accuracies(pairs).values()) == {0.5}
    assert pairs == evaluation_pairs(50)
    assert len({pair.of_being.text + pair.of_thing.text for pair in pairs}) == 50
    assert {pair.of_being.gold for pair in evaluation_pairs()} < set(NOUNS)


def test_an_evaluation_is_kept_with_its_run(tmp_path: Path) -> None:
    assert read_pronouns(tmp_path) is None
    result = PronounEvaluation(
        step=5, n_pairs=2, accuracy=0.75, both=0.5, without_adjective=0.5, largest_difference=1.5, rules={"a": 0.5}
    )
    write_pronouns(tmp_path, result)
    assert read_pronouns(tmp_path) == result
    (tmp_path / "pronouns.json").write_text(json.dumps({"accuracy": 1}))
    with pytest.raises(ValueError, match=r"pronouns\.json is damaged"):
        read_pronouns(tmp_path)


@pytest.mark.slow
def test_the_recipe_trains_and_evaluates_both(
    library: Library, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 60 steps at a high learning rate a narrow encoder learns the task; the causal model cannot."""
    every = {"eval_interval": 60, "sample_interval": 60, "checkpoint_interval": 60}

    def narrow(topology: str, name: str, seed: int) -> RunSpec:
        spec = pronoun_spec(topology, name, seed)
        training = dataclasses.replace(
            spec.train, steps=60, optimizer="muon", lr=2e-3, warmup_steps=5, eval_batches=2, **every
        )
        return dataclasses.replace(spec, model=dataclasses.replace(spec.model, d_model=32), train=training)

    monkeypatch.setattr("terrarium.models.recipes.pronouns.pronoun_spec", narrow)
    monkeypatch.setattr("terrarium.models.tasks.pronouns.resolving.evaluation_pairs", lambda: evaluation_pairs(100))
    recipe = PronounRecipe()
    events = drive(RunJob(library, recipe, device="cpu").events())
    assert [event.status for event in events if isinstance(event, Finished)] == ["finished", "finished"]
    losses = [event.loss for event in events if isinstance(event, ValMetrics)]
    assert losses[1] < 0.3
    assert losses[-1] == pytest.approx(0.693, abs=0.02)
    encoder, causal = (recipe.results[topology] for topology in KINDS)
    assert encoder.accuracy > 0.95
    assert encoder.without_adjective == pytest.approx(0.5, abs=0.1)
    assert (causal.accuracy, causal.largest_difference) == (0.5, 0.0)
    folder = recipe.runs["encoder-only"].folder
    assert read_pronouns(folder) == encoder
    samples = [event for event in events if isinstance(event, SampleMade)]
    assert [sample.text for sample in samples if sample.step == 60][:2] == [" → animal", " → street"]
    model, own = load_model(folder)
    assert own is not None
    tired, wide = (resolve(model, [read_sentence(own, text)])[0] for text in (TIRED, WIDE))
    assert tired[0] > tired[1]
    assert wide[0] < wide[1]


def test_samples_resolve_it(tokenizer: Tokenizer) -> None:
    model = fresh_model("encoder-only", tokenizer)
    text, top = write_sample(model, tokenizer, TIRED, as_chat=False, seed=0, max_tokens=5, resolves_pronouns=True)
    names = [decode(tokenizer, [id]).strip() for id, _ in top]
    assert sorted(names) == ["animal", "street"]
    assert text == ARROW + names[0]
    assert sum(probability for _, probability in top) == pytest.approx(1)
    text, top = write_sample(model, tokenizer, "Hello", as_chat=False, seed=0, max_tokens=5, resolves_pronouns=True)
    assert "no “it”" in text
    assert top == ()


def test_a_stopped_recipe_keeps_its_run(library: Library) -> None:
    recipe = PronounRecipe()
    job = RunJob(library, recipe, device="cpu")
    events = job.events()
    job.request_stop()
    drive(events)
    assert recipe.runs == recipe.results == {}
