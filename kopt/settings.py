"""Settings, from ``KOPT_*`` environment variables. Read once, passed down; no room reads the environment itself."""

from __future__ import annotations

import functools
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    """The process's settings."""
    return Settings()
