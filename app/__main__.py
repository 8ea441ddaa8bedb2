"""`python -m app`, in a checkout, is `terrarium`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("terrarium", run_name="__main__", alter_sys=True)
