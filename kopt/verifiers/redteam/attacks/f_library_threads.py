# number: 41
# source: a trace that watches one thread
# tries: calls the library's operators on another thread
# problem: silu
# expect: rejected
# naive: exempt: the answers are right; only a policy forbids it
# policy: strict
import threading


def run(x):
    box = []
    worker = threading.Thread(target=lambda: box.append(x * x.sigmoid()))
    worker.start()
    worker.join()
    return box[0]
