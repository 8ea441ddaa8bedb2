"""Two experts and a soft router: each token is the weighted sum of both (Jacobs et al., 1991)."""

from torch import Tensor, nn

BLOCK = {
    "name": "two_experts",
    "slot": "feed_forward",
    "title": "Two experts",
    "help": "Two narrower feed-forwards, of which a router mixes the outputs for each token.",
    "options": {
        "share": {"default": 0.5, "label": "Width", "help": "Of an expert, as a share of d_ff.", "range": (0.05, 1.0)},
    },
}


class Block(nn.Module):
    def __init__(self, config, share: float) -> None:
        super().__init__()
        width = max(1, round(share * config.d_ff))
        self.router = nn.Linear(config.d_model, 2, bias=False)
        self.up = nn.ModuleList(nn.Linear(config.d_model, width) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(width, config.d_model) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, T, C)."""
        shares = self.router(x).softmax(dim=-1)  # (B, T, 2)
        made = [down(nn.functional.gelu(up(x))) for up, down in zip(self.up, self.down, strict=True)]
        return made[0] * shares[..., :1] + made[1] * shares[..., 1:]
