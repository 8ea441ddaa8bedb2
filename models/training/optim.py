"""Implementations of the optimizers that models.settings.optimizers describes."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.design.tree import MATRIX, TABLE, design_tree, state_tensors
from terrarium.models.device import bf16_is_fast
from terrarium.models.extensions.registry import Missing
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import ADDED_OPTIMIZERS, BATCHED, OPTIMIZERS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.slots import check_complete
from terrarium.models.training.states import CHUNK, RoundedStates, States

_Scaled: TypeAlias = tuple[float, nn.Parameter]


class _Plain(torch.optim.Optimizer):
    """torch's optimizer methods without their torch.compile decorators, which import the compiler on the first call:
    more than a second before the first step of each process.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    states = States()

    def load_state_dict(self, state_dict: Any) -> None:
        inspect.unwrap(torch.optim.Optimizer.load_state_dict)(self, state_dict)
        for values in self.state.values():  # torch casts them to the dtype of the parameters
            for key, value in values.items():
                if isinstance(value, Tensor) and key != "step":
                    values[key] = value.to(self.states.dtype)


class AdamW(_Plain, torch.optim.AdamW):
    """torch's AdamW."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class RoundedAdamW(_Plain):
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101) with torch's kernel and moments stored in bfloat16."""

    def __init__(
        self,
        parameters: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        states: States,
        eps: float = 1e-8,
    ) -> None:
        self.states = states
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Apply one update. `closure` is part of torch's interface and not used."""
        assert closure is None
        has_begun = False
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), device=parameter.device)
                    state["exp_avg"], state["exp_avg_sq"] = self.states.new(parameter), self.states.new(parameter)
                if not has_begun:
                    self.states.begin(int(state["step"]), parameter.device)
                    has_begun = True
                self._update(parameter, parameter.grad, state, group)
                state["step"] += 1

    def _update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        """Update in chunks, so that the full moments are never in float32."""
        kept = (state["exp_avg"], state["exp_avg_sq"])
        whole = (parameter, gradient, *kept)
        for weights, gradients, *moments in zip(*(each.reshape(-1).split(CHUNK) for each in whole), strict=True):
            first, second = (self.states.read(moment) for moment in moments)
            torch._fused_adamw_(
                [weights],
                [gradients],
                [first],
                [second],
                [],
                [state["step"] + 1],
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
            for moment, value in zip(moments, (first, second), strict=True):
                self.states.write(moment, value)


class Muon(_Plain):
    """Momentum, orthogonalised: every update of a matrix has singular values near 1.

    Source: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). An update is scaled
    by sqrt(max(1, rows / columns)), so that one learning rate suits all shapes. It is computed in bfloat16 if the
    device is fast at that, unless `precise`, and added in the parameters' precision.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        precise: bool = False,
        states: States = _Plain.states,
    ) -> None:
        self._precise, self.states = precise, states
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Apply one update. `closure` is part of torch's interface and not used."""
        assert closure is None
        alike: dict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
        _count_step(self, self.states)
        for group in self.param_groups:
            settings = group["lr"], group["momentum"], group["weight_decay"]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape, *settings].append(parameter)
        for (shape, lr, momentum, weight_decay), parameters in alike.items():
            self._step_together(shape, parameters, lr, momentum, weight_decay)

    def _step_together(
        self, shape: torch.Size, parameters: list[Tensor], lr: float, momentum: float, weight_decay: float
    ) -> None:
        """Update matrices of one shape in one batched orthogonalisation: for small matrices, overhead dominates."""
        kept = [_momentum(self.state[p], self.states, p) for p in parameters]
        momenta = [self.states.read(each) for each in kept]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        nesterov = torch._foreach_lerp(gradients, momenta, momentum)
        for each in kept:
            self.states.write(each, momenta.pop(0))
        updates = self._orthogonal(list(nesterov))
        scale = lr * max(1.0, shape[0] / shape[1]) ** 0.5
        if weight_decay:
            torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        torch._foreach_add_(parameters, updates, alpha=-scale)

    def _orthogonal(self, matrices: list[Tensor]) -> list[Tensor]:
        """Orthogonalise matrices of one shape. Large ones on a CPU are done one by one, because batched products are
        slower there and need more memory.
        """
        device, dtype = matrices[0].device, matrices[0].dtype
        if not self._precise and bf16_is_fast(device):
            matrices = [matrix.bfloat16() for matrix in matrices]
        if device.type == "cpu" and matrices[0].numel() > BATCHED:
            updates = [orthogonalise(matrix) for matrix in matrices]
        else:
            updates = list(orthogonalise(torch.stack(matrices)).unbind())
        return [update.to(dtype) for update in updates]


