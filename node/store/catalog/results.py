"""Rows of result objects, joined under names of their own, as records."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from node.store.catalog.tables import result_objects
from node.store.records import ResultObject

_FIELDS = (
    "kind",
    "sop_class_uid",
    "sop_instance_uid",
    "series_uid",
    "transfer_syntax_uid",
    "path",
    "sha256",
    "size_bytes",
    "naming",
)


def object_columns() -> list[sa.Label[Any]]:
    """The columns of an object, named ``object_…`` so that they can be joined to any other table's."""
    return [result_objects.c[name].label(f"object_{name}") for name in _FIELDS]


def result_object(row: sa.Row[Any]) -> ResultObject:
    """The record of a row that holds `object_columns`."""
    return ResultObject(**{name: row._mapping[f"object_{name}"] for name in _FIELDS})
