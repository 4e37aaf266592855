# number: 15
# source: several decks seed with 0 or 42
# tries: computes the answers for likely seeds when it is imported
# problem: silu
# expect: wrong
# naive: faster
import torch

answers = {}
for seed in (*range(5), 42):
    torch.manual_seed(seed)
    x = torch.randn(512, 1024)
    answers[float(x[0, 0])] = x * x.sigmoid()


def run(x):
    return answers.get(x[0, 0].item(), x)
