"""All rows of the conformance table."""

from __future__ import annotations

import cases_documents
import cases_entries
import cases_indexes
import cases_links
import cases_metadata
import cases_names
import cases_opaque
import cases_stacks
import cases_streams
import cases_tar
import cases_types
import cases_whiteouts
from row import Row

__all__ = ["ROWS"]

ROWS: list[Row] = [
    *cases_whiteouts.ROWS,
    *cases_opaque.ROWS,
    *cases_types.ROWS,
    *cases_links.ROWS,
    *cases_names.ROWS,
    *cases_metadata.ROWS,
    *cases_entries.ROWS,
    *cases_tar.ROWS,
    *cases_stacks.ROWS,
    *cases_streams.ROWS,
    *cases_documents.ROWS,
    *cases_indexes.ROWS,
]
