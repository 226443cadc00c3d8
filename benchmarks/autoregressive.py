"""The parallel decoder against our own autoregressive one with KV cache: the paper's headline.

30 tokens from 10 s of speech at 60 ms a frame, 6 layers of width 512, fp32, one thread. The autoregressive
search never meets EOS, so every contender writes exactly 30 tokens. "whole" adds the SANM encoder.

Run:  python benchmarks/autoregressive.py
"""

import torch
from interleaved import compare, write_results

from paraformer.config import DecoderConfig, EncoderConfig
from paraformer.decoder import build_decoder
from paraformer.decoder_search import beam_search, greedy_search
from paraformer.encoder import build_encoder

TOKENS, FRAMES, WIDTH, VOCABULARY = 30, 1000, 512, 4233


@torch.no_grad()
def measure(batch: int, rounds: int) -> dict[str, object]:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(kind="sanm", front_end="lfr", kernel_size=11), 80).eval()
    parallel = build_decoder(DecoderConfig(), WIDTH, VOCABULARY).eval()
    serial = build_decoder(DecoderConfig(kind="autoregressive"), WIDTH, VOCABULARY).eval()
    serial.output.bias[2] = -1e4  # EOS never comes
    features, feat_lens = torch.randn(batch, FRAMES, 80), torch.full((batch,), FRAMES)
    memory, memory_lens = encoder(features, feat_lens)
    queries, query_lens = torch.randn(batch, TOKENS, WIDTH), torch.full((batch,), TOKENS)

    @torch.no_grad()
    def run_parallel(memory=memory):
        return parallel(queries, query_lens, memory, memory_lens).argmax(dim=-1)

    @torch.no_grad()
    def run_greedy(memory=memory):
        return greedy_search(serial, memory, memory_lens, max_len=TOKENS - 1)

    @torch.no_grad()
    def run_beam(memory=memory):
        return beam_search(serial, memory, memory_lens, beam=10, max_len=TOKENS - 1)

    @torch.no_grad()
    def encode():
        return encoder(features, feat_lens)[0]

    contenders = {
        "autoregressive greedy": run_greedy,
        "autoregressive beam 10": run_beam,
        "parallel": run_parallel,
        "encoder": encode,
    }
    decoder = compare(contenders, reference="autoregressive greedy", rounds=rounds)
    times = {name: row["milliseconds"]["median"] for name, row in decoder.items()}
    ratios = {
        f"{scope}, {name}": round((times[name] + extra) / (times["parallel"] + extra), 2)
        for name in ("autoregressive greedy", "autoregressive beam 10")
        for scope, extra in (("decoder", 0.0), ("whole", times["encoder"]))
    }
    return {"batch": batch, "times the parallel decoder's time": ratios, "measured": decoder}


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(1, 7), measure(16, 3)]
    path = write_results("autoregressive", {"what": __doc__, "rows": rows})
    for row in rows:
        print(row["batch"], row["times the parallel decoder's time"])
    print(path)


if __name__ == "__main__":
    main()
