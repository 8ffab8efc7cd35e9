"""Reads a Parquet file and writes its rows to standard output as an Arrow stream of texts.

Runs as a process of its own, by path and without the project, under limits it puts on itself: a
forged file can make a reader ask for many gigabytes or never end (apache/arrow#49955). Whatever
happens here, the importer lives on. Exit status 0: all rows written; 3: the reason stands on
standard error; anything else: the file killed it.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

ROWS = 8192
BAD_FILE = 3


def main(path: str, memory_bytes: str, cpu_seconds: str) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, arrow_extensions_enabled=False)
        refuse_variants(file.schema_arrow)
        columns = [(each.name, converter(each.type)) for each in file.schema_arrow]
        unreadable = [
            f"{each.name} ({each.type})"
            for each in file.schema_arrow
            if converter(each.type) is None
        ]
        if unreadable:
            raise ValueError(f"columns of a type that no bill has: {', '.join(unreadable)}")
        floats = [each.name for each in file.schema_arrow if pa.types.is_floating(each.type)]
        schema = pa.schema(
            [(name, pa.string()) for name, _ in columns], metadata={"floats": json.dumps(floats)}
        )
        with pa.ipc.new_stream(sys.stdout.buffer, schema) as out:
            for batch in file.iter_batches(batch_size=ROWS, use_threads=False):
                texts = [
                    convert(array)
                    for (_, convert), array in zip(columns, batch.columns, strict=True)
                ]
                cleaned, nuls = cleaned_of_nul(texts)
                out.write_batch(
                    pa.record_batch(cleaned, schema=schema), custom_metadata={"nuls": str(nuls)}
                )
    except (pa.ArrowException, ValueError, OSError, MemoryError, OverflowError) as error:
        named = "" if type(error) is ValueError else f"{type(error).__name__}: "
        sys.stderr.write(f"{named}{error}"[:500])
        return BAD_FILE
    return 0


def refuse_variants(schema: Any) -> None:
    """Raises ValueError for columns of the type VARIANT: their bytes are a format of its own."""
    import pyarrow as pa

    found = [
        each.name
        for each in schema
        if pa.types.is_struct(each.type)
        and each.type.num_fields > 1
        and [each.type.field(n).name for n in range(2)] == ["metadata", "value"]
        and pa.types.is_binary(each.type.field(0).type)
    ]
    if found:
        raise ValueError(
            f"{', '.join(found)} is of the type VARIANT, which is not read; write it as JSON text, "
            "a map or a struct"
        )


def converter(kind: Any) -> Any:
    """The function that turns an array of this type into texts as a FOCUS CSV would have them; None
    for other types.
    """
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return converter(kind.value_type) and (
            lambda array: converter(kind.value_type)(array.dictionary_decode())
        )
    if isinstance(kind, pa.BaseExtensionType):  # JSON, for one
        inner = converter(kind.storage_type)
        return inner and (lambda array: inner(array.storage))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return as_text
    # Writers that do not say that their bytes are text.
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_null(kind):
        return as_text
    if (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_boolean(kind)
    ):
        return as_text
    if types.is_timestamp(kind):
        return timestamps
    if types.is_date(kind):
        return dates
    if types.is_map(kind) or types.is_struct(kind) or types.is_list(kind):
        return as_json
    return None


def as_text(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = array.cast(pa.string())
    texts.validate(full=True)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def timestamps(array: Any) -> Any:
    """ISO 8601; with a Z only where the file says that the instants are UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zoned = array.type.tz is not None
    instants = array.cast(pa.int64()).cast(pa.timestamp(array.type.unit))
    return pc.binary_join_element_wise(
        pc.strftime(instants, "%Y-%m-%dT%H:%M:%S"), "Z" if zoned else "", ""
    )


def dates(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(array.cast(pa.date32()).cast(pa.string()), "T00:00:00", "")


def as_json(array: Any) -> Any:
    import pyarrow as pa

    is_map = pa.types.is_map(array.type)
    return pa.array(
        [
            None if each is None else json.dumps(dict(each) if is_map else each, default=str)
            for each in array.to_pylist()
        ],
        pa.string(),
    )


def cleaned_of_nul(texts: list[Any]) -> tuple[list[Any], int]:
    """PostgreSQL holds no NUL: it becomes U+FFFD, counted."""
    import pyarrow.compute as pc

    cleaned, nuls = [], 0
    for array in texts:
        found = pc.sum(pc.count_substring(array, "\0")).as_py() or 0
        cleaned.append(pc.replace_substring(array, "\0", "\ufffd") if found else array)
        nuls += found
    return cleaned, nuls


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
