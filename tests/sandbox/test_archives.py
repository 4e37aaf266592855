"""Archives are unpacked alike by Pythons with and without filters."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from kopt.sandbox.runner.archives import unpack


@pytest.fixture(params=["filters", "none"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "none":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def archive(*members: tuple[str, bytes, str]) -> tarfile.TarFile:
    """Members as name, kind, and content or where a link leads."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.SYMTYPE:
                info.linkname = content
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            made.addfile(info, io.BytesIO(content.encode()))
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def test_files_and_directories(tmp_path: Path) -> None:
    unpack(archive(("a", tarfile.DIRTYPE, ""), ("a/b", tarfile.REGTYPE, "text")), str(tmp_path))
    assert (tmp_path / "a" / "b").read_text() == "text"


def test_links_where_asked_for(tmp_path: Path) -> None:
    members = ("a", tarfile.REGTYPE, "text"), ("b", tarfile.SYMTYPE, "a")
    unpack(archive(*members), str(tmp_path), links=True)
    assert (tmp_path / "b").read_text() == "text"


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize(
    "members",
    [
        [("../out", tarfile.REGTYPE, "x")],
        [("link", tarfile.SYMTYPE, ".."), ("link/out", tarfile.REGTYPE, "x")],
        [("pipe", tarfile.FIFOTYPE, ""), ("../out", tarfile.REGTYPE, "x")],
    ],
)
def test_nothing_lands_elsewhere(tmp_path: Path, links: bool, members: list[tuple[str, bytes, str]]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(tarfile.TarError):
        unpack(archive(*members), str(place), links=links)
    assert not (tmp_path / "out").exists()
