"""Two clauses in four languages: gold sentences written by hand, what is held out, and what a table of words gets."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from terrarium.models.tiny_world import lexicon
from terrarium.models.tiny_world.splits import split_of
from terrarium.models.tiny_world.stories import LANGUAGES
from terrarium.models.tiny_world.tasks.german_cases import CaseErrors, case_errors
from terrarium.models.tiny_world.tasks.translation import ENGLISH, KINDS, QUALITIES
from tests.models.tiny_world.tasks.conftest import Splits

GOLD = [
    ("take and go", "Emma Ben kite shed red sad old",
     "Emma took the kite and went to the shed.",
     "Emma a pris le cerf-volant et est allée à la cabane.",
     "Emma nahm den Drachen und ging in den Schuppen.",
     "Emma tomó la cometa y fue al cobertizo."),
    ("go and take", "Max Anna key meadow red sad old",
     "Max went to the meadow and took the key.",
     "Max est allé dans la prairie et a pris la clé.",
     "Max ging auf die Wiese und nahm den Schlüssel.",
     "Max fue al prado y tomó la llave."),
    ("take and give", "Anna Ben book mill red sad old",
     "Anna took the book and gave it to Ben.",
     "Anna a pris le livre et l'a donné à Ben.",
     "Anna nahm das Buch und gab es Ben.",
     "Anna tomó el libro y se lo dio a Ben."),
    ("take and give", "Ben Anna lamp mill red sad old",
     "Ben took the lamp and gave it to Anna.",
     "Ben a pris la lampe et l'a donnée à Anna.",
     "Ben nahm die Lampe und gab sie Anna.",
     "Ben tomó la lámpara y se la dio a Anna."),
    ("was there and taken", "Ida Ben bell market red sad old",
     "The bell was in the market, and Ida took it.",
     "La cloche était au marché, et Ida l'a prise.",
     "Die Glocke war auf dem Markt, und Ida nahm sie.",
     "La campana estaba en el mercado, e Ida la tomó."),
    ("when", "Oscar Ida hat stable red sad old",
     "When Oscar was in the stable, he put down the hat.",
     "Quand Oscar était dans l'étable, il a posé le chapeau.",
     "Als Oscar im Stall war, legte er den Hut hin.",
     "Cuando Oscar estaba en el establo, dejó el sombrero."),
    ("because of a mood", "Vera Ben hat tower red proud old",
     "Vera went to the tower because she was proud.",
     "Vera est allée à la tour parce qu'elle était fière.",
     "Vera ging zum Turm, weil sie stolz war.",
     "Vera fue a la torre porque estaba orgullosa."),
    ("because of a mood", "Ben Vera hat school red hungry old",
     "Ben went to the school because he was hungry.",
     "Ben est allé à l'école parce qu'il était affamé.",
     "Ben ging zur Schule, weil er hungrig war.",
     "Ben fue a la escuela porque tenía hambre."),
    ("look for", "Olga Ben rope castle red sad old",
     "Olga looked for the rope in the castle but did not find it.",
     "Olga a cherché la corde dans le château mais ne l'a pas trouvée.",
     "Olga suchte das Seil im Schloss, fand es aber nicht.",
     "Olga buscó la cuerda en el castillo, pero no la encontró."),
    ("not there", "Tom Olga rope attic red sad old",
     "Tom went to the attic, but Olga was not there.",
     "Tom est allé au grenier, mais Olga n'y était pas.",
     "Tom ging auf den Dachboden, aber Olga war nicht dort.",
     "Tom fue al desván, pero Olga no estaba allí."),
    ("thanks", "Tina Oscar spoon attic red sad old",
     "Tina gave Oscar the spoon, and he thanked her.",
     "Tina a donné la cuillère à Oscar, et il l'a remerciée.",
     "Tina gab Oscar den Löffel, und er dankte ihr.",
     "Tina le dio la cuchara a Oscar, y él le dio las gracias."),
    ("thanks", "Oscar Tina drum attic red sad old",
     "Oscar gave Tina the drum, and she thanked him.",
     "Oscar a donné le tambour à Tina, et elle l'a remercié.",
     "Oscar gab Tina die Trommel, und sie dankte ihm.",
     "Oscar le dio el tambor a Tina, y ella le dio las gracias."),
    ("paint and take", "Theo Ida candle castle white sad old",
     "Theo painted the castle door white and took the candle.",
     "Theo a peint la porte du château en blanc et a pris la bougie.",
     "Theo strich die Tür des Schlosses weiß und nahm die Kerze.",
     "Theo pintó la puerta del castillo de blanco y tomó la vela."),
    ("coloured, given", "Sam Ida ball mill black sad old",
     "Sam took the black ball and gave it to Ida.",
     "Sam a pris la balle noire et l'a donnée à Ida.",
     "Sam nahm den schwarzen Ball und gab ihn Ida.",
     "Sam tomó la pelota negra y se la dio a Ida."),
    ("coloured, given", "Ida Sam book mill purple sad old",
     "Ida took the purple book and gave it to Sam.",
     "Ida a pris le livre violet et l'a donné à Sam.",
     "Ida nahm das lila Buch und gab es Sam.",
     "Ida tomó el libro morado y se lo dio a Sam."),
    ("coloured, taken", "Ruth Sam basket tower white sad old",
     "The white basket was in the tower, and Ruth took it.",
     "Le panier blanc était dans la tour, et Ruth l'a pris.",
     "Der weiße Korb war im Turm, und Ruth nahm ihn.",
     "La cesta blanca estaba en la torre, y Ruth la tomó."),
    ("coloured, put down", "Clara Sam rope orchard red sad old",
     "Clara went to the orchard with the red rope and put it down.",
     "Clara est allée au verger avec la corde rouge et l'a posée.",
     "Clara ging mit dem roten Seil in den Obstgarten und legte es hin.",
     "Clara fue al huerto con la cuerda roja y la dejó."),
    ("coloured, put down", "Ben Ida shell cellar brown sad old",
     "Ben went to the cellar with the brown shell and put it down.",
     "Ben est allé à la cave avec le coquillage brun et l'a posé.",
     "Ben ging mit der braunen Muschel in den Keller und legte sie hin.",
     "Ben fue al sótano con la caracola marrón y la dejó."),
    ("was coloured", "Ida Adam map cellar pink sad old",
     "The map was pink, and Ida gave it to Adam.",
     "La carte était rose, et Ida l'a donnée à Adam.",
     "Die Landkarte war rosa, und Ida gab sie Adam.",
     "El mapa era rosa, e Ida se lo dio a Adam."),
    ("because of a quality", "Mia Adam lamp cellar pink sad old",
     "Mia did not take the lamp because it was old.",
     "Mia n'a pas pris la lampe parce qu'elle était vieille.",
     "Mia nahm die Lampe nicht, weil sie alt war.",
     "Mia no tomó la lámpara porque era vieja."),
    ("because of a quality", "Mia Adam key cellar pink sad wet",
     "Mia did not take the key because it was wet.",
     "Mia n'a pas pris la clé parce qu'elle était mouillée.",
     "Mia nahm den Schlüssel nicht, weil er nass war.",
     "Mia no tomó la llave porque estaba mojada."),
    ("that was found", "Anna Adam coin meadow pink sad dirty",
     "The coin that Anna found in the meadow was dirty.",
     "La pièce qu'Anna a trouvée dans la prairie était sale.",
     "Die Münze, die Anna auf der Wiese fand, war schmutzig.",
     "La moneda que Anna encontró en el prado estaba sucia."),
    ("that was found", "Hugo Ida hammer forest pink sad heavy",
     "The hammer that Hugo found in the forest was heavy.",
     "Le marteau que Hugo a trouvé dans la forêt était lourd.",
     "Der Hammer, den Hugo im Wald fand, war schwer.",
     "El martillo que Hugo encontró en el bosque era pesado."),
]  # fmt: skip
"""(kind, person receiver thing place colour mood quality, the sentence in the four languages)"""


def with_pairs(words: dict[str, str]) -> dict[str, str]:
    return {
        **words,
        "coloured": f"{words['colour']} {words['thing']}",
        "qualified": f"{words['quality']} {words['thing']}",
        "feeling": f"{words['mood']} {words['person']}",
    }


@pytest.mark.parametrize(("kind", "words", "english", "french", "german", "spanish"), GOLD)
def test_gold_sentences(kind: str, words: str, english: str, french: str, german: str, spanish: str) -> None:
    fields = ("person", "receiver", "thing", "place", "colour", "mood", "quality")
    filled = with_pairs(dict(zip(fields, words.split(), strict=True)))
    assert ENGLISH.fill(KINDS[kind].english, filled) == english
    told = {name: language.fill(KINDS[kind].template(name), filled) for name, language in LANGUAGES.items()}
    assert told == {"French": french, "German": german, "Spanish": spanish}


def test_every_kind_has_a_gold_sentence() -> None:
    assert {kind for kind, *_ in GOLD} == set(KINDS)


WRONG = {
    "French": r"\b([àÀ] le|de le|[lL][ea] [aeéèêiou]\w*|que [AEIOU]\w*|parce que [ie]\w*|ne [aeé]\w*)\b",
    "German": r"\b(in dem|zu dem|zu der|in das|(?:den|dem) (?!orange)\w+e [A-Z])",
    "Spanish": r"\b(a el|de el|y I\w*)\b",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_words_can_be_told_with_contractions_and_elision(language: str) -> None:
    rng = random.Random(0)
    people = lexicon.WOMEN + lexicon.MEN
    for thing in lexicon.THINGS:
        for adjective in (*lexicon.COLOURS, *QUALITIES):
            words = {"person": rng.choice(people), "receiver": rng.choice(people), "thing": thing}
            words |= {"place": rng.choice(lexicon.PLACES), "mood": rng.choice(lexicon.MOODS)}
            words |= {"colour": adjective if adjective in lexicon.COLOURS else "red"}
            words |= {"quality": adjective if adjective in QUALITIES else "old"}
            for kind in KINDS.values():
                sentence = LANGUAGES[language].fill(kind.template(language), with_pairs(words))
                assert re.fullmatch(r"[A-ZÄÖÜ][\w', -]+\.", sentence)
                assert not re.search(WRONG[language], sentence), sentence


def test_held_out_combinations_never_occur_in_training(rows: Callable[[str], Splits]) -> None:
    splits = rows("translation")
    known = {*lexicon.WOMEN, *lexicon.MEN, *lexicon.PLACES, *lexicon.THINGS, *lexicon.COLOURS, *QUALITIES,
             *lexicon.MOODS}  # fmt: skip

    def content(row: dict[str, str]) -> tuple[str, ...]:
        return (row["kind"], *(word for word in re.findall(r"\w+", row["source"]) if word in known))

    def pairs(row: dict[str, str]) -> set[tuple[str, str]]:
        words = re.findall(r"\w+", row["source"])
        thing = next((word for word in words if word in lexicon.THINGS), "")
        qualities = {word for word in words if word in (*lexicon.COLOURS, *QUALITIES)}
        return {(word, thing) for word in qualities if "door" not in words}

    trained = {content(row) for row in splits["train"]}
    trained_pairs = {pair for row in splits["train"] for pair in pairs(row)}
    held_out = Counter[str]()
    for row in splits["test"]:
        held_out[row["held_out"]] += 1
        if row["held_out"] == "combination":
            assert content(row) not in trained
            assert {split_of(f"translation {' '.join(pair)}") for pair in pairs(row)} <= {"train"}, "else both are new"
        else:
            assert not pairs(row) & trained_pairs
    assert min(held_out["combination"], held_out["agreement"]) > 0.1 * len(splits["test"])
    assert {row["held_out"] for row in splits["train"]} == {""}
    words = [{word for row in splits[split] for word in re.findall(r"\w+", row["source"])} for split in splits]
    assert words[2] <= words[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_table_of_words_does_not_translate(rows: Callable[[str], Splits], language: str) -> None:
    """Each word by the one that goes with it most (the Dice coefficient): wrong articles, cases and order."""
    splits = rows("translation")
    together, here, there = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    for row in splits["train"]:
        if row["group"] == language:
            source, target = set(split_words(row["source"])), set(split_words(row["target"]))
            here.update(source)
            there.update(target)
            together.update((one, other) for one in source for other in target)
    table: dict[str, tuple[float, str]] = {}
    for (one, other), n in together.items():
        table[one] = max(table.get(one, (0.0, "")), (2 * n / (here[one] + there[other]), other))
    own = [row for row in splits["test"] if row["group"] == language]
    said = [" ".join(table[word][1] for word in split_words(row["source"])) + "." for row in own]
    assert sum(text == row["target"] for text, row in zip(said, own, strict=True)) < 0.05 * len(own)
    if language == "German":
        errors = [case_errors(text, row["target"]) for text, row in zip(said, own, strict=True)]
        assert sum(e.n_wrong for e in errors) > 0.3 * sum(e.n_forms for e in errors)
        right = [case_errors(row["target"], row["target"]) for row in own]
        assert sum(e.n_wrong for e in right) == 0
        assert all(e.n_forms for e in right)


def split_words(text: str) -> list[str]:
    """The words of a sentence, without "Say in French:"."""
    return re.findall(r"[\w'-]+", re.sub(r"^Say in \w+: ", "", text))


@pytest.mark.parametrize(
    ("predicted", "errors"),
    [
        ("Clara ging mit dem roten Seil in den Obstgarten und legte es hin.", CaseErrors(0, 3)),
        ("Clara ging mit das rote Seil in den Obstgarten und legte es hin.", CaseErrors(1, 3)),
        ("Clara ging mit dem rote Seil in den Obstgarten und legte es hin.", CaseErrors(1, 3)),
        ("Clara ging mit dem roten Seil im Obstgarten und legte ihn hin.", CaseErrors(2, 3)),
        ("Clara ging mit dem roten Hut in den Obstgarten und legte es hin.", CaseErrors(0, 2)),  # another word
        ("Clara ging mit dem blauen Seil in den Obstgarten.", CaseErrors(0, 2)),
        ("", CaseErrors(0, 0)),
    ],
)
def test_german_is_judged_by_its_cases(predicted: str, errors: CaseErrors) -> None:
    assert case_errors(predicted, "Clara ging mit dem roten Seil in den Obstgarten und legte es hin.") == errors


def test_genitives_and_relative_pronouns_are_cases_too() -> None:
    painted = "Theo strich die Tür des Schlosses weiß und nahm die Kerze."
    assert case_errors("Theo strich die Tür der Schloss weiß und nahm die Kerze.", painted) == CaseErrors(1, 3)
    found = "Der Hammer, den Hugo im Wald fand, war schwer."
    assert case_errors("Der Hammer, der Hugo im Wald fand, war schwer.", found) == CaseErrors(1, 3)
