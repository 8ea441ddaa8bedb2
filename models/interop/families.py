"""Maps Hugging Face classes to family files. No torch import."""

from __future__ import annotations

from terrarium.models.interop import bart, bert, gpt2, llama, marian, mixtral, t5, terrarium
from terrarium.models.interop.family import Family
from terrarium.models.interop.options import custom_block_misfit
from terrarium.models.settings.model_config import ModelConfig

_GPT2: Family = gpt2
_LLAMA: Family = llama
_MIXTRAL: Family = mixtral
_BERT: Family = bert
_T5: Family = t5
_BART: Family = bart
_MARIAN: Family = marian
_TERRARIUM: Family = terrarium
_FILES: tuple[Family, ...] = (_GPT2, _LLAMA, _MIXTRAL, _BERT, _T5, _BART, _MARIAN)
"""Families in the order that export tries; each is assigned separately above so that mypy checks its contract."""

FAMILIES: dict[str, Family] = {
    architecture: family for family in (*_FILES, _TERRARIUM) for architecture in family.ARCHITECTURES
}
"""Families by the class's name."""


def family_of(config: ModelConfig) -> Family:
    """Return the first family whose published classes compute this design.

    Raises:
        ValueError: if there is none, with the reason for each class of this topology.
    """
    if misfit := custom_block_misfit(config, "a class of transformers"):
        raise ValueError(misfit)
    reasons = []
    for family in _FILES:
        try:
            family.write_config(config)
        except ValueError as error:
            reasons.append(f"{family.ARCHITECTURES[0]} {str(error).rstrip('.')}")
        else:
            return family
    close = [reason for reason in reasons if " needs topology " not in reason]
    raise ValueError(f"No Hugging Face class computes this design: {'; '.join(close or reasons)}.")


def family_for_export(config: ModelConfig) -> Family:
    """Return the family whose published classes compute this design, or else Terrarium's own with its code."""
    try:
        return family_of(config)
    except ValueError:
        return _TERRARIUM
