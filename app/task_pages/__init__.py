"""Pages for models of other tasks than chat: labels, entities, answers in a text, functions, masks, and text to
text.
"""