class Lion(_Plain):
    """Moves every weight by the learning rate, with the sign of a mean of its gradient and its momentum.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023, arXiv:2302.06675), algorithm 2, with
    decoupled weight decay, as in AdamW. `betas`: the weight of the momentum in that mean, and the momentum's decay.
    """

    def __init__(
        self,
        parameters: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
        states: States = _Plain.states,
    ) -> None:
        self.states = states
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Apply one update. `closure` is part of torch's interface and not used."""
        assert closure is None
        _count_step(self, self.states)
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                kept = _momentum(state, self.states, parameter)
                momentum = self.states.read(kept)
                update = momentum.mul(beta1).add_(gradient, alpha=1 - beta1).sign_()
                parameter.mul_(1 - lr * group["weight_decay"]).add_(update, alpha=-lr)
                momentum.mul_(beta2).add_(gradient, alpha=1 - beta2)
                self.states.write(kept, momentum)


def _momentum(state: dict[str, Any], states: States, parameter: Tensor) -> Tensor:
    """Return the stored momentum of a parameter; zeros before its first update."""
    if "momentum" not in state:
        state["momentum"] = states.new(parameter)
    kept: Tensor = state["momentum"]
    return kept


def _count_step(optimizer: torch.optim.Optimizer, states: States) -> None:
    """Count an update and prepare its rounding, for an optimizer that needs a step number for nothing else."""
    if states.dtype == torch.float32:
        return
    first = optimizer.state[next(p for group in optimizer.param_groups for p in group["params"])]
    first["step"] = first.get("step", 0) + 1
    states.begin(first["step"], optimizer.param_groups[0]["params"][0].device)


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Push the singular values of matrices (…, rows, columns) towards 1 by a quintic Newton-Schulz iteration.

    The coefficients are those of the Muon post: they trade exactness (values end in about 0.7…1.2) for speed.
    """
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    is_long = x.size(-1) >= 2 * x.size(-2) and x.dtype == torch.float32  # in bfloat16, squared values would be lost
    x = _iterate_on_gram(x, iterations) if is_long else _iterate(x, iterations)
    return x.mT if tall else x


_A, _B, _C = 3.4445, -4.7750, 2.0315


def _iterate(x: Tensor, iterations: int) -> Tensor:
    """x ← p(x xᵀ) x, where p(g) = a + b g + c g²."""
    for _ in range(iterations):
        gram = x @ x.mT
        x = _add_product(x, _A, _add_product(gram, _B, gram, gram, _C), x)
    return x


def _iterate_on_gram(x: Tensor, iterations: int) -> Tensor:
    """Do the same for x much wider than high, with products of the square x xᵀ only.

    The products of x with p(x xᵀ) come last, combined into one.
    """
    gram, polynomials = x @ x.mT, x.new_empty(0)
    for i in range(iterations):
        polynomial = _add_product(gram, _B, gram, gram, _C)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(_A)
        polynomials = polynomial @ polynomials if i else polynomial
        if i < iterations - 1:
            gram = polynomial @ gram @ polynomial
    return polynomials @ x


def _add_product(x: Tensor, share: float, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
    """Compute share · x + scale · left right, of matrices or batches of them."""
    multiply = torch.addmm if x.dim() == 2 else torch.baddbmm
    return multiply(x, left, right, beta=share, alpha=scale)


@dataclass(frozen=True)
class _Weights:
    """All trained parameters of a model, each with its learning-rate multiplier.

    matrices: of the blocks. tables: the embeddings and the head. vectors: norms, biases and convolutions, which have
    no weight decay.
    """

    matrices: Sequence[_Scaled]
    tables: Sequence[_Scaled]
    vectors: Sequence[_Scaled]


def make_optimizers(model: AnyModel, train: TrainConfig, muon: type[Muon] = Muon) -> list[torch.optim.Optimizer]:
    """Make the optimizers that `train` asks for, of all parameters that are not frozen.

    Each has its base learning rate in `initial_lr` of its groups.

    Args:
        muon: the class for Muon; for sharded matrices, one that gathers them before it orthogonalises.

    Raises:
        ValueError: if an extension's optimizer cannot be made, or its package is not installed.
    """
    matrices: list[_Scaled] = []
    tables: list[_Scaled] = []
    vectors: list[_Scaled] = []
    roles = {name: tensor.role for name, tensor in state_tensors(design_tree(model.config))}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        role = roles.get(name, MATRIX)  # what the tree lacks are adapters
        kind = matrices if role == MATRIX and "blocks." in name else tables if role in (MATRIX, TABLE) else vectors
        kind.append((_lr_multiplier(name, model.config), parameter))
    if isinstance(train.optimizer, Missing):
        raise ValueError(train.optimizer.sentence)
    optimizers = _MAKERS[train.optimizer](_Weights(matrices, tables, vectors), train, muon)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def _muon(weights: _Weights, train: TrainConfig, muon: type[Muon]) -> list[torch.optim.Optimizer]:
    """Make Muon for the matrices of the blocks, and AdamW for all others."""
    groups = _groups(weights.matrices, train.muon_lr, train.weight_decay)
    others = dataclasses.replace(weights, matrices=())
    precise, states = train.precision == "float32", _states(train)
    found = [muon(groups, lr=train.muon_lr, precise=precise, states=states)] if groups else []
    return [*found, *_adamw(others, train, muon)]


def _adamw(weights: _Weights, train: TrainConfig, muon: type[Muon]) -> list[torch.optim.Optimizer]:
    groups, betas = _all(weights, train), (train.beta1, train.beta2)
    if train.state_dtype == "bfloat16":
        return [RoundedAdamW(groups, lr=train.lr, betas=betas, states=_states(train))]
    return [AdamW(groups, lr=train.lr, betas=betas, fused=True)]


def _lion(weights: _Weights, train: TrainConfig, muon: type[Muon]) -> list[torch.optim.Optimizer]:
    return [Lion(_all(weights, train), lr=train.lr, betas=(train.beta1, train.beta2), states=_states(train))]


def _of_extension(name: str, weights: _Weights, train: TrainConfig, muon: type[Muon]) -> list[torch.optim.Optimizer]:
    """Make an extension's optimizer; its states are float32 whatever `train` asks for."""
    make = ADDED_OPTIMIZERS.load(name, OPTIMIZERS[name].code)
    made = make(_all(weights, train), train)
    if not isinstance(made, torch.optim.Optimizer):
        package = ADDED_OPTIMIZERS.packages[name]
        raise ValueError(
            f"The optimizer “{name}” of the package {package} is a {type(made).__name__} instead of a "
            f"torch.optim.Optimizer: update or reinstall {package}."
        )
    return [made]


