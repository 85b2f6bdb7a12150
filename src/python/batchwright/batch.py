"""One batch: rows, and masks over the global batch."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from . import masks
from .arrays import fixed_bytes, lists, numbers
from .errors import DatasetError


class Slice:
    """The rows of a batch that one row group holds."""

    def __init__(self, group, start: int, end: int):
        self.group, self.start, self.end = group, start, end

    def column(self, name: str) -> pa.Array:
        return self.group.column(name).slice(self.start, self.end - self.start)


class Batch:
    """A rank's rows of a global batch of `width` rows; all of them where there is one rank.

    Masks are bool[rows, width], by row and slot; with `local=True` bool[rows, rows], for a loss over the rank's own rows.
    Row i of a mask is anchor i, column j its candidate.
    """

    def __init__(self, dataset, index: int, number: int, slices: list[Slice], width: int, whole: list[Slice] | None, columns: list[str]):
        self._dataset, self._slices, self._whole, self._columns = dataset, slices, whole, columns
        #: Place in the order in which batches come, from 0: reading goes on behind it with `start = index + 1`.
        self.index = index
        #: Ordinal in its dataset, `bw_batch`.
        self.number = number
        #: Rows of the global batch: `batch_size`, or fewer in the last one of a pool. A rank's share may be empty there.
        self.width = width
        self._candidates: slice | np.ndarray | None = None
        self._rows: slice | np.ndarray = slice(None)

    @property
    def schema(self) -> pa.Schema:
        """Of all columns that the dataset has."""
        return self._slices[0].group.schema

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `table`."""
        return self._columns

    @property
    def request_columns(self) -> list[str]:
        """Columns that stand once for each request; none with layout "inline"."""
        return self._dataset.request_columns

    def __len__(self) -> int:
        return len(self.slots)

    def column(self, name: str) -> pa.Array:
        """A column's values on the rank's rows."""
        parts = [part.column(name) for part in self._slices]
        array = parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
        if isinstance(self._rows, slice):
            start, stop, _ = self._rows.indices(len(array))
            return array.slice(start, stop - start)
        return array.take(pa.array(self._rows))

    @cached_property
    def table(self) -> pa.Table:
        """The rank's rows: the columns asked for, or all of the payload and `bw_` columns but masks."""
        fields = [self.schema.field(name) for name in self._columns]
        return pa.table([self.column(name) for name in self._columns], schema=pa.schema(fields))

    @cached_property
    def slots(self) -> np.ndarray:
        """int32[rows]: the rows' slots in the global batch, which are also the columns of the masks that stand for themselves."""
        return numbers(self.column("bw_slot"))

    @cached_property
    def anchors(self) -> np.ndarray:
        """bool[rows]: the rows whose loss is computed; the others are candidates only."""
        return numbers(self.column("bw_anchor"))

    def targets(self, local: bool = False) -> np.ndarray:
        """int64[rows]: the column of each row's own item, in scores over the batch's candidates, or over the rank's own."""
        if self._candidates is not None:
            candidates = np.arange(self.width)[self._candidates]
            at = np.full(self.width, -1)
            at[candidates] = np.arange(len(candidates))
            return at[self.slots]
        return np.arange(len(self)) if local else self.slots.astype(np.int64)

    def negatives(self, local: bool = False) -> np.ndarray:
        """bool[rows, width]: the slots that are valid negatives for each row, by all rules of the mask; never itself."""
        if self._dataset.encoding == "slots":
            valid = masks.without(*lists(self.column("bw_excluded")), self.width)
            valid[np.arange(len(self)), self.slots] = False
        elif self._dataset.encoding == "none":
            # No mask is stored: rules of identities and items are made of their slots.
            slots = {"same:identity": "bw_user_slot", "same:item": "bw_item_slot"}
            valid = np.logical_and.reduce([masks.differ(self._of_whole(slots[rule]), self.slots) for rule in self._dataset.rules])
        else:
            valid = masks.unpack(fixed_bytes(self.column("bw_negatives")), self.width)
        return self._seen(valid, local)

    def same_user(self, local: bool = False) -> np.ndarray:
        """bool[rows, width]: the slots that hold the row's identity, itself included."""
        if self._whole is not None:
            return self._seen(~masks.differ(self._of_whole("bw_user_slot"), self.slots), local)
        return self._seen(masks.unpack(fixed_bytes(self._needed("bw_same_user")), self.width), local)

    def positives(self, local: bool = False) -> np.ndarray:
        """bool[rows, width]: the slots that are positives of the row, where the dataset has `mask.positives`."""
        array = self._needed("bw_positives")
        if pa.types.is_list(array.type):
            return self._seen(~masks.without(*lists(array), self.width), local)
        return self._seen(masks.unpack(fixed_bytes(array), self.width), local)

    def requests(self, columns: list[str] | None = None) -> tuple[pa.Table, np.ndarray]:
        """With `requests.layout = "first"`: a table with one row a request, of these columns or all of its own, and
        int64[rows], the row of that table that is each row's request."""
        columns = list(columns or self._dataset.request_columns)
        if not columns:
            raise DatasetError(self._dataset.root, "its requests are not stored once", 'compose it with requests.layout = "first"')
        tables, of_row, before = [], [], 0
        for part in self._slices:
            first = part.column("bw_request_first")
            tables.append(pa.table({name: part.column(name) for name in columns}).filter(first))
            of_row.append(numbers(part.column("bw_request_slot")).astype(np.int64) + before)
            before += len(tables[-1])
        return pa.concat_tables(tables), np.concatenate(of_row)[self._rows]

    def cut(self, rows, columns=slice(None)) -> "Batch":
        """Some of these rows against some candidates, for gradients that are accumulated or cached: `rows` are a slice or
        places among these rows, `columns` a slice or slots of the global batch. Masks then have these rows and columns."""
        cut = Batch(self._dataset, self.index, self.number, self._slices, self.width, self._whole, self._columns)
        own = np.arange(sum(part.end - part.start for part in self._slices))
        cut._rows = own[self._rows][rows]
        cut._candidates = columns if self._candidates is None else np.arange(self.width)[self._candidates][columns]
        return cut

    def _seen(self, mask: np.ndarray, local: bool) -> np.ndarray:
        if local and self._candidates is not None:
            raise ValueError("a batch that was cut has candidates of its own: leave local out")
        if local:
            return mask if len(self) == self.width else mask[:, self.slots]
        return mask if self._candidates is None else mask[:, self._candidates]

    def _of_whole(self, name: str) -> np.ndarray:
        parts = [numbers(part.column(name)) for part in self._whole]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _needed(self, name: str) -> pa.Array:
        if name not in self.schema.names:
            raise DatasetError(self._dataset.root, f"it has no column {name}", "compose it so that it has")
        return self.column(name)
