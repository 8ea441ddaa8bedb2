"""A design as a short, readable PyTorch module that runs on its own: no torch import here, only text is made.

The module has the names of our own one (models.architecture.transformer), so the weights of a run load into it as
they are. It holds what the design needs and nothing else: no cache, no padding masks, no traces.
"""

from terrarium.models.codegen.module import module_source

__all__ = ["module_source"]
