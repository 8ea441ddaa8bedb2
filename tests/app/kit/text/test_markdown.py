"""Markdown: what a text means, and what is shown of one that ends anywhere."""

from __future__ import annotations

import pytest

from terrarium.app.kit.text.markdown import Block, close_open_marks, parse


def words(block: Block) -> str:
    return "".join(span.text for span in block.spans)


def test_a_text_is_a_list_of_blocks() -> None:
    blocks = parse(
        "# Head\n\nPlain **bold** `code`.\n\n1. one\n   - inner\n2. two\n\n> said\n\n```py\nx = 1\n```\n\n---\n"
    )
    assert [(b.kind, b.indent, b.quote, b.marker) for b in blocks] == [
        ("heading", 0, 0, ""),
        ("text", 0, 0, ""),
        ("text", 1, 0, "1."),
        ("text", 2, 0, "◦"),
        ("text", 1, 0, "2."),
        ("text", 0, 1, ""),
        ("code", 0, 0, ""),
        ("rule", 0, 0, ""),
    ]
    assert [(s.text, *s.marks) for s in blocks[1].spans] == [
        ("Plain ",),
        ("bold", "bold"),
        (" ",),
        ("code", "code"),
        (".",),
    ]
    assert (blocks[6].code, blocks[6].language) == ("x = 1", "py")


def test_a_table_has_rows_and_alignments() -> None:
    [table] = parse("| a | b |\n|---|--:|\n| 1 | **2** |\n")
    assert [[["".join(s.text for s in cell)] for cell in row] for row in table.rows] == [[["a"], ["b"]], [["1"], ["2"]]]
    assert table.alignments == ("", "right")


def test_nothing_is_hidden_or_loaded() -> None:
    [block] = parse("<b>x</b> <script>y</script> ![a cat](http://host/cat.png) [file](file:///etc/passwd)")
    assert words(block).startswith("<b>x</b> <script>y</script> a cat (picture) [file](file:///etc/passwd)")
    assert [span.address for span in block.spans if span.address] == ["http://host/cat.png"]


@pytest.mark.parametrize("formula", ["$x_1 * y * z$", r"\(a_*b*\)", r"\[\frac{a}{b}\]", "$$a*b*c$$"])
def test_a_formula_stays_as_it_was_written(formula: str) -> None:
    spans = parse(f"So {formula} holds.")[0].spans
    assert [span.text for span in spans] == ["So ", formula, " holds."]


def test_a_formula_on_lines_of_its_own_is_no_list() -> None:
    formula, after = parse("$$\na\n+ b\n$$\nend")
    assert (formula.kind, formula.code, words(after)) == ("formula", "$$\na\n+ b\n$$", "end")


def test_money_is_no_formula_and_plain_sentences_are_plain() -> None:
    text = "It costs $5 and $6.\nThe dog ran; 2 * 3 is 6.\n\nThe end."
    assert all(block.is_plain for block in parse(text))
    assert [words(block) for block in parse(text)] == ["It costs $5 and $6.\nThe dog ran; 2 * 3 is 6.", "The end."]


@pytest.mark.parametrize(
    ("half", "shown"),
    [
        ("It is **very", "It is **very**"),
        ("It is **very ", "It is **very**"),
        ("It is **", "It is "),
        ("use `co", "use `co`"),
        ("a ~~b", "a ~~b~~"),
        ("see [the ar", "see "),
        ("see [the article](htt", "see [the article](#)"),
        ("a\n\n#", "a\n\n"),
        ("- ", ""),
        ("12", ""),
        ("a\n```py", "a"),
        ("```py\nx\n``", "```py\nx"),
        ("| a | b |\n|-", ""),
        ("| a | b |\n|-|-|\n| 1", "| a | b |\n|-|-|\n| 1"),
        ("2*3 is", "2*3 is"),
        ("snake_case is", "snake_case is"),
        ("a < b", "a < b"),
    ],
)
def test_what_is_half_written_waits_or_looks_as_it_will(half: str, shown: str) -> None:
    assert close_open_marks(half) == shown


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "*a " * 10_000, "**a" * 10_000, "`a" * 10_000, "> " * 10_000, "![" * 9_000]
)
def test_no_text_takes_long(text: str) -> None:
    """Without limits each of these takes seconds, and the longer ones minutes: a test that hangs fails."""
    assert parse(text)
    close_open_marks(text)
