"""Questions with a context and answers marked in it, in the files of SQuAD 1.1 and 2.0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from terrarium.models.importing.formats.files import FormatError, Meter, SourceFile
from terrarium.models.importing.formats.json_rows import json_items
from terrarium.models.importing.formats.rows import ReadOptions, Row


def read_squad(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read each question: title, context, question, answers ([] if unanswerable); the line is that of its article.

    Raises:
        FormatError: if an article has another form.
    """
    for line, article in json_items(file, options, meter):
        try:
            yield from ((line, row) for row in _questions(article))
        except (KeyError, TypeError, AttributeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else "a part is of another kind"
            raise FormatError(file.name, line, f"the article that begins here is not as in SQuAD: {what}.") from error


def _questions(article: Any) -> Iterator[Row]:
    for paragraph in article["paragraphs"]:
        for question in paragraph["qas"]:
            answers = [] if question.get("is_impossible") else question["answers"]
            yield {
                "title": article.get("title"),
                "context": paragraph["context"],
                "question": question["question"],
                "answers": [
                    {"text": text, "start": start}
                    for text, start in dict.fromkeys((answer["text"], answer["answer_start"]) for answer in answers)
                ],
            }
