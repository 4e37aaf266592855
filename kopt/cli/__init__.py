"""The ``kopt`` command: a module per group of commands, each importing what it needs when it runs."""
