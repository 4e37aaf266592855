"""Settings, from ``KOPT_*`` environment variables. Read once, passed down; no room reads the environment itself."""

from __future__ import annotations

import enum
import functools
from pathlib import Path

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kopt.errors import UsageError


class Arch(enum.StrEnum):
    """The GPU architectures that CUDA and Triton are compiled for; those with an ``a`` have instructions of their own.

    Triton takes 9.0 and later with their own instructions under either name.
    """

    SM_80 = "sm_80"
    SM_86 = "sm_86"
    SM_89 = "sm_89"
    SM_90 = "sm_90"
    SM_90A = "sm_90a"
    SM_100 = "sm_100"
    SM_100A = "sm_100a"
    SM_120 = "sm_120"
    SM_120A = "sm_120a"


class Settings(BaseSettings):
    """Where kopt keeps things and how long it waits."""

    model_config = SettingsConfigDict(env_prefix="KOPT_")

    home: Path = Path.home() / ".kopt"
    """Database, library and caches."""
    database: str | None = None
    """SQLAlchemy URL; SQLite under ``home`` when not given."""
    threads: int = 0
    """Threads each runner may use; 0 means every core this process may run on."""
    build_seconds: float = 300.0
    call_seconds: float = 60.0
    memory_bytes: int = 8 << 30
    """Address space a candidate may add on top of what torch maps."""
    model_key: SecretStr | None = None
    """For model servers given by URL. Providers' own keys stay in their own variables."""
    gpus: str = ""
    """GPUs granted to Docker sandboxes: indices or UUIDs, comma separated. None unless asked for. No runner uses
    them yet."""

    arch: Arch = Arch.SM_90
    """What CUDA and Triton candidates are compiled for."""

    def targeting(self, arch: str | None) -> Settings:
        """These settings for another architecture, or the same where none is named.

        Raises:
            UsageError: it is none that is compiled for.
        """
        if arch is None:
            return self
        if arch not in list(Arch):
            raise UsageError(f"--arch {arch}: kopt compiles for {', '.join(Arch)}")
        return self.model_copy(update={"arch": Arch(arch)})

    @property
    def database_url(self) -> str:
        """The store's SQLAlchemy URL."""
        return self.database or f"sqlite:///{self.home / 'kopt.db'}"

    @property
    def build_cache(self) -> Path:
        """Content-addressed build results."""
        return self.home / "builds"

    @property
    def replies(self) -> Path:
        """What models have answered, by what they were asked."""
        return self.home / "replies"

    @property
    def patches(self) -> Path:
        """Winners of code problems."""
        return self.home / "patches"

    @property
    def agents(self) -> Path:
        """Workspaces and output of coding agents, by run."""
        return self.home / "agents"

    @property
    def library(self) -> Path:
        """Admitted kernels and their certificates."""
        return self.home / "library"


@functools.cache
def settings() -> Settings:
    """The process's settings.

    Raises:
        UsageError: a ``KOPT_*`` variable cannot be read; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"KOPT_{'_'.join(map(str, first['loc'])).upper()}"
        raise UsageError(f"{name}={first['input']}: {first['msg']}") from None
