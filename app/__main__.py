"""`python -m app` is `terrarium`."""

import multiprocessing
import sys

from app.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()  # the bench times the plain library in a process of its own, frozen too
    sys.exit(main())
