"""Feed-forward layers: dense, or a mixture of experts with a router that chooses a few per token.

Letters in shape comments: B batch, T tokens, N = B·T, C d_model, F d_ff, E n_expert, k n_expert_used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.norms import make_norm
from terrarium.models.architecture.trace import Trace
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.slots import check_complete


def activate(kind: str, h: Tensor, gate: Tensor | None) -> Tensor:
    """Apply the activation `kind` to h (…, F) or, if gated, to `gate` (…, F), times h (GLU, arXiv:2002.05202)."""
    curve = _CURVES[kind]
    return curve(h) if gate is None else curve(gate) * h


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _solu(x: Tensor) -> Tensor:
    """Softmax Linear Units (Elhage et al., "Softmax Linear Units", 2022), without the norm that follows them."""
    return x * torch.softmax(x, dim=-1).to(x.dtype)


_CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "relu2": _relu2,
    "solu": _solu,
    "swiglu": F.silu,
    "geglu": F.gelu,
    "geglu_tanh": _gelu_tanh,
}
check_complete(_CURVES, ACTIVATIONS, "code of activations")


class FeedForward(nn.Module):
    """Position-wise feed-forward: two matrices, or three if the activation is gated; some activations have a norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.gate = nn.Linear(config.d_model, config.ff_width, bias=config.ff_bias) if config.is_gated else None
        self.up = nn.Linear(config.d_model, config.ff_width, bias=config.ff_bias)
        self.norm = make_norm(config, config.ff_width) if config.has_ff_norm else None
        self.down = nn.Linear(config.ff_width, config.d_model, bias=config.ff_bias)

    def forward(self, x: Tensor, trace: Trace | None = None, site: str = "") -> Tensor:
        """x (…, C) -> (…, C)."""
        gate = self.gate(x) if self.gate is not None else None
        h = activate(self.activation, self.up(x), gate)
        return self.down(h if self.norm is None else self.norm(h))  # type: ignore[no-any-return]


class MixtureOfExperts(nn.Module):
    """Top-k routing: each token goes through the k experts with the highest router probabilities, weighted by them.

    Source: Mixtral (arXiv:2401.04088): softmax over all experts, the k chosen probabilities renormalised to sum to 1.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_used = config.n_expert_used
        self.router = nn.Linear(config.d_model, config.n_expert, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(config.n_expert))

    def forward(self, x: Tensor, trace: Trace | None = None, site: str = "") -> Tensor:
        """x (B, T, C) -> (B, T, C); a trace collects the router's probabilities and choices."""
        tokens = x.flatten(0, -2)  # (N, C)
        probabilities = torch.softmax(self.router(tokens).float(), dim=-1)  # (N, E)
        shares, chosen = probabilities.topk(self.n_used, dim=-1)  # (N, k)
        shares = (shares / shares.sum(dim=-1, keepdim=True)).to(x.dtype)
        if trace is not None and "router" in trace.wanted:
            trace.router[site] = probabilities, chosen
        out = torch.zeros_like(tokens)
        for i, expert in enumerate(self.experts):
            rows, ranks = (chosen == i).nonzero(
                as_tuple=True
            )  # the tokens routed to expert i, and its rank among their k
            out = out.index_add(0, rows, (expert(tokens[rows]) * shares[rows, ranks, None]).to(out.dtype))
        return out.view_as(x)


def balance_loss(trace: Trace, add_up: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Compute the load-balancing loss: the mean over layers of E · Σᵢ fᵢ · Pᵢ, where fᵢ is the fraction of tokens
    routed to expert i and Pᵢ its mean probability; 1 if the load is even.

    With several processes, `add_up` all-reduces a tensor (sum); the result is this process's share of the loss.

    Source: Switch Transformers (arXiv:2101.03961), equation 4, with each token's k choices counted as 1/k each.
    """
    n_sent = torch.stack(
        [F.one_hot(chosen, p.size(1)).sum(dim=(0, 1)).to(p.dtype) for p, chosen in trace.router.values()]
    )  # (layers, E)
    n_sent = n_sent if add_up is None else add_up(n_sent)
    losses = []
    for (probabilities, chosen), n in zip(trace.router.values(), n_sent, strict=True):
        n_choices = n.sum()
        mean = probabilities.sum(dim=0) / (n_choices / chosen.size(1))  # over the tokens of all processes (E)
        losses.append(probabilities.size(1) * (n / n_choices * mean).sum())
    return torch.stack(losses).mean()
