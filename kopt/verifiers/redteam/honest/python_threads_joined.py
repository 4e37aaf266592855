# habit: Python threads, joined before the call returns
# problem: stats
import threading


def run_into(x, mean, largest, place):
    def means():
        mean.copy_(x.double().mean(-1))

    thread = threading.Thread(target=means)
    thread.start()
    largest.copy_(x.amax(-1))
    place.copy_(x.argmax(-1))
    thread.join()
