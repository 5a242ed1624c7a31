"""The user's own table, whose columns pictures are filtered by."""

import warnings
from pathlib import Path

import pandas as pd

from ris.errors import RisError


def read_columns(table: str | Path | pd.DataFrame) -> dict[str, dict[str, str]]:
    """Read a table: path -> column -> value, as text; empty cells are left out.

    Args:
        table: a CSV or Parquet file, or a data frame, with a column `path`.

    Raises:
        RisError: it cannot be read, or has no paths, or one twice.
    """
    name = "The table" if isinstance(table, pd.DataFrame) else str(table)
    frame = table if isinstance(table, pd.DataFrame) else _read(Path(table))
    if "path" not in frame:
        raise RisError(f"{name} has no column `path`; name each picture's path in the store by it.")
    if frame["path"].isna().any() or frame["path"].duplicated().any():
        raise RisError(f"{name} has an empty path, or one twice; give each picture one line.")
    for column in frame.columns:
        if not all(map(pd.api.types.is_scalar, frame[column])):
            raise RisError(f"{name} has lists in its column {column}; give each cell one value.")
    texts = {str(column): frame[column] for column in frame.columns if column != "path"}
    return {
        str(path): {
            column: str(values.iloc[line])
            for column, values in texts.items()
            if not pd.isna(values.iloc[line]) and str(values.iloc[line])
        }
        for line, path in enumerate(frame["path"])
    }


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.suffix.lower() == ".parquet":
            return pd.read_parquet(file)
        with warnings.catch_warnings():
            # A line with more fields than heads: pandas would shift or cut them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False)
    except pd.errors.ParserWarning as warning:
        raise RisError(
            f"{file} has lines with more fields than its first; put texts with commas into quotes."
        ) from warning
    except (ValueError, OSError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise RisError(f"{file} is no readable CSV or Parquet table ({reason}).") from error
