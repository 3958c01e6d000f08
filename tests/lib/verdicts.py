# SPDX-License-Identifier: GPL-2.0-or-later
"""
What passed once passes again as long as nothing that it depends on has changed.  For what
takes minutes and depends on files alone.  A soak believes nothing of this.
"""

import hashlib
import pathlib

from .config import SOAK


def files(*paths):
    """Names and contents of these files, and of those in these folders"""
    for path in map(pathlib.Path, paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                yield str(file)
                yield file.read_bytes()


class Verdicts:
    """Kept in the build folder, a file for each; its name is the hash, its text up to the test."""

    def __init__(self, build):
        self.folder = pathlib.Path(build) / "cache/verdicts"

    def path(self, parts):
        digest = hashlib.sha256()
        for part in parts:
            part = part if isinstance(part, bytes) else str(part).encode()
            digest.update(b"%d " % len(part) + part)
        return self.folder / digest.hexdigest()

    def known(self, *parts):
        """What `keep` was told of the same parts, or None."""
        path = self.path(parts)
        return path.read_text() if path.exists() and not SOAK else None

    def keep(self, text, *parts):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(parts)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.rename(path)
