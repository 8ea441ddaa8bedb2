"""The parts of the view that puts tokenizers side by side."""
