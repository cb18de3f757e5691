"""Targets, firmware profiles and other TOML files that are data: where they lie and how they are read.

A kind of data is a folder of ``*.toml``; a file's stem is its id. Three places are looked at, and a file in an earlier
one hides those of the same id in later ones, whole:

1. the project: ``PROJECT/<kind>/*.toml`` (beside ``lading.toml`` and ``devices.toml``);
2. the user: ``<configuration folder>/<kind>/*.toml``, on Linux ``~/.config/lading/<kind>``;
3. shipped: ``lading/data/<kind>/*.toml`` in the wheel, or the top-level ``<kind>/`` of the source tree.

Every file begins with ``schema = 1``. Keys that start with ``x-`` are ignored, other unknown keys are refused.
"""

from __future__ import annotations

import functools
import pickle
import re
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from lading import names
from lading.errors import DataFileError
from lading.files import open_regular
from lading.units import Size, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Origin = Literal["project", "user", "shipped"]

MOST_BYTES: Final = 1024 * 1024
"""A data file is never longer than this."""

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What the stem of a data file, and the name of a device, may look like."""

T = TypeVar("T")

Skipped: TypeAlias = "Callable[[DataFileError], None]"
"""Is told of a file that cannot be used, where one bad file is no reason not to go on with the others."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Base of the tables in data files: keys are written ``like-this``, unknown ones are refused.

    mypy wants ``frozen=True`` said again in each subclass.
    """


@dataclass(frozen=True)
class DataFile:
    """One file of a kind of data: its id, where it is and who put it there."""

    id: str
    path: Path
    origin: Origin


def user_config_dir() -> Path:
    """The folder of the user's own configuration (``devices.toml``, ``targets/``, ``firmware_profiles/``)."""
    import platformdirs

    return Path(platformdirs.user_config_dir("lading", appauthor=False))


def user_state_dir() -> Path:
    """The folder where emulated devices keep what they hold."""
    import platformdirs

    return Path(platformdirs.user_state_dir("lading", appauthor=False))


