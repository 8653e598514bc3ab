"""Which distributions a verdict on model files depends on: from the tables, and nothing heavy."""

from modelpack.checks.libraries import quantiser_table
from modelpack.checks.libraries import table as library_table
from modelpack.checks.libraries.table import Table


def names() -> frozenset[str]:
    """Return the names, normalised."""
    tables = [
        value
        for module in (library_table, quantiser_table)
        for value in vars(module).values()
        if isinstance(value, Table)
    ]
    needed = [
        name
        for eras in quantiser_table.NEEDED.values()
        for groups in eras.values()
        for group in groups
        for name in group
    ]
    fast = [name for least in quantiser_table.FAST.values() for name in least]
    return frozenset({
        *(one.library for one in tables), *library_table.RUNTIMES, *library_table.READERS,
        *library_table.TWINS, *library_table.ARRAYS_OF_OTHERS, library_table.ML_DTYPES,
        *needed, *fast,
    })  # fmt: skip
