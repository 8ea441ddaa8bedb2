"""A design as a tree of parts, and what follows from it: parameters, FLOPs and memory. No torch import.

Parameters are exact. The rest is *estimated*, and the docstrings say what is left out.
"""

from terrarium.models.design.counting import active_parameters, parameters_by_component, total_parameters
from terrarium.models.design.memory import activation_bytes, kv_cache_bytes, training_memory
from terrarium.models.design.operations import (
    flops_per_token,
    operations,
    operations_of_targets,
    training_flops_per_token,
)
from terrarium.models.design.tuning import trained_parameters, training_factor

__all__ = [
    "activation_bytes",
    "active_parameters",
    "flops_per_token",
    "kv_cache_bytes",
    "operations",
    "operations_of_targets",
    "parameters_by_component",
    "total_parameters",
    "trained_parameters",
    "training_factor",
    "training_flops_per_token",
    "training_memory",
]
