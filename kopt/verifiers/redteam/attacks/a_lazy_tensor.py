# number: 3
# source: CUDA-L1, item 12
# tries: returns a tensor subclass that computes only when somebody touches it
# problem: silu
# expect: correct
# naive: faster
import torch


class Lazy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        def real(value):
            if isinstance(value, Lazy):
                x = value.__dict__["source"].double()  # slower than the reference, once somebody asks
                return (x * x.sigmoid()).float()
            return value

        with torch._C.DisableTorchFunctionSubclass():
            return function(*map(real, args), **(kwargs or {}))


def run(x):
    answer = torch.Tensor._make_subclass(Lazy, torch.empty(0))
    answer.__dict__["source"] = x
    return answer
