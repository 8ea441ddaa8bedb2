"""Optimizers: our Muon for the matrices inside the blocks, fused AdamW for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from models.device import bf16_is_fast
from models.training.spec import TrainConfig


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: every update of a matrix has singular values near 1.

    Source: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). An update is scaled
    by sqrt(max(1, rows / columns)), so that one learning rate suits all shapes. It is made in bfloat16 where the device
    is fast at that, and added in the parameters' precision.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Apply one update; `closure` is part of torch's interface and not used."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                self._step_together(shape, parameters, group)

    def _step_together(self, shape: torch.Size, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update matrices of one shape in one batched orthogonalisation: small matrices cost mostly overhead."""
        momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(gradients, momenta, group["momentum"])
        stacked = torch.stack(nesterov)
        updates = orthogonalise(stacked.bfloat16() if bf16_is_fast(stacked.device) else stacked).to(stacked.dtype)
        scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, list(updates.unbind()), alpha=-scale)


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Push the singular values of matrices (N, rows, columns) towards 1 by a quintic Newton-Schulz iteration.

    The coefficients are those of the Muon post: they trade exactness (values end in about 0.7…1.2) for speed.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrices
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


def make_optimizers(model: nn.Module, train: TrainConfig) -> list[torch.optim.Optimizer]:
    """The optimizers that `train` asks for, each with its base learning rate in `initial_lr` of its groups.

    Muon takes the matrices of the blocks; AdamW the embeddings, the head, norms, biases and convolutions, with weight
    decay on matrices only.
    """
    matrices, tables, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and f".{name}".count(".blocks.") and "_conv." not in name:
            matrices.append(parameter)
        elif parameter.dim() == 2 and "_conv." not in name:
            tables.append(parameter)
        else:
            vectors.append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if train.optimizer == "muon":
        optimizers.append(Muon(matrices, lr=train.muon_lr, weight_decay=train.weight_decay))
    else:
        tables = matrices + tables
    groups = [{"params": tables, "weight_decay": train.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizers.append(torch.optim.AdamW(groups, lr=train.lr, betas=(train.beta1, train.beta2), fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
