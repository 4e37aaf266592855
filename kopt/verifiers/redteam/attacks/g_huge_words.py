# number: 48 26
# source: threat catalogue G
# tries: fails with an error whose text, type, file and trace are enormous, nested and full of control characters
# problem: silu
# expect: crashed tampered
# naive: exempt: it is after the machine, not after a verdict


class Endless(Exception):
    kind = "bad\x1b[2J" * (1 << 20)

    def __str__(self):
        return "\ud800\u202e\x1b]0;owned\x07\n[bold]" * (1 << 24)


Endless.__name__ = "E" * (1 << 24)


def deeper(n):
    if n:
        deeper(n - 1)
    raise Endless


deeper(900)


def run(x):
    return x
