"""The code in an exported Hugging Face folder: a design as a short PyTorch module, in a class of transformers."""

from __future__ import annotations

from terrarium.models.code_view import module_source
from terrarium.models.interop.terrarium import class_of_design
from terrarium.models.settings.model_config import ModelConfig

_TRIAL = '\n\nif __name__ == "__main__":'

_IMPORTS = """
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import {output}
"""

_CONFIG = '''

class TerrariumConfig(PreTrainedConfig):
    """config.json; the sizes above are those that count."""

    model_type = "terrarium"


def check_no_padding(attention_mask: Tensor | None) -> None:
    """Raise ValueError for texts of different lengths, since the code above has no mask for padding."""
    if attention_mask is not None and not attention_mask.bool().all():
        raise ValueError("This model has no mask for padding: give it texts of the same length, or one at a time.")


class {name}(PreTrainedModel{mixin}):
    """The design above as a model of transformers: load it with trust_remote_code=True."""

    config_class = TerrariumConfig

    def __init__(self, config: TerrariumConfig) -> None:
        super().__init__(config)
{built}        self.post_init()
'''

_BUILT = """        self.model = Model()
"""

_BUILT_WITH_BLOCKS = """        with torch.device("cpu"):  # not without data: custom blocks may compute tensors
            self.model = Model()
        stored = self.state_dict()
        self.computed = {
            module: {n: buffer for n, buffer in module.named_buffers(recurse=False) if f"{path}.{n}" not in stored}
            for path, module in self.named_modules()
        }
"""

_PUT_BACK = '''
    def _init_weights(self, module: nn.Module) -> None:
        """Put the buffers of custom blocks back that are not in the file: transformers replaces them."""
        for name, buffer in self.computed.get(module, {}).items():
            getattr(module, name).copy_(buffer)
'''

_SINGLE = """
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **unused: object
    ) -> {output}:
        check_no_padding(attention_mask)
        result = self.model(input_ids)
{returned}
"""

_CAUSAL = """        loss = None
        if labels is not None:
            loss = F.cross_entropy(result[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=result)

    def prepare_inputs_for_generation(self, input_ids: Tensor, **unused: object) -> dict[str, Tensor]:
        return {{"input_ids": input_ids[:, -{context}:]}}  # there is no cache: the text is read anew for each token"""

_PAIR = '''
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, decoder_input_ids: Tensor | None = None,
        labels: Tensor | None = None, **unused: object
    ) -> Seq2SeqLMOutput:
        check_no_padding(attention_mask)
        start = torch.full_like(input_ids[:, :1], self.config.decoder_start_token_id or 0)
        if decoder_input_ids is None:
            decoder_input_ids = start if labels is None else torch.cat((start, labels[:, :-1]), dim=1)
        logits = self.model(input_ids, decoder_input_ids)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        return Seq2SeqLMOutput(loss=loss, logits=logits)

    @torch.no_grad()
    def generate(self, input_ids: Tensor, max_new_tokens: int = 64, **unused: object) -> Tensor:
        """The most likely next token, again and again, until the text ends: (B, S) -> (B, T)."""
        target = torch.full_like(input_ids[:, :1], self.config.decoder_start_token_id or 0)
        ended = torch.zeros_like(target, dtype=torch.bool)
        for _ in range(max_new_tokens):
            token = self.model(input_ids, target)[:, -1:].argmax(dim=-1)
            target = torch.cat((target, token), dim=1)
            ended |= token == self.config.eos_token_id
            if ended.all():
                break
        return target
'''

_LABELLED_PAIR = """
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **unused: object
    ) -> SequenceClassifierOutput:
        check_no_padding(attention_mask)
        start = torch.full_like(input_ids[:, :1], self.config.decoder_start_token_id or 0)
        result = self.model(input_ids, torch.cat((start, input_ids[:, :-1]), dim=1))  # the target, as in BART
        return SequenceClassifierOutput(logits=result)
"""

_OUTPUTS = {
    "TerrariumForCausalLM": ("CausalLMOutput", _CAUSAL),
    "TerrariumForMaskedLM": ("MaskedLMOutput", "        return MaskedLMOutput(logits=result)"),
    "TerrariumModel": ("BaseModelOutput", "        return BaseModelOutput(last_hidden_state=result)"),
    "TerrariumForConditionalGeneration": ("Seq2SeqLMOutput", ""),
    "TerrariumForSequenceClassification": (
        "SequenceClassifierOutput",
        "        return SequenceClassifierOutput(logits=result)",
    ),
    "TerrariumForTokenClassification": ("TokenClassifierOutput", "        return TokenClassifierOutput(logits=result)"),
    "TerrariumForQuestionAnswering": (
        "QuestionAnsweringModelOutput",
        "        return QuestionAnsweringModelOutput(start_logits=result[..., 0], end_logits=result[..., 1])",
    ),
}


def modeling_source(config: ModelConfig, name: str = "This design") -> str:
    """Return the content of modeling_terrarium.py."""
    source = module_source(config, name).partition(_TRIAL)[0].rstrip() + "\n"
    class_name, _ = class_of_design(config)
    output, returned = _OUTPUTS[class_name]
    is_causal = class_name == "TerrariumForCausalLM"
    if config.topology != "encoder-decoder":
        body = _SINGLE.format(output=output, returned=returned.format(context=config.context_length))
    else:
        body = _PAIR if config.head == "language" else _LABELLED_PAIR
    imports = _IMPORTS.format(output=output)
    if not is_causal:
        imports = imports.replace("GenerationMixin, ", "")
    torch_import = "from torch import Tensor, nn\n"
    source = source.replace(torch_import, torch_import + imports.lstrip("\n"), 1)
    mixin = ", GenerationMixin" if is_causal else ""
    built, more = (_BUILT_WITH_BLOCKS, _PUT_BACK) if config.has_custom_blocks else (_BUILT, "")
    return source + _CONFIG.format(name=class_name, mixin=mixin, built=built) + more + body
