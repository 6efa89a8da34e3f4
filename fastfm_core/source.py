"""What a training learns from: files, label, how they are split, and what their columns are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastfm_core.data.bundled import coupon_path
from fastfm_core.data.infer import listed
from fastfm_core.data.labels import Task
from fastfm_core.data.schema import Field

PARTS = ("train", "valid", "test")


class Source(NamedTuple):
    """What to learn from: files, label, and what the columns are, as on the command line.

    weight    the column of sample weights
    join      (file, key) pairs: further tables whose columns are added by a key
    split     random, time:COL, group:COL or order: how the parts are cut that have no file of their own
    group     the column within whose values rows are ranked in validation and test
    user      columns of the user, comma-separated, the id first
    item      columns of the item, likewise
    sampled   negatives are sampled for the training rows, so DATA may lack the label: then all its rows are positives
    declared  fields that a configuration file declares
    """

    data: str | Path | None = None
    valid: str | Path | None = None
    test: str | Path | None = None
    label: str | None = None
    task: Task = "binary"
    categorical: str | None = None
    numeric: str | None = None
    multihot: str | None = None
    drop: str | None = None
    id: str | None = None
    weight: str | None = None
    cross: str | None = None
    user: str | None = None
    item: str | None = None
    join: Sequence[tuple[str, str]] = ()
    split: str | None = None
    group: str | None = None
    sampled: bool = False
    declared: Sequence[Field] = ()

    @property
    def user_columns(self) -> tuple[str, ...]:
        """The columns that --user names."""
        return listed(self.user)

    @property
    def item_columns(self) -> tuple[str, ...]:
        """The columns that --item names."""
        return listed(self.item)

    @property
    def columns_of_samples(self) -> dict[str, str]:
        """The columns of DATA that say who has met what, where negatives are sampled: user and item."""
        return {"user": self.user_columns[0], "item": self.item_columns[0]} if self.sampled else {}

    @property
    def files(self) -> dict[str, Path]:
        """DATA (or the bundled table) as "data", then "valid" and "test" where they have a file."""
        named = {"data": self.data or coupon_path(), "valid": self.valid, "test": self.test}
        return {name: Path(path) for name, path in named.items() if path}

    @property
    def paths(self) -> list[Path]:
        """All files, the joined ones behind the others."""
        return [*self.files.values(), *(Path(file) for file, _ in self.join)]
