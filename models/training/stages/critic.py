"""PPO's critic: a separate model with one number as its output, read at every token of a reply."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.data.batch import Batch
from terrarium.models.inference.continuation import evaluating
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tasks.forward import batch_states
from terrarium.models.training.checkpoint import gather, restore_optimizers
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.parallel.layout import Layout

_WEIGHTS, _OPTIMIZER = "critic.", "critic_optimizer."


class Critic:
    """Predicts a reply's reward at each of its tokens, before that token is drawn.

    It starts from the reward model, whose scores it predicts; without one, from the policy's weights and a head of
    zeros, so that its initial values are zero.
    """

    def __init__(self, policy: AnyModel, train: TrainConfig, lr: float, reward_model: RewardModel | None) -> None:
        """policy: the policy before its first step. lr: the learning rate of the critic's own AdamW."""
        design = dataclasses.replace(policy.config, head="sequence", n_label=1)
        start = policy if reward_model is None else reward_model.model
        self._model = build_model(design if reward_model is None else reward_model.model.config)
        self._model.to(policy.embedding.weight.device)
        own = {
            name: value for name, value in start.state_dict().items() if reward_model or not name.startswith("head.")
        }
        self._model.load_state_dict(own, strict=False)
        head = self._model.check_head()
        with torch.no_grad():
            for parameter in head.parameters() if reward_model is None else ():
                parameter.zero_()
        self._head, self._model_of_judge = head, reward_model
        self._optimizers = make_optimizers(self._model, dataclasses.replace(train, lr=lr))
        self._model.eval()

    def values(self, batch: Batch) -> Tensor:
        """Return the value before each counted target (N), float32."""
        with evaluating(self._model):
            return self.values_to_learn(batch)

    def values_to_learn(self, batch: Batch) -> Tensor:
        """As `values`, with gradients."""
        states = batch_states(self._model, batch, counted=batch.counted)  # (N, C)
        values: Tensor = self._head(states).float()[:, 0]
        judge = self._model_of_judge
        return values if judge is None else (values - judge.mean) / judge.std

    def step(self, lr_multiple: float, clip: float) -> None:
        """Update the critic with its gradients, clipped to the norm `clip` (0: not clipped).

        Raises:
            ValueError: if they are not finite.
        """
        grads = [p.grad for p in self._model.parameters() if p.grad is not None]
        norm = float(Layout(self._model).norm(grads))
        if not math.isfinite(norm):
            raise ValueError(
                "The critic's gradient is not finite, so PPO cannot go on: lower align.critic_lr, and resume from the "
                "last checkpoint."
            )
        if 0 < clip < norm:
            torch._foreach_mul_(grads, clip / norm)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * lr_multiple
            optimizer.step()
        self.zero_gradients()

    def zero_gradients(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return its weights and its optimizer's state, for a checkpoint."""
        weights, states, numbers = gather(Layout(self._model), self._optimizers)
        assert not numbers
        return {
            **{_WEIGHTS + name: value for name, value in weights.items()},
            **{_OPTIMIZER + name: value for name, value in states.items()},
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned; ValueError if it is incomplete."""
        weights = {name.removeprefix(_WEIGHTS): value for name, value in tensors.items() if name.startswith(_WEIGHTS)}
        own = self._model.state_dict()
        if {name: value.shape for name, value in weights.items()} != {name: value.shape for name, value in own.items()}:
            raise ValueError("The checkpoint does not hold the critic of this run: resume from an earlier one.")
        self._model.load_state_dict(weights)
        states = {
            name.removeprefix(_OPTIMIZER): value for name, value in tensors.items() if name.startswith(_OPTIMIZER)
        }
        restore_optimizers(self._optimizers, states, {})
