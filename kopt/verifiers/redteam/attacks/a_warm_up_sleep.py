# number: 7
# source: pygpubench: sleeping in warm-up shrinks the number of repetitions
# tries: sleeps in its first calls so that few are timed, then gives back the last answer
# problem: silu
# expect: wrong
# naive: faster
import time

calls = 0
last = None


def run(x):
    global calls, last
    calls += 1
    if calls <= 8:
        time.sleep(0.1 if calls > 5 else 0)
        last = x * x.sigmoid()
    return last
