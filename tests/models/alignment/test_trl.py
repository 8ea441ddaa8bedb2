"""The losses of alignment are TRL's, computed by its trainers on the same weights and rows."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports transformers

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from terrarium.models.alignment.log_probs import counted, reply_log_probs
from terrarium.models.alignment.pairs import EncodedPair, EncodedReply
from terrarium.models.alignment.rollouts import reply_batch
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.interop.export import export_hf
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.stage_kinds import STAGE_KINDS, load_objective
from terrarium.models.training.stages.grpo import grpo_loss
from terrarium.models.training.stages.preference import DpoObjective, RatedKtoObjective, RewardObjective
from tests.models.training.support import result_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TRL's own, and those of what it imports
]

PAD, END = 0, 3
ROWS = [((5, 6, 7, 8), (9, 10, END), (11, 12, 13, 14, END)), ((15, 16), (17, END), (18, END)), ((5,), (6, 7, 8), (9,))]
"""Prompts with two replies; the last pair is cut, and has no end."""
PAIRS = [
    EncodedPair(prompt=prompt, chosen=chosen, rejected=rejected, is_tie=False) for prompt, chosen, rejected in ROWS
]


@pytest.fixture(scope="module")
def trl() -> Any:
    return pytest.importorskip("trl", minversion="1.16")


def build(seed: int, **changes: Any) -> AnyModel:
    config = PRESETS["llama-tiny"].to_dict() | {"vocab_size": 40, "context_length": 24, "d_model": 16, "n_layer": 1}
    torch.manual_seed(seed)
    model = build_model(ModelConfig.from_dict(config | {"d_ff": 24, "init_std": 0.4} | changes))
    return model.eval()


def exported(model: AnyModel, folder: Path) -> Any:
    import transformers

    out = result_of(export_hf(model, None, folder, labels=["reward"] if model.config.head == "sequence" else ()))
    name = transformers.AutoConfig.from_pretrained(out).architectures[0]
    theirs = getattr(transformers, name).from_pretrained(out)
    theirs.config.pad_token_id = PAD
    return theirs


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    import tokenizers
    import transformers

    words = {f"w{i}": i for i in range(40)}
    own = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w1"))
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=own, pad_token="w0", eos_token="w3", unk_token="w1")
    made.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return made


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "disable_tqdm": True,
        "per_device_train_batch_size": 4,
    }


def assert_same_gradients(ours: AnyModel, theirs: Any, folder: Path) -> None:
    """Those of our parameters are those of theirs, by an export of a model whose weights are its gradients."""
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    wanted = dict(theirs.named_parameters())
    for name, parameter in exported(ours, folder).named_parameters():
        torch.testing.assert_close(parameter.detach(), wanted[name].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("centre", [0.0, 0.01])
def test_reward_model(trl: Any, tokenizer: Any, tmp_path: Path, centre: float) -> None:
    import datasets

    model = build(1, head="sequence", n_label=1)
    theirs = exported(model, tmp_path / "model")
    rows = [{"chosen_ids": [*p, *c], "rejected_ids": [*p, *r]} for p, c, r in ROWS]
    trainer = trl.RewardTrainer(
        model=theirs,
        args=trl.RewardConfig(center_rewards_coefficient=centre or None, **settings(tmp_path)),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list(rows),
    )
    texts = [torch.tensor([*p, *reply]) for side in (1, 2) for p, reply in ((row[0], row[side]) for row in ROWS)]
    ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=PAD)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)
    loss = trainer.compute_loss(trainer.model, {"input_ids": ids, "attention_mask": mask})
    objective = RewardObjective(SimpleNamespace(model=model), AlignSpec(stage="reward", centre=centre))
    outcome = objective.outcome(PAIRS)
    assert outcome.losses.mean().item() == pytest.approx(loss.item(), abs=1e-5)
    measured, own = trainer._metrics["eval"], objective.figures(PAIRS, outcome)  # noqa: SLF001
    for name in ("accuracy", "margin", "mean_reward", "min_reward", "max_reward"):
        assert own[name] == pytest.approx(measured[name][-1], abs=1e-5)
    loss.backward()
    outcome.losses.mean().backward()
    assert_same_gradients(model, trainer.model, tmp_path / "gradients")


class Context:
    """What an objective needs of a training."""

    def __init__(self, model: AnyModel) -> None:
        self.model = model
        self.state = type("State", (), {"beta": None})()


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_dpo(trl: Any, tokenizer: Any, tmp_path: Path, noise: float) -> None:
    import datasets
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    model, reference = build(1), build(2)
    rows = [{"prompt_ids": [*p], "chosen_ids": [*c], "rejected_ids": [*r]} for p, c, r in ROWS]
    trainer = trl.DPOTrainer(
        model=exported(model, tmp_path / "model"),
        ref_model=exported(reference, tmp_path / "reference"),
        args=trl.DPOConfig(beta=0.3, **settings(tmp_path)),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list([{"prompt": "w5", "chosen": "w6", "rejected": "w7"}]),
    )
    collate = DataCollatorForPreference(pad_token_id=PAD)
    loss = (1 - noise) * trainer.compute_loss(trainer.model, collate(rows))
    if noise:  # TRL smooths labels in other losses only, so here by its loss of pairs that are the wrong way round
        swapped = [row | {"chosen_ids": row["rejected_ids"], "rejected_ids": row["chosen_ids"]} for row in rows]
        loss = loss + noise * trainer.compute_loss(trainer.model, collate(swapped))
    align = AlignSpec(stage="dpo", beta=0.3, label_noise=noise)
    objective = DpoObjective(Context(model), align, reference)  # type: ignore[arg-type]
    outcome = objective.outcome(PAIRS)
    assert outcome.losses.mean().item() == pytest.approx(loss.item(), abs=1e-5)
    measured, own = trainer._metrics["eval"], objective.figures(PAIRS, outcome)  # noqa: SLF001
    for name in own.keys() - {"logps/chosen_change", "logps/rejected_change", "kl_coef"}:
        assert own[name] == pytest.approx(measured[name][0], abs=1e-4), name
    loss.backward()
    outcome.losses.mean().backward()
    assert_same_gradients(model, trainer.model, tmp_path / "gradients")


@pytest.mark.parametrize("labels", [(True, False, True), (False, False, False)])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (2.5, 0.5)])
def test_kto_from_lone_replies(
    trl: Any, tokenizer: Any, tmp_path: Path, labels: tuple[bool, ...], weights: tuple[float, float]
) -> None:
    import datasets
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    model, reference = build(1), build(2)
    replies = [
        EncodedReply(prompt=prompt, reply=chosen if is_good else rejected, is_good=is_good)
        for (prompt, chosen, rejected), is_good in zip(ROWS, labels, strict=True)
    ]
    trainer = trl.KTOTrainer(
        model=exported(model, tmp_path / "model"),
        ref_model=exported(reference, tmp_path / "reference"),
        args=trl.KTOConfig(
            beta=0.3,
            desirable_weight=weights[0],
            undesirable_weight=weights[1],
            train_sampling_strategy="sequential",
            **settings(tmp_path),
        ),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": "w5", "completion": "w6", "label": True}, {"prompt": "w5", "completion": "w7", "label": False}]
        ),
    )
    rows = [
        {
            "prompt_ids": [*one.prompt],
            "completion_ids": [*one.reply],
            "KL_completion_ids": [*replies[i - 1].reply],
            "label": one.is_good,
        }
        for i, one in enumerate(replies)
    ]
    loss = trainer.compute_loss(trainer.model, DataCollatorForUnpairedPreference(pad_token_id=PAD)(rows))
    align = AlignSpec(stage="kto", beta=0.3, desirable_weight=weights[0], undesirable_weight=weights[1])
    objective = RatedKtoObjective(Context(model), align, reference)  # type: ignore[arg-type]
    for _ in objective.begin(replies):
        pass
    outcome = objective.outcome(replies)
    assert outcome.losses.mean().item() == pytest.approx(loss.item(), abs=1e-5)
    measured = trainer._metrics["eval"]  # noqa: SLF001
    own = objective.figures(replies, outcome)
    assert own["kl_mismatched"] == pytest.approx(measured["kl"][0], abs=1e-4)
    shared = {name for name in measured if name.startswith(("rewards/", "logps/"))}
    assert shared == {name for name in own if name.startswith(("rewards/", "logps/"))} - {
        "rewards/accuracies",
        "logps/chosen_change",
        "logps/rejected_change",
    }
    for name in shared:
        assert own[name] == pytest.approx(measured[name][0], abs=1e-4), name
    loss.backward()
    outcome.losses.mean().backward()
    assert_same_gradients(model, trainer.model, tmp_path / "gradients")


@pytest.fixture(scope="module")
def made_grpo(trl: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A trainer, with the model that its own was made of; the settings of its loss are changed by the tests."""
    import datasets

    folder = tmp_path_factory.mktemp("grpo")
    model = build(1)
    trainer = trl.GRPOTrainer(
        model=exported(model, folder / "model"),
        reward_funcs=lambda completions, **more: [0.0] * len(completions),
        args=trl.GRPOConfig(
            beta=0.1,
            max_completion_length=7,
            num_generations=2,
            steps_per_generation=1,
            use_bias_correction_kl=False,
            **settings(folder),
        ),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list([{"prompt": "w5 w6"}] * 4),
    )
    trainer.current_gradient_accumulation_steps = 1
    return trainer, model


