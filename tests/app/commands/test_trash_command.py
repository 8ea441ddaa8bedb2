"""`terrarium trash`: listing, restoring and emptying."""

from __future__ import annotations

import json

import pytest

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS


def test_the_trash_by_command(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "b", "c"):
        library.move_to_trash(library.save_design(name, PRESETS["terrarium-tiny"]))
    assert main(["trash", "list"]) == 0
    assert "design" in capsys.readouterr().out
    assert main(["trash", "list", "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["trash"]
    assert sorted(item["name"] for item in items) == ["a", "b", "b", "c"]
    assert main(["trash", "restore", "a"]) == 0
    assert capsys.readouterr().out.strip() == str(library.designs / "a.json")
    assert library.list_designs() == ["a"]
    assert main(["trash", "restore", "b"]) == 1
    sentence = capsys.readouterr().err
    ids = [item["id"] for item in items if item["name"] == "b"]
    assert all(token in sentence for token in ids)
    assert main(["trash", "empty", ids[0], "--json"]) == 0
    size = items[0]["size_bytes"]
    assert json.loads(capsys.readouterr().out) == {"deleted": [ids[0]], "freed_bytes": size}
    assert main(["trash", "empty"]) == 0
    assert capsys.readouterr().out.startswith("2 items deleted")
    assert list(library.trash.iterdir()) == []
    assert main(["trash", "list"]) == 0
    assert capsys.readouterr().out == "The trash is empty.\n"
    assert main(["trash", "empty", "a"]) == 1
    assert "it is empty" in capsys.readouterr().err
