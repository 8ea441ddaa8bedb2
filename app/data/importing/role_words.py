"""The titles of column roles on screen."""

from __future__ import annotations

_ROLES = {
    "text": "Text",
    "text_pair": "Second text",
    "label": "Label",
    "labels": "Labels",
    "score": "Score",
    "words": "Words",
    "tags": "Tags",
    "question": "Question",
    "context": "Text with the answer",
    "answers": "Answers",
    "source": "Source",
    "target": "Target",
    "messages": "Messages",
    "prompt": "Prompt",
    "reply": "Reply",
    "system": "System prompt",
    "input": "More of the prompt",
    "cases": "Cases of a function",
    "facts": "Facts of a summary",
    "fields": "Fields of a JSON object",
    "language": "Language",
    "chosen": "The better reply",
    "rejected": "The worse reply",
    "completion": "Reply",
    "replies": "Both replies, the better first",
    "score_chosen": "Score of the better reply",
    "score_rejected": "Score of the worse reply",
    "choice": "Tie or not",
    "group": "Group (not divided)",
}


def role_title(role: str) -> str:
    """Return the title of a role of ImportPlan."""
    return _ROLES.get(role, role.replace("_", " ").capitalize())
