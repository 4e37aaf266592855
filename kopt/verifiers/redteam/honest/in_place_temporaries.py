# habit: in-place operations on its own temporaries
# problem: softmax


def run(x):
    y = x.float()
    y -= y.amax(-1, keepdim=True)
    y.exp_()
    y /= y.sum(-1, keepdim=True)
    return y.half()
