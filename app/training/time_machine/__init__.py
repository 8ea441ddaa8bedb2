"""The time machine: what a run wrote, expected and looked at, at any step that it kept."""
