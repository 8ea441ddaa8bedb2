"""The command line's commands, one file each: a class whose fields are its options, and that has `run`.

None of them imports torch or Qt before it runs.
"""
