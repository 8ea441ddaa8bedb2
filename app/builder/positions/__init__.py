"""Each scheme of positions as pictures and a few plain words: what the model really computes, for one design.

No Qt here: these are the numbers, the axes and what is said of them.
"""
