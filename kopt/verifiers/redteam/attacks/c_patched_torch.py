# number: 25
# source: several decks: functions the checker uses are replaced
# tries: replaces comparisons and copies of torch by ones that always agree
# problem: silu
# expect: wrong
# naive: passes
import torch

torch.allclose = torch.equal = lambda *args, **options: True
torch.testing.assert_close = lambda *args, **options: None
torch.Tensor.copy_ = lambda self, other, *args: self


def run(x):
    return x