def _states(train: TrainConfig) -> States:
    return RoundedStates(train.seed) if train.state_dtype == "bfloat16" else States()


_MAKERS: dict[str, Callable[[_Weights, TrainConfig, type[Muon]], list[torch.optim.Optimizer]]] = {
    "muon": _muon,
    "adamw": _adamw,
    "lion": _lion,
    **{name: partial(_of_extension, name) for name in ADDED_OPTIMIZERS.entries},
}
check_complete(_MAKERS, OPTIMIZERS, "code of optimizers")


def _lr_multiplier(name: str, config: ModelConfig) -> float:
    """Return the learning-rate multiplier of a parameter, as in µP (Yang et al., 2022).

    The learning rate is scaled with the initial standard deviation: if a design scales its logits down, or does not
    scale its attention scores, those weights start larger or smaller to compensate (`Model.initialise`), and their
    updates are scaled alike. So an update changes logits and scores as much as in any other design.
    """
    if config.scaled_logits and name == ("embedding.weight" if config.tied_embeddings else "head.weight"):
        return float(config.d_model**0.5)
    if not config.scaled_scores and not config.qk_norm and name.endswith("attention.query.weight"):
        return float(config.head_dim**-0.5)
    return 1.0


def _all(weights: _Weights, train: TrainConfig) -> list[dict[str, Any]]:
    """Make the parameter groups of all weights, at `lr`."""
    decayed = [*weights.matrices, *weights.tables]
    return _groups(decayed, train.lr, train.weight_decay) + _groups(weights.vectors, train.lr, 0.0)


def _groups(scaled: Iterable[_Scaled], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Make parameter groups by learning rate, in the order of the parameters, on which checkpoints rely.

    Weight decay is divided by the multiplier, so that it shrinks all weights by the same share at each step.
    """
    runs = itertools.groupby(scaled, key=lambda pair: pair[0])
    return [
        {"params": [p for _, p in run], "lr": lr * factor, "weight_decay": weight_decay / factor}
        for factor, run in runs
    ]
