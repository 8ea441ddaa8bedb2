"""Pages for models that do not chat: labels, entities, answers in a text, functions, masks, and text to text."""
