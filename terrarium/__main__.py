"""`python -m terrarium` is `terrarium`."""

import sys

from terrarium.models.child_process import ANSWER_CALLS, answer_calls

if __name__ == "__main__":
    if sys.argv[1:] == [ANSWER_CALLS]:
        answer_calls()
    else:
        from terrarium.app.cli import main  # not needed by a child, which should start soon

        sys.exit(main())
