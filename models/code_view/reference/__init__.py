"""Every design in one PyTorch module whose constants are the slots; models.code_view cuts it down to one design.

Its parts are read as one text, and imported only by tests, which compare them with models.architecture.
models.code_view.pruning cuts what constants rule out, so statements that depend on them fit on one line; switches
(bools and texts) leave no trace. A part imports all of the parts before it, whose names are global in that text. The
functions attention_block, feed_forward_block, position_block and norm_block become the texts of custom blocks
(models.code_view.custom).
"""

PARTS = ("constants", "positions", "model")
"""In the order of the text."""