def padded(rows: list[tuple[int, ...]], *, left: bool) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    gaps = [[PAD] * (width - len(row)) for row in rows]
    ids = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, gaps, strict=True)]
    mask = [
        [0] * len(g) + [1] * len(r) if left else [1] * len(r) + [0] * len(g) for r, g in zip(rows, gaps, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(mask)


@pytest.mark.parametrize("how", ["grpo", "dapo", "dr_grpo"])
@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("is_old", [False, True])
def test_grpo(made_grpo: Any, how: str, beta: float, is_old: bool) -> None:
    trainer, model = made_grpo
    prompts, replies = [row[0] for row in ROWS], [row[1] for row in ROWS]
    advantages = torch.tensor([0.7, -1.2, 0.4])
    batch = reply_batch(prompts, replies)
    own = reply_log_probs(model, batch)
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(2, len(own), generator=generator) * 0.4
    reference, old = own.detach() + noise[0], own.detach() + noise[1] * is_old
    trainer.loss_type, trainer.beta = how, beta
    prompt_ids, prompt_mask = padded(prompts, left=True)
    ids, mask = padded(replies, left=False)

    def spread(values: Tensor) -> Tensor:
        return torch.zeros(ids.shape).masked_scatter(mask.bool(), values)

    loss = trainer._compute_loss(  # noqa: SLF001
        trainer.model,
        {
            "prompt_ids": prompt_ids,
            "prompt_mask": prompt_mask,
            "completion_ids": ids,
            "completion_mask": mask,
            "advantages": advantages,
            "old_per_token_logps": spread(old),
            "ref_per_token_logps": spread(reference),
            "num_items_in_batch": mask.sum(),
        },
    )
    align = AlignSpec(beta=beta, kl_in="loss", aggregate=how, max_tokens=7, clip_high=0.2)
    ours = grpo_loss(batch, own, old, reference, advantages, torch.full((3,), beta), align)
    assert len(counted(batch)) == int(mask.sum())
    assert ours.item() == pytest.approx(loss.item(), abs=1e-5)
    (found,) = torch.autograd.grad(ours, [model.embedding.weight])
    (wanted,) = torch.autograd.grad(loss, [trainer.model.get_input_embeddings().weight])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def mean_log_probs(theirs: Any, side: int) -> Tensor:
    """The mean log-probability (B) per token of the replies of one side, by a model of transformers."""
    means = []
    for row in ROWS:
        prompt, reply = row[0], row[side]
        logits = theirs(input_ids=torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1]
        means.append(logits.log_softmax(-1)[torch.arange(len(reply)), torch.tensor(reply)].mean())
    return torch.stack(means)


@pytest.mark.parametrize(
    ("stage", "changes"), [("simpo", {"margin": 0.7}), ("simpo", {"label_noise": 0.1}), ("orpo", {"beta": 0.3})]
)
def test_simpo_and_orpo(trl: Any, tmp_path: Path, stage: str, changes: dict[str, float]) -> None:
    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    kind = STAGE_KINDS[stage]
    align = AlignSpec(stage=stage, **{"beta": kind.usual["beta"], **changes})  # type: ignore[arg-type]
    model = build(2)
    theirs = exported(model, tmp_path / "model")
    chosen, rejected = (mean_log_probs(theirs, side) for side in (1, 2))
    about = SimpleNamespace(
        beta=align.beta,
        alpha=0.0,
        loss_type="simpo",
        simpo_gamma=align.margin,
        label_smoothing=align.label_noise,
        accelerator=SimpleNamespace(device="cpu"),
    )
    if stage == "simpo":
        losses, rewards, _ = CPOTrainer.cpo_loss(about, chosen, rejected)
    else:
        ratios, rewards, *_ = ORPOTrainer.odds_ratio_loss(about, chosen, rejected)
        losses = -chosen - ratios
    context = SimpleNamespace(model=model, state=SimpleNamespace(beta=None))
    outcome = load_objective(kind, "preference")(context, align).outcome(PAIRS)
    torch.testing.assert_close(outcome.losses, losses, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outcome.scores[0], rewards, rtol=1e-4, atol=1e-5)
    losses.mean().backward()
    outcome.losses.mean().backward()
    assert_same_gradients(model, theirs, tmp_path / "gradients")
