"""Generates the code of a design: a short, readable PyTorch module that runs on its own. No torch import here.

The generated module has the parameter names of models.architecture.transformer, so the weights of a run load into it
unchanged. It contains only what the design needs: no cache, no padding masks, no traces. It is the module in
reference/ with the design's constants, without what they rule out.
"""

from terrarium.models.code_view.source import module_source

__all__ = ["module_source"]
