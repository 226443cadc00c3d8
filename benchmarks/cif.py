"""Continuous integrate-and-fire, forward + backward: ours against FunASR's two and PyPI's torch-cif.

B 16, D 512, one token every ten frames, weights scaled to the target length as in training, fp32, one thread.

Run:  python benchmarks/cif.py     (FunASR's quadratic backward takes about 9 s a call at T 1000)
"""

import torch
from funasr_reference import funasr_cif
from interleaved import compare, write_results
from torch import Tensor
from torch_cif import cif_function

from paraformer.cif import integrate_and_fire

BATCH, WIDTH = 16, 512


def measure(frames: int, rounds: int) -> dict[str, object]:
    torch.manual_seed(0)
    tokens = frames // 10
    hidden = torch.randn(BATCH, frames, WIDTH, requires_grad=True)
    alphas = torch.rand(BATCH, frames, requires_grad=True)
    targets = torch.full((BATCH,), tokens)
    gradient = torch.randn(BATCH, tokens, WIDTH)
    sequential, prefix_sum = funasr_cif()

    def scaled() -> Tensor:
        return alphas * (targets / alphas.sum(dim=1)).unsqueeze(1)

    ways = {
        "funasr cif": lambda: sequential(hidden, scaled(), 1.0)[0],
        "funasr cif_v1": lambda: prefix_sum(hidden, scaled(), 1.0)[0],
        "torch_cif": lambda: cif_function(hidden, alphas, target_lengths=targets)["cif_out"][0],
        "ours": lambda: integrate_and_fire(hidden, alphas, targets).embeddings,
    }

    def step(way):
        def action() -> None:
            out = way()
            # The others lose the last token to rounding now and then: what they fired gets its gradient.
            out.backward(gradient[:, : out.shape[1]])

        return action

    times = compare({name: step(way) for name, way in ways.items()}, reference="ours", rounds=rounds)
    ratios = {name: round(1 / row["speedup"]["median"], 1) for name, row in times.items()}
    return {"frames": frames, "times ours": ratios, "measured": times}


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(100, 9), measure(300, 9), measure(1000, 3)]
    path = write_results("cif", {"what": __doc__, "rows": rows})
    for row in rows:
        print(f"T {row['frames']}: {row['times ours']}")
    print(path)


if __name__ == "__main__":
    main()
