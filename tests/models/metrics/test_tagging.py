"""Entities and their scores equal seqeval's, nearly right ones nervaluate's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.metrics.tagging import Entity, entities, iob2, score_tagging

TYPES = ("PER", "LOC", "ORG")
PREFIXES = {"IOB1": "IB", "IOB2": "IB", "IOE2": "IE", "IOBES": "IBES", "BILOU": "BILU"}


def _tag_lists(prefixes: str, **sizes: int) -> st.SearchStrategy[list[str]]:
    tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in TYPES)]
    return st.lists(st.sampled_from(tags), **sizes)


@pytest.mark.parametrize("scheme", PREFIXES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_strict_entities_equal_seqeval(scheme: str, data: st.DataObject) -> None:
    from seqeval import scheme as reference_schemes

    tags = data.draw(_tag_lists(PREFIXES[scheme], max_size=12))
    found = reference_schemes.Tokens(tags, scheme=getattr(reference_schemes, scheme)).entities
    assert entities(tags, scheme) == [Entity(e.start, e.end, e.tag) for e in found]


@given(_tag_lists("IBES", max_size=12))
@settings(deadline=None)
def test_forgiving_entities_equal_seqeval(tags: list[str]) -> None:
    from seqeval.metrics.sequence_labeling import get_entities

    assert entities(tags) == [Entity(start, end + 1, kind) for kind, start, end in get_entities(tags)]


def test_one_entity_in_every_scheme() -> None:
    three, one = Entity(0, 3, "PER"), Entity(4, 5, "LOC")
    for scheme, tags in {
        "IOB1": "I-PER I-PER I-PER O I-LOC",
        "IOB2": "B-PER I-PER I-PER O B-LOC",
        "IOE2": "I-PER I-PER E-PER O E-LOC",
        "IOBES": "B-PER I-PER E-PER O S-LOC",
        "BILOU": "B-PER I-PER L-PER O U-LOC",
    }.items():
        assert entities(tags.split(), scheme) == [three, one]
        assert entities(tags.split()) == [three, one]
    assert iob2([three, one], 6) == ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "O"]


def test_bilou_neighbours_of_one_type_stay_apart_when_forgiving() -> None:
    assert entities(["U-PER", "U-PER", "B-PER", "L-PER", "I-PER"]) == [
        Entity(0, 1, "PER"),
        Entity(1, 2, "PER"),
        Entity(2, 4, "PER"),
        Entity(4, 5, "PER"),
    ]


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="IOB2"):
        entities(["O"], "IOB9")


tagged_rows = st.lists(
    st.integers(1, 8).flatmap(lambda n: st.tuples(*[_tag_lists("IB", min_size=n, max_size=n)] * 2)),
    min_size=1,
    max_size=5,
)


@given(tagged_rows)
@settings(max_examples=50, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_scores_equal_seqeval(rows: list[tuple[list[str], list[str]]]) -> None:
    from seqeval.metrics import accuracy_score, classification_report, f1_score

    gold, predicted = map(list, zip(*rows, strict=True))
    report = score_tagging(gold, predicted, resamples=0)
    assert report.scores["token_accuracy"].value == pytest.approx(accuracy_score(gold, predicted))
    if not report.details["types"]:
        assert report.headline == "token_accuracy"
        assert report.scores["entity_f1"].note
        return
    assert report.value == pytest.approx(f1_score(gold, predicted, zero_division=0))
    expected = classification_report(gold, predicted, output_dict=True, zero_division=0)
    for row in report.details["types"]:
        of_type = expected[row["type"]]
        found = [row["precision"], row["recall"], row["f1"], row["n_gold"]]
        assert found == pytest.approx([of_type[key] for key in ("precision", "recall", "f1-score", "support")])


@given(tagged_rows)
@settings(max_examples=50, deadline=None)
def test_nearly_right_entities_equal_nervaluate(rows: list[tuple[list[str], list[str]]]) -> None:
    from nervaluate import Evaluator

    gold, predicted = map(list, zip(*rows, strict=True))

    def as_spans(tags: list[str]) -> list[dict[str, str | int]]:
        return [{"label": e.type, "start": e.start, "end": e.end - 1} for e in entities(tags)]

    evaluator = Evaluator(
        [as_spans(t) for t in gold], [as_spans(t) for t in predicted], tags=list(TYPES), loader="dict"
    )
    overall = evaluator.evaluate()["overall"]
    lenient = score_tagging(gold, predicted, resamples=0).details["lenient"]
    for kind, expected in {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}.items():
        for key, value in lenient[kind].items():
            assert value == pytest.approx(getattr(overall[expected], key)), (kind, key)


def test_parts_of_speech_are_scored_by_token() -> None:
    report = score_tagging([["NOUN", "VERB"], ["DET"]], [["NOUN", "NOUN"], ["DET"]])
    assert report.headline == "token_accuracy"
    assert report.value == pytest.approx(2 / 3)
    assert [row["tag"] for row in report.details["tags"]] == ["DET", "NOUN", "VERB"]


def test_predictions_of_another_length_are_scored_and_said() -> None:
    report = score_tagging([["B-PER", "I-PER"], ["O"]], [["B-PER"], ["O", "B-PER"]])
    assert report.value == 0
    assert "another number of tags" in report.notes[0]
