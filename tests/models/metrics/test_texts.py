"""Scores of texts equal rouge-score's, sacrebleu's and SQuAD's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.metrics.report import compare
from terrarium.models.metrics.texts import TEXT_METRICS, exact_match, rouge, score_answers, score_texts, token_f1

ENGLISH = [
    "Tom took the key.",
    "Lily went to the mill and sang.",
    "The dog is asleep!",
    "It rained all day long, again.",
]
FRENCH = [
    "Tom a pris la clé.",
    "Lily est allée au moulin et a chanté.",
    "Le chien dort !",
    "Il a plu toute la journée.",
]
FOUND = ["Tom a pris le clé.", "Lily est allée au moulin.", "Le chat dort !", "Il a plu toute la journée."]

WORDS = ["The", "cat", "sat", "on", "a", "mat.", "dog,", "ran\n", "it-self", "42", "é"]
some_words = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(some_words, some_words)
@settings(max_examples=30, deadline=None)
def test_rouge_equals_rouge_score(reference: str, predicted: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    names = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l", "rougeLsum": "rouge_lsum"}
    expected = RougeScorer(list(names)).score(reference, predicted)
    found = rouge(reference, predicted)
    for theirs, ours in names.items():
        values = [found[ours][key] for key in ("precision", "recall", "f1")]
        assert values == pytest.approx(list(expected[theirs])), ours


def test_bleu_and_chrf_are_sacrebleus_with_its_signature() -> None:
    import sacrebleu
    from sacrebleu.metrics import BLEU, CHRF

    report = score_texts(ENGLISH, FRENCH, FOUND, resamples=0)
    for name, metric in (("bleu", BLEU()), ("chrf2", CHRF())):
        assert report.scores[name].value == pytest.approx(metric.corpus_score(FOUND, [FRENCH]).score)
        assert report.details["signatures"][name] == str(metric.get_signature())
    assert sacrebleu.__version__ in report.details["signatures"]["bleu"]
    assert report.item_scores[3] == pytest.approx(1)


def test_other_scores_of_texts() -> None:
    report = score_texts(ENGLISH, FRENCH, FOUND, resamples=0)
    assert report.headline == "exact_match"
    assert report.value == 0.25
    lengths = [sum(len(text.split()) for text in texts) for texts in (FOUND, FRENCH)]
    assert report.scores["length_ratio"].value == pytest.approx(lengths[0] / lengths[1])
    assert report.scores["copied_ngrams"].value == 0
    copied = score_texts(ENGLISH, FRENCH, ENGLISH, metrics=["copied_ngrams"], resamples=0)
    assert (copied.value, copied.details["reference_copied"]) == (1, 0)


def test_paired_bootstrap_agrees_with_sacrebleu() -> None:
    from sacrebleu.metrics import CHRF
    from sacrebleu.significance import PairedTest

    gold, better, worse = FRENCH * 12, (FRENCH[:3] + FOUND[3:]) * 12, FOUND * 12
    ours = compare(*(score_texts(ENGLISH * 12, gold, texts, resamples=0) for texts in (worse, better)), metric="chrf2")
    test = PairedTest([("a", worse), ("b", better)], {"chrF2": CHRF(references=[gold])}, None, "bs", 1000)
    theirs = test()[1]["chrF2"]
    assert [ours.a, ours.b] == pytest.approx([result.score for result in theirs])
    assert ours.p_value == pytest.approx(theirs[1].p_value, abs=0.01)
    assert ours.interval is not None
    assert 0 < ours.interval[0] < ours.difference < ours.interval[1]


def test_a_system_does_not_differ_from_itself() -> None:
    report = score_texts(ENGLISH, FRENCH, FOUND, resamples=0)
    same = compare(report, report, "bleu")
    assert (same.difference, same.p_value) == (0, 1)


def test_systems_of_different_items_are_not_compared() -> None:
    one, other = (score_texts(ENGLISH[:n], FRENCH[:n], FOUND[:n], resamples=0) for n in (3, 4))
    with pytest.raises(ValueError, match="score both on the same"):
        compare(one, other)
    with pytest.raises(ValueError, match="not measured for both"):
        compare(one, one, "mcc")


@pytest.mark.filterwarnings("error")
@given(st.lists(st.tuples(*[st.text(max_size=12)] * 3), max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_texts_give_numbers_or_a_sentence(rows: list[tuple[str, str, str]]) -> None:
    sources, gold, predicted = ([row[i] for row in rows] for i in range(3))
    report = score_texts(sources, gold, predicted, resamples=20)
    for score in report.scores.values():
        assert (score.value is not None and math.isfinite(score.value)) or score.note
    assert all(map(math.isfinite, report.item_scores))


def test_short_texts_say_why_bleu_is_0() -> None:
    report = score_texts(["a"], ["un deux"], ["un deux"], metrics=["bleu"])
    assert report.value == 0
    assert "four words" in report.notes[0]


@pytest.mark.parametrize("predicted", [[], ["a", "b"]])
def test_unequal_lengths_and_unknown_metrics_are_refused(predicted: list[str]) -> None:
    with pytest.raises(ValueError, match="one prediction for each"):
        score_texts(["a"], ["a"], predicted)
    with pytest.raises(ValueError, match=TEXT_METRICS[0]):
        score_texts(["a"], ["a"], ["a"], metrics=["meteor"])


# SQuAD 2.0's evaluation script gives these (compute_exact, compute_f1).
@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        (["the mill"], "Mill", True, 1.0),
        (["the mill"], "a  mill!", True, 1.0),
        (["old mill"], "the mill", False, 2 / 3),
        (["mill", "old mill"], "old mill", True, 1.0),
        (["Tom's hat"], "toms hat", True, 1.0),
        (["mill mill"], "mill", False, 2 / 3),
        (["mill"], "garden", False, 0.0),
        (["mill"], "", False, 0.0),
        ([], "", True, 1.0),
        ([], "mill", False, 0.0),
        ([], "the", True, 1.0),
        (["the"], "", True, 1.0),
        (["mill-race"], "millrace", True, 1.0),
        (["clé"], "cle", False, 0.0),
        (["theatre"], "atre", False, 0.0),
    ],
)
def test_answers_as_squad_has_them(gold: list[str], predicted: str, exact: bool, f1: float) -> None:
    assert exact_match(gold, predicted) is exact
    assert token_f1(gold, predicted) == pytest.approx(f1)


def test_questions_without_answers_are_counted_apart() -> None:
    report = score_answers([["mill"], ["hat"], [], [], []], ["mill", "", "", "", "mill"], resamples=50)
    assert report.value == 0.6
    assert report.details["has_answer"] == {"n": 2, "exact_match": 0.5, "token_f1": 0.5}
    assert report.details["no_answer"]["exact_match"] == pytest.approx(2 / 3)
    assert report.details["no_answer_detection"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})
    assert report.scores["no_answer_f1"].value == pytest.approx(2 / 3)


def test_without_unanswerable_questions_no_answer_f1_says_so() -> None:
    report = score_answers([["mill"]], ["garden"])
    assert report.scores["no_answer_f1"].value is None
    assert report.details["no_answer"]["exact_match"] is None
    assert "Every question has an answer" in report.notes[0]
