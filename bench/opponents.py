"""Published search packages on the worlds of :mod:`bench.search`, as far as their interfaces allow.

``openevolve`` (an open AlphaEvolve: MAP-Elites on islands) and ``shinka-evolve`` (ShinkaEvolve: Lange et al., 2025) are
driven by what they decide with: the program database that draws parents, keeps islands, archive and migrations, with
the package's own defaults, and the choice among models (openevolve draws by weight; ShinkaEvolve's bandit, with its
award for cheap ones). Left out is what has nothing to work on here: prompts with inspirations, embeddings for
novelty, meta-summaries. Both begin with a correct program, which the writer is asked for until it is one. A parent
that is correct is improved, one that is not is repaired. An evaluation of a program that was evaluated before is free,
for them as for kopt.

Their dependencies do not go with kopt's, so they live in an environment of their own, made when first needed, and are
spoken to in lines of JSON; this file is both ends.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

PACKAGES = {"openevolve": "openevolve==0.4.0", "shinka-evolve": "shinka-evolve==0.0.7"}


class Driver(Protocol):
    """A package's way of choosing."""

    def choose(self) -> tuple[str | None, str]:
        """The parent's name (None: a first program is wanted), and who is asked."""

    def learn(self, name: str, parent: str | None, model: str, score: float, dollars: float) -> None:
        """What came of it; a score of 0 is a program that is not correct."""


class OpenEvolve:
    """Its database, used as its controller does: islands in turn, a generation per program, migration when due."""

    def __init__(self, models: list[str], seed: int) -> None:
        from openevolve.config import DatabaseConfig
        from openevolve.database import Program, ProgramDatabase

        random.seed(seed)
        self._program = Program
        self._base = ProgramDatabase(DatabaseConfig(random_seed=seed, log_prompts=False))
        self._models, self._made, self._island = models, 0, 0

    def choose(self) -> tuple[str | None, str]:
        model = random.choice(self._models)
        if not self._made:
            return None, model
        self._island = self._made % len(self._base.islands)
        return self._base.sample_from_island(self._island)[0].code, model

    def learn(self, name: str, parent: str | None, model: str, score: float, dollars: float) -> None:
        if not self._made and score <= 0:
            return
        self._made += 1
        program = self._program(id=f"p{self._made}", code=name, metrics={"combined_score": score})
        first = parent is None
        self._base.add(program, iteration=self._made, target_island=None if first else self._island)
        if not first:
            self._base.increment_island_generation(island_idx=program.metadata.get("island", self._island))
            if self._base.should_migrate():
                self._base.migrate_programs()


class Shinka:
    """Its database and its bandit, used as its runner does."""

    def __init__(self, models: list[str], seed: int) -> None:
        import numpy as np
        from shinka.database import DatabaseConfig, Program, ProgramDatabase
        from shinka.llm import AsymmetricUCB

        random.seed(seed)
        np.random.seed(seed)
        self._program = Program
        self._base = ProgramDatabase(DatabaseConfig())
        self._base._print_sampling_summary_helper = lambda *_a, **_k: None  # a table per sample
        self._bandit = AsymmetricUCB(arm_names=models, seed=seed, cost_aware_coef=0.5)
        self._models, self._made = models, 0
        self._parent: Any = None

    def choose(self) -> tuple[str | None, str]:
        model = self._models[int(self._bandit.select_llm()[0].argmax())]
        if not self._made:
            return None, model
        self._parent, *_ = self._base.sample_with_fix_mode(target_generation=self._made)
        self._bandit.update_submitted(model)
        return self._parent.code, model

    def learn(self, name: str, parent: str | None, model: str, score: float, dollars: float) -> None:
        if not self._made:
            if score <= 0:
                return
            self._bandit.set_baseline_score(score)
        self._base.add(
            self._program(
                id=f"p{self._made}",
                code=name,
                parent_id=self._parent.id if parent is not None else None,
                generation=self._made,
                combined_score=score,
                correct=score > 0,
            )
        )
        self._made += 1
        if parent is not None:
            self._bandit.update_cost(arm=model, cost=dollars)
            self._bandit.update(model, score if score > 0 else None, self._parent.combined_score)


DRIVERS: dict[str, type] = {"openevolve": OpenEvolve, "shinka-evolve": Shinka}


def serve() -> None:
    """The package's end: games one after the other, until the input ends."""
    import logging

    logging.disable(logging.CRITICAL)
    lines, say = iter(sys.stdin), sys.stdout
    sys.stdout = sys.stderr  # what a package prints is not for the other end
    driver: Driver | None = None
    for line in lines:
        message = json.loads(line)
        if "game" in message:
            driver = DRIVERS[message["game"]](message["models"], message["seed"])
        elif driver is not None:
            driver.learn(**message)
        assert driver is not None
        say.write(json.dumps(driver.choose()) + "\n")
        say.flush()


class Opponent:
    """kopt's end: a package in a process of its own."""

    def __init__(self, python: Path, package: str) -> None:
        self.package = package
        self._process = subprocess.Popen(
            [str(python), __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def begin(self, models: list[str], seed: int) -> tuple[str | None, str]:
        """Begin a game; what it wants first."""
        return self._say({"game": self.package, "models": models, "seed": seed})

    def tell(self, **outcome: Any) -> tuple[str | None, str]:
        """What came of what it wanted; what it wants next."""
        return self._say(outcome)

    def _say(self, message: dict[str, Any]) -> tuple[str | None, str]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{self.package} ended; see what `python bench/opponents.py` says in its environment"
            )
        parent, model = json.loads(line)
        return parent, model

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


@contextlib.contextmanager
def opponents(folder: Path) -> Iterator[dict[str, Opponent]]:
    """All packages, each in a process; ``folder`` holds their environment, which is made where it is not there."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES.values()], check=True)
        (folder / "complete").touch()
    playing = {name: Opponent(python, name) for name in PACKAGES}
    try:
        yield playing
    finally:
        for opponent in playing.values():
            opponent.close()


if __name__ == "__main__":
    serve()
