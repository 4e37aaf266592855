"""Unpack archives that runners have packed, with every Python from 3.11 on: 3.11.3 and older know no filters."""

from __future__ import annotations

import os
import tarfile


def unpack(archive: tarfile.TarFile, place: str, *, links: bool = False) -> None:
    """Extract regular files and directories, and links where asked for, into ``place``.

    Raises:
        tarfile.TarError: a member would land elsewhere, or is of another kind.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(place, filter="tar" if links else "data")
        return
    root = os.path.realpath(place)
    for member in archive:
        # Looked at when its turn comes: a link before it may lead its path elsewhere.
        target = os.path.realpath(os.path.join(root, member.name))  # noqa: PTH118
        inside = target == root or target.startswith(root + os.sep)
        kind = member.isreg() or member.isdir() or (links and (member.issym() or member.islnk()))
        if not (inside and kind):
            raise tarfile.TarError(f"{member.name} does not belong into an archive of kopt's")
        archive.extract(member, place)
