"""The command line's commands, one file each: `add_parser(subparsers)` and `run(args) -> int`.

None of them imports torch or Qt before it runs.
"""
