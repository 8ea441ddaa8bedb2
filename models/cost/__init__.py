"""The costs of an architecture, from its settings alone: parameters, FLOPs and memory. No torch import.

Parameters are exact. The rest is *estimated*, and the docstrings say what is left out.
"""

from terrarium.models.cost.counting import active_parameters, parameters, total_parameters
from terrarium.models.cost.memory import activation_bytes, kv_cache_bytes, memory
from terrarium.models.cost.operations import (
    flops_per_token,
    operations,
    operations_of_targets,
    training_flops_per_token,
)
from terrarium.models.cost.tuning import trained, training_factor

__all__ = [
    "activation_bytes",
    "active_parameters",
    "flops_per_token",
    "kv_cache_bytes",
    "memory",
    "operations",
    "operations_of_targets",
    "parameters",
    "total_parameters",
    "trained",
    "training_factor",
    "training_flops_per_token",
]
