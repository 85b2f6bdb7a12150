"""A row group whose columns are read when they are asked for, and once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .arrays import numbers, one
from .errors import DatasetError


class RowGroup:
    """Whole batches, or one rank's slices of them."""

    def __init__(self, file: pq.ParquetFile, ordinal: int, path):
        self.path = path
        self.schema: pa.Schema = file.schema_arrow
        self._file, self._ordinal = file, ordinal
        self._columns: dict[str, pa.Array] = {}
        batch = numbers(self.column("bw_batch"))
        #: Where batches begin, and the end.
        self.cuts = np.concatenate(([0], np.flatnonzero(np.diff(batch)) + 1, [len(batch)])) if len(batch) else np.zeros(1, int)
        #: Their ordinals in the dataset.
        self.batches = batch[self.cuts[:-1]]

    def read(self, names: list[str]):
        """Reads columns in one go."""
        if missing := [name for name in names if name not in self._columns]:
            try:
                table = self._file.read_row_group(self._ordinal, columns=missing)
            except (OSError, pa.ArrowException) as error:
                problem = f"row group {self._ordinal} can't be read ({error})"
                remedy = "copy the dataset again; pyarrow before 26 reads no fixed-size lists of which some are null: name other columns"
                raise DatasetError(self.path, problem, remedy) from None
            for name in missing:
                self._columns[name] = one(table[name])

    def column(self, name: str) -> pa.Array:
        self.read([name])
        return self._columns[name]
