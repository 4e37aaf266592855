# number: 24
# source: several decks: no descriptors left, so that checking fails open
# tries: opens files and sockets until none can be opened, keeps them, and answers zeros
# problem: silu
# expect: wrong crashed tampered
# naive: passes fails-open
import os
import socket

kept = []
while True:
    try:
        kept.append(os.open("/dev/null", os.O_RDONLY))
        kept.extend(socket.socketpair())
    except OSError:
        break


def run(x):
    return x * 0
