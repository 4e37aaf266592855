# habit: bool and integer tensors converted and used as numbers
# problem: gather


def run(table, index, keep):
    rows = table.gather(0, index.to(dtype=index.dtype).unsqueeze(1).expand(-1, table.shape[1]))
    return rows.masked_fill_(keep.logical_not().unsqueeze(1), 0.0)
