"""Gradient × input: how much each input token contributes to one logit, to first order.

Source: Not Just a Black Box (Shrikumar et al., arXiv:1605.01713). `.grad`, modes and random state are unchanged.

Letters in shape comments: B = 1, T tokens, C d_model.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from terrarium.models.architecture.stack import Stack
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Encoder, EncoderDecoder
from terrarium.models.custom_blocks.loading import check_still_allowed
from terrarium.models.events import Progress, result_of
from terrarium.models.inspect.leave_one_out import repeats_source
from terrarium.models.inspect.read_text import Text, block_sites, check_readable, read_up_to
from terrarium.models.inspect.readout import Readout

OF = ("logit", "log-probability")


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The attribution of each token of the text, and of an encoder-decoder's source; `value` is the attributed number.

    If the decoder reads the source again, its contribution is counted with the source.
    """

    tokens: tuple[float, ...]
    source: tuple[float, ...]
    value: float

    @property
    def total(self) -> float:
        """The sum over all tokens; it equals `value` only for a linear model."""
        return sum(self.tokens) + sum(self.source)


def attribute(model: AnyModel, text: Text, readout: Readout, id: int, of: str = "logit") -> Attribution:
    """Run `attribute_in_steps` to its end and return its result."""
    return result_of(attribute_in_steps(model, text, readout, id, of))


def attribute_in_steps(
    model: AnyModel, text: Text, readout: Readout, id: int, of: str = "logit"
) -> Generator[Progress, None, Attribution]:
    """Compute gradient × input of the logit, or the log-probability, of the outcome `id`: one number for each token.

    The input is the token's embedding, before positions are added. Yields Progress after the backward pass of each
    block.

    Raises:
        ValueError: as `read_text.check_readable`, or if the model's output is not a number.
    """
    assert of in OF, of
    text = read_up_to(model.config, text, readout.at)
    check_readable(model, text, readout)
    with _evaluating_with_gradients(model):
        x, passes = _embedded(model, text.ids), []
        if isinstance(model, EncoderDecoder):
            xs = _embedded(model, text.source_ids)
            source = _CheckpointedPass(model.encoder, xs)
            target = _CheckpointedPass(model.decoder, x, source.out)
            passes.append((source, xs))
        elif isinstance(model, Encoder) and model.segment is not None:
            segments = text.segments or (0,) * len(text.ids)
            target = _CheckpointedPass(model, x + model.segment.weight[list(segments)].detach())
        else:
            target = _CheckpointedPass(model, x)
        end = target.out.requires_grad_()
        logits = readout.logits(model, end)[0]
        value = logits[id] if of == "logit" else torch.log_softmax(logits, dim=-1)[id]
        (gradient,) = torch.autograd.grad(value, [end])
    passes.insert(0, (target, x))
    n_steps, done, shares = sum(passage.n_steps for passage, _ in passes), 0, []
    for passage, embedded in passes:
        if passage is not target:  # the decoder's pass, which attends to the source, is done
            gradient = target.memory_gradient
        for step in reversed(range(passage.n_steps)):
            with _evaluating_with_gradients(model):
                gradient = passage.backward(step, gradient)
            done += 1
            yield Progress(done=done, total=n_steps)
        shares.append(tuple((gradient * embedded).sum(dim=-1)[0].tolist()))
    own, of_source = shares[0], shares[1] if len(shares) > 1 else ()
    if repeats_source(model):
        of_source = tuple(share + again for share, again in zip(of_source, (*own[1:], 0.0), strict=True))
        own = (0.0,) * len(own)
    return Attribution(tokens=own, source=of_source, value=float(value.detach()))


class _CheckpointedPass:
    """A pass through a stack with activation checkpointing (Chen et al., arXiv:1604.06174): forward without gradients,
    then backward block by block.

    Only the residual stream between the blocks and the activations of one block are in memory. The activations of all
    blocks would take 20 times as much (1.3 GB for 1,000 tokens of a model of 135 million parameters).
    """

    def __init__(self, stack: Stack, x: Tensor, memory: Tensor | None = None) -> None:
        self._stack, self._memory, self._sites = stack, memory, block_sites(stack)
        trace = Trace(wanted=frozenset({"residual"}))
        with torch.no_grad():
            self.out = stack.transform(x, memory=memory, trace=trace)
        self._streams = [x, *(trace.residual[site] for site in self._sites)]
        self.memory_gradient = torch.zeros_like(memory) if memory is not None else x.new_zeros(())
        self.n_steps = len(self._sites) + 1
        """The number of steps: one for each block, and one for the final norm."""

    def backward(self, step: int, gradient: Tensor) -> Tensor:
        """Backpropagate through a step: return the gradient (1, T, C) of its input, given that of its output."""
        entry = self._streams[step].detach().requires_grad_()
        memory = self._memory.detach().requires_grad_() if self._memory is not None else None
        known = dict(zip(self._sites, self._streams[1:], strict=True))
        for site in self._sites[step : step + 1]:
            del known[site]
        if step:
            known[self._sites[step - 1]] = entry
        trace = Trace(wanted=frozenset({"residual"}), known=known)
        out = self._stack.transform(self._streams[0] if step else entry, memory=memory, trace=trace)
        if step < len(self._sites):
            out = trace.residual[self._sites[step]]
        inputs = [entry] if memory is None else [entry, memory]
        found = torch.autograd.grad(out, inputs, gradient, allow_unused=True)
        if memory is not None and found[1] is not None:
            self.memory_gradient += found[1]
        return found[0]


def _embedded(model: AnyModel, ids: tuple[int, ...]) -> Tensor:
    """Return the embeddings (1, T, C)."""
    return model.embed(torch.tensor([list(ids)], device=model.embedding.weight.device)).detach()


@contextmanager
def _evaluating_with_gradients(model: AnyModel) -> Iterator[None]:
    """Enter eval mode with gradients; restores the mode on exit. NotAllowedError as `evaluating`."""
    check_still_allowed(model)
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(was_training)
