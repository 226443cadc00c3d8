"""Blocked local attention against a loop over positions, a band mask and full attention.

Forward + backward, window 32 as in the tutorial, fp32, one thread.

Run:  python benchmarks/local_attention.py
"""

import torch
from interleaved import compare, write_results
from torch import Tensor

from paraformer.attention import attend
from paraformer.attention_local import LocalAttention

HEADS, HEAD_DIM, WINDOW = 8, 64, 32
REACH = WINDOW // 2


def loop(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """One small attention for each position, as one would first write it, on `(B, T, H, d)`."""
    queries, keys, values = (x.transpose(1, 2) for x in (queries, keys, values))
    outputs = []
    for position in range(queries.shape[1]):
        near = slice(max(0, position - REACH), position + REACH + 1)
        scores = torch.einsum("bqhd,bkhd->bhqk", queries[:, position : position + 1], keys[:, near])
        weights = (scores / HEAD_DIM**0.5).softmax(dim=-1)
        outputs.append(torch.einsum("bhqk,bkhd->bqhd", weights, values[:, near]))
    return torch.cat(outputs, dim=1).transpose(1, 2)


def band(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    frames = torch.arange(queries.shape[2])
    return attend(queries, keys, values, (frames[:, None] - frames).abs() <= REACH)


def measure(batch: int, frames: int, rounds: int) -> dict[str, object]:
    torch.manual_seed(0)
    qkv = [torch.randn(batch, HEADS, frames, HEAD_DIM, requires_grad=True) for _ in range(3)]
    blocked = LocalAttention(HEADS * HEAD_DIM, HEADS, WINDOW)._attend
    with torch.no_grad():
        difference = (blocked(*qkv, None) - loop(*qkv, None)).abs().max().item()
    ways = {"loop": loop, "band mask": band, "full": attend, "blocked": blocked}

    def step(way):
        def action() -> None:
            way(*qkv, None).sum().backward()

        return action

    steps = {name: step(way) for name, way in ways.items()}
    times = compare(steps, reference="loop", rounds=rounds, seconds=0.5)
    return {"batch": batch, "frames": frames, "largest difference to the loop": difference, **times}


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(4, 300, 7), measure(4, 1000, 5), measure(2, 3000, 3)]
    path = write_results(
        "local_attention",
        {
            "what": f"forward + backward, {HEADS} heads of {HEAD_DIM}, frames within ±{REACH}, fp32",
            "rows": rows,
        },
    )
    for row in rows:
        speedups = {name: row[name]["speedup"]["median"] for name in ("band mask", "full", "blocked")}
        print(f"T {row['frames']}: times faster than the loop {speedups}")
    print(path)


if __name__ == "__main__":
    main()