def user_cache_dir() -> Path:
    """The folder of what can be had again (``engines/``)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lading", appauthor=False))


def shipped_dir(kind: str) -> Path:
    """The folder of the files that come with lading."""
    package = Path(__file__).resolve().parent
    installed = package / "data" / kind
    return installed if installed.is_dir() else package.parent.parent / kind


def search(kind: str, project_dir: Path | None = None) -> dict[str, DataFile]:
    """Every file of a kind by its id, in order of ids; the project's hide the user's, the user's the shipped ones.

    Files whose names cannot be ids are not among them: see :func:`misnamed`.
    """
    found: dict[str, DataFile] = {}
    for files in reversed(layers(kind, project_dir).values()):
        found.update(files)
    return dict(sorted(found.items()))


def layers(kind: str, project_dir: Path | None = None) -> dict[Origin, dict[str, DataFile]]:
    """The files of a kind at each place, hidden ones too; the place that hides the others comes first."""
    return {
        origin: {path.stem: DataFile(path.stem, path, origin) for path in _tomls(folder) if ID.fullmatch(path.stem)}
        for origin, folder in _places(kind, project_dir).items()
    }


def misnamed(kind: str, project_dir: Path | None = None) -> list[DataFileError]:
    """What is wrong with the files of a kind that nobody can ask for, because their names cannot be ids."""
    folders = _places(kind, project_dir).values()
    return [_misnamed(path, kind) for folder in folders for path in _tomls(folder) if not ID.fullmatch(path.stem)]


def _misnamed(path: Path, kind: str) -> DataFileError:
    return DataFileError(
        f"{path}: '{path.stem}' cannot be the name of a {kind} file",
        remedy="rename it: letters, digits, '.', '_' and '-', starting with a letter or digit, at most 63",
        details={"file": str(path), "key": ""},
    )


def tell_misnamed(kind: str, project_dir: Path | None, skipped: Skipped | None) -> None:
    """Tell of the files whose names cannot be ids.

    Raises:
        DataFileError: there is one, and nobody wants to be told.
    """
    for error in misnamed(kind, project_dir):
        if skipped is None:
            raise error
        skipped(error)


def usable(files: Iterable[DataFile], read: Callable[[DataFile], T], skipped: Skipped | None) -> dict[str, T]:
    """What each file says, by its id.

    Args:
        files: of one kind.
        read: how one of them is read.
        skipped: is told of each file that cannot be used; None: the first such file is an error.

    Raises:
        DataFileError: a file cannot be used, and nobody wants to be told.
    """
    found: dict[str, T] = {}
    for file in files:
        try:
            found[file.id] = read(file)
        except DataFileError as error:
            if skipped is None:
                raise
            skipped(error)
    return found


def data_file(path: Path, kind: str, otherwise: Origin) -> DataFile:
    """A file that was named by its path; one that came with lading is known as such.

    Raises:
        DataFileError: its name cannot be an id.
    """
    if not ID.fullmatch(path.stem):
        raise _misnamed(path, kind)
    return DataFile(path.stem, path, "shipped" if path.resolve().parent == shipped_dir(kind).resolve() else otherwise)


def _places(kind: str, project_dir: Path | None) -> dict[Origin, Path]:
    shipped = shipped_dir(kind)
    places: dict[Origin, Path] = {} if project_dir is None else {"project": project_dir / kind}
    places["user"] = user_config_dir() / kind
    # In lading's own source tree, the project's folder is the one that is shipped.
    own: dict[Origin, Path] = {origin: at for origin, at in places.items() if at.resolve() != shipped.resolve()}
    return {**own, "shipped": shipped}


def _tomls(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []


def load(path: Path, into: type[T], *, schema: int = 1) -> T:
    """Read a data file.

    Args:
        path: the TOML file.
        into: a msgspec Struct type (see :class:`Table`) that describes it; its first field is ``schema: int``.
        schema: the highest schema number that this version of lading knows.

    Raises:
        DataFileError: names file, key, cause and remedy.
    """
    return decode(read_toml(path), into, where=str(path), schema=schema)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's TOML as it stands.

    Raises:
        DataFileError: it cannot be read, is too long, is not UTF-8 or not TOML.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataFileError(
            f"{path}: cannot be read: {error.strerror or error}", remedy="check the path and its permissions"
        ) from error
    if len(raw) > MOST_BYTES:
        raise DataFileError(f"{path}: is longer than {MOST_BYTES} bytes", remedy="is it the right file?")
    try:
        parsed = _parsed(raw)
    except UnicodeDecodeError as error:
        raise DataFileError(
            f"{path}: is not UTF-8 text (byte {error.start})", remedy="save it as UTF-8; is it the right file?"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise DataFileError(f"{path}: is not TOML: {error}", remedy="correct the syntax at that place") from error
    except ValueError as error:  # a number of thousands of digits
        raise DataFileError(f"{path}: cannot be read: {error}", remedy="is it the right file?") from error
    except RecursionError as error:
        raise DataFileError(f"{path}: is nested too deeply", remedy="is it the right file?") from error
    document: dict[str, Any] = pickle.loads(parsed)  # noqa: S301 - our own pickle, made a moment ago
    return document


@functools.lru_cache(maxsize=128)
def _parsed(raw: bytes) -> bytes:
    """A document, pickled: files that extend each other are read many times, and readers may change what they got."""
    return pickle.dumps(tomllib.loads(raw.decode()))


_ONE_AT_A_TIME = threading.RLock()
"""msgspec prepares a type when it first meets it, and two threads that do so at once may crash the process."""


@functools.lru_cache
def _shape(into: type[Any]) -> Any:
    """What a type looks like: to find out takes longer than to read a document."""
    return msgspec.inspect.type_info(into)


def decode(document: Mapping[str, Any], into: type[T], *, where: str, schema: int = 1) -> T:
    """A document as a value of ``into``; ``where`` is what messages call it (usually the file's path).

    Raises:
        DataFileError: names place, key, cause and remedy.
    """
    check_schema(document, where=where, schema=schema)
    try:
        with _ONE_AT_A_TIME:
            shape = _shape(into)  # type: ignore[arg-type]  # a type is hashable
            known = _without_vendor_keys(dict(document), shape, "", where)
            try:
                return msgspec.convert(known, into, dec_hook=_convert_own)
            except msgspec.ValidationError as error:
                cause, key = _cause_and_key(error)
                raise invalid(where, _named(known, into, key), cause, remedy=_remedy(shape, key, cause)) from error
    except RecursionError as error:
        raise DataFileError(f"{where}: is nested too deeply", remedy="is it the right file?") from error


def check_schema(document: Mapping[str, Any], *, where: str, schema: int = 1) -> None:
    """Refuse a document whose schema number is missing, or higher than ``schema``.

    Raises:
        DataFileError: names place, cause and remedy.
    """
    number = document.get("schema")
    if isinstance(number, bool) or not isinstance(number, int):
        raise DataFileError(
            f"{where}: schema: " + ("is missing" if number is None else f"is not a number: {number!r}"),
            remedy=f"begin the file with 'schema = {schema}'",
            details={"file": where, "key": "schema"},
        )
    if not 1 <= number <= schema:
        raise DataFileError(
            f"{where}: schema {number} is not known to this version of lading, which reads "
            + (f"1 to {schema}" if schema > 1 else "schema 1"),
            remedy="update lading" if number > schema else f"write 'schema = {schema}'",
            details={"file": where, "key": "schema"},
        )


def _cause_and_key(error: msgspec.ValidationError) -> tuple[str, str]:
    cause, _, key = str(error).rpartition(" - at `$")
    if not cause:
        cause, key = str(error), ""
    plain = re.sub(r"^Invalid enum value (.*)", r"\1 is not known here", cause.replace("`", "'"))
    return plain[:1].lower() + plain[1:], key.rstrip("`").lstrip(".")


_IN_TOML = {
    "str": "write it in quotes",
    "int": "write a whole number, without quotes",
    "float": "write a number, without quotes",
    "bool": "write true or false, without quotes",
    "array": "write a list in square brackets",
    "object": "write a table of KEY = VALUE",
}
"""How the types that messages name are written down."""


def _remedy(shape: msgspec.inspect.Type, key: str, cause: str) -> str:
    choices = _choices(shape, re.findall(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+", key))
    if choices:
        return f"known are {', '.join(choices)}"
    wanted = re.match(r"expected '(\w+)', got", cause)
    return _IN_TOML.get(wanted[1], "correct the value") if wanted else "correct the value"


def _choices(shape: msgspec.inspect.Type, path: list[str]) -> list[str]:
    """The values that may stand at ``path``, where they can be counted."""
    inspect = msgspec.inspect
    if isinstance(shape, inspect.Metadata):
        return _choices(shape.type, path)
    if isinstance(shape, inspect.UnionType):
        return [choice for member in shape.types for choice in _choices(member, path)]
    if not path:
        if isinstance(shape, inspect.LiteralType):
            return [str(value) for value in shape.values]
        return [str(member.value) for member in shape.cls] if isinstance(shape, inspect.EnumType) else []
    head, *rest = path
    if isinstance(shape, inspect.StructType):
        return next((_choices(field.type, rest) for field in shape.fields if field.encode_name == head), [])
    if isinstance(shape, inspect.DictType):
        return _choices(shape.value_type, rest)
    if isinstance(shape, inspect.ListType | inspect.VarTupleType | inspect.SetType):
        return _choices(shape.item_type, rest)
    return []


def _named(document: dict[str, Any], into: type, key: str) -> str:
    """A key that msgspec writes as ``device[...].address`` with the name that stood for the dots."""
    head, dots, _ = key.partition("[...]")
    if not dots:
        return key
    holder: Any = document
    *above, last = [int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", head)]
    try:
        for part in above:
            holder = holder[part]
        table = holder[last]
        for name, item in table.items():
            holder[last] = {name: item}
            try:
                msgspec.convert(document, into, dec_hook=_convert_own)
            except msgspec.ValidationError as error:
                found = _cause_and_key(error)[1]
                return _named(document, into, found.replace("[...]", f".{name}", 1))
    except (LookupError, TypeError, AttributeError):
        pass
    return key


def invalid(where: str, key: str, cause: str, *, remedy: str) -> DataFileError:
    """The error for one key of a data file; owners of a schema use it for rules that types cannot say."""
    place = f"{where}: {key}" if key else where
    return DataFileError(f"{place}: {cause}", remedy=remedy, details={"file": where, "key": key})


def to_builtins(table: msgspec.Struct) -> Any:
    """The table as dicts, lists, text and numbers, with the keys of its file; sizes are numbers of bytes."""
    return msgspec.to_builtins(table, enc_hook=_plain_number)


def _plain_number(value: object) -> object:
    if isinstance(value, Size):
        return int(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in a document")


def _convert_own(kind: type, value: object) -> object:
    if kind is Size:
        if not isinstance(value, str | int):
            raise ValueError("a size is a number of bytes or text such as '512MiB'")
        return parse_size(value)
    raise NotImplementedError(f"no conversion to {kind.__name__}")


def _without_vendor_keys(value: Any, shape: msgspec.inspect.Type, key: str, where: str) -> Any:
    """``value`` without its ``x-`` keys, wherever ``shape`` expects a table of named fields; refuses unknown keys."""
    if isinstance(shape, msgspec.inspect.Metadata):
        return _without_vendor_keys(value, shape.type, key, where)
    if isinstance(shape, msgspec.inspect.UnionType):
        return _without_vendor_keys(value, _chosen(value, shape), key, where)
    if isinstance(value, dict):
        if isinstance(shape, msgspec.inspect.StructType):
            return _clean_struct(value, shape, key, where)
        if isinstance(shape, msgspec.inspect.DictType):
            return {
                k: _without_vendor_keys(v, shape.value_type, f"{key}.{k}".lstrip("."), where) for k, v in value.items()
            }
    if isinstance(value, list) and isinstance(
        shape, msgspec.inspect.ListType | msgspec.inspect.VarTupleType | msgspec.inspect.SetType
    ):
        return [_without_vendor_keys(v, shape.item_type, f"{key}[{i}]", where) for i, v in enumerate(value)]
    return value


def _chosen(value: Any, shape: msgspec.inspect.UnionType) -> msgspec.inspect.Type:
    """The member of a union that a value is meant for; ``Any`` where nothing can be said."""
    if isinstance(value, dict):
        structs = [t for t in shape.types if isinstance(t, msgspec.inspect.StructType)]
        for struct in structs:
            if len(structs) == 1 or (struct.tag_field and value.get(struct.tag_field) == struct.tag):
                return struct
        tables: tuple[type, ...] = (msgspec.inspect.DictType,)
    else:
        tables = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType, msgspec.inspect.SetType)
    return next((t for t in shape.types if isinstance(t, tables)), msgspec.inspect.AnyType())


def _clean_struct(value: dict[str, Any], shape: msgspec.inspect.StructType, key: str, where: str) -> dict[str, Any]:
    fields = {field.encode_name: field.type for field in shape.fields}
    allowed = {*fields, shape.tag_field} if shape.tag_field else set(fields)
    clean: dict[str, Any] = {}
    for name, item in value.items():
        place = f"{key}.{name}".lstrip(".")
        if name in fields:
            clean[name] = _without_vendor_keys(item, fields[name], place, where)
        elif name in allowed:
            clean[name] = item
        elif not name.startswith("x-"):
            close = names.near(name, allowed)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise invalid(
                where,
                place,
                "unknown key",
                remedy=f"{hint}known here: {', '.join(sorted(allowed))} (keys of your own start with 'x-')",
            )
    return clean
