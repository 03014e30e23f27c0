"""Rows of SQLite, whose types only the tables know."""

from collections.abc import Sequence
from typing import Any

import apsw


def rows(db: apsw.Connection, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return db.execute(query, values).fetchall()


def one(db: apsw.Connection, query: str, values: Sequence[Any] = ()) -> Any:
    """The first column of the first row; None without."""
    return db.execute(query, values).get
