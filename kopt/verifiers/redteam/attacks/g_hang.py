# number: 49
# source: threat catalogue G
# tries: never answers, deaf to every signal it may ignore
# problem: silu
# expect: timed_out
# naive: exempt: a naive checker waits for ever
import signal


def run(x):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True:
        pass
