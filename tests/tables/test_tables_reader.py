"""Tables of text of any origin are read with their names, rows and gaps."""

import bz2
import gzip
import io
import lzma
import warnings
import zipfile

import numpy as np
import polars as pl
import pytest

from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.tables.reader import read_table, read_text_table

ROWS = np.random.default_rng(0).normal(size=(30, 3))
RNG_ROWS = np.random.default_rng(1).uniform(1, 9, (30, 3)).round(3)
ABC, NUMBERED = ("a", "b", "c"), ("0", "1", "2")


def lines(delimiter=",", write=repr, rows=ROWS):
    return "\n".join(delimiter.join(write(float(v)) for v in row) for row in rows)


def comma(value):
    return repr(value).replace(".", ",")


def beside(fields, delimiter=","):
    """Each row with one of the fields before it."""
    rows = lines(delimiter).split("\n")
    return "\n".join(f"{a}{delimiter}{b}" for a, b in zip(fields, rows, strict=True))


LAYOUTS = {
    "names": ("a,b,c\n" + lines(), ABC),
    "no names": (lines(), NUMBERED),
    "a delimiter in a quoted name": ('"l, mm",b,c\n' + lines(), ("l, mm", "b", "c")),
    "two lines in a quoted name": ('"l\n(mm)",b,c\n' + lines(), ("l (mm)", "b", "c")),
    "spaces in names": ("l mm;b;c\n" + lines(";"), ("l mm", "b", "c")),
    "numbers from 0 as names": ("0,1,2\n" + lines(), NUMBERED),
    "years as names": ("2001,2002,2003\n" + lines(), ("2001", "2002", "2003")),
    "names twice": ("a,a,a.1\n" + lines(), ("a", "a.1", "a.1.1")),
    "a name missing": ("a,,c\n" + lines(), ("a", "1", "c")),
    "savetxt with commas": ("# a,b,c\n" + lines(), ABC),
    "savetxt with spaces": ("# a b c\n" + lines(" "), ABC),
    "Matlab's comments": ("% a b c\n" + lines(" "), ABC),
    "comments": ("# by me\n#\n\na,b,c\n" + lines().replace("\n", "\n# so\n\n", 4), ABC),
    "notes behind rows": ("a b c\n" + lines(" ").replace("\n", " # so\n", 2), ABC),
    "Excel's sep": ("sep=;\na;b;c\n" + lines(";"), ABC),
    "semicolons and decimal commas": ("a;b;c\n" + lines(";", comma), ABC),
    "tabs and decimal commas": ("a\tb\tc\n" + lines("\t", comma), ABC),
    "spaces and decimal commas": (lines(" ", comma), NUMBERED),
    "quoted decimal commas": ("a,b,c\n" + lines(",", lambda v: f'"{comma(v)}"'), ABC),
    "bars": ("a|b|c\n" + lines("|"), ABC),
    "many spaces": (" a  b  c\n  " + lines("   ").replace("\n", "  \n  "), ABC),
    "comma and space": ("a, b, c\n" + lines(", "), ABC),
    "data frame's index": (",a,b,c\n" + beside(range(30)), ABC),
    "shuffled index": (",a,b,c\n" + beside(reversed(range(30))), ABC),
    "R's names of rows": ("a b c\n" + beside((f'"r{i}"' for i in range(30)), " "), ABC),
    "a delimiter behind all": ("a,b,c,\n" + lines().replace("\n", ",\n") + ",", ABC),
    "a delimiter behind rows": ("a,b,c\n" + lines().replace("\n", ",\n") + ",", ABC),
    "empty rows at the end": ("a,b,c\n" + lines() + "\n,,\n,,\n\n", ABC),
    "typographic minus": ("a,b,c\n" + lines().replace("-", "\u2212"), ABC),
    "CRLF": (("a,b,c\n" + lines()).replace("\n", "\r\n"), ABC),
    "CR": (("a,b,c\n" + lines()).replace("\n", "\r"), ABC),
    "byte order mark": ("\ufeffa,b,c\n" + lines(), ABC),
    "UTF-16": (("ä,b,c\n" + lines()).encode("utf-16"), ("ä", "b", "c")),
    "UTF-16 without mark": (("a,b,c\n" + lines()).encode("utf-16-be"), ABC),
    "Latin-1": (("ä,b,c\n" + lines()).encode("latin-1"), ("ä", "b", "c")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_text_gives_the_same_rows(layout):
    text, columns = LAYOUTS[layout]
    data = text if isinstance(text, bytes) else text.encode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is taken for names")
        table = read_text_table("a.csv", data)
    assert table.columns == columns
    np.testing.assert_array_equal(table.numbers(table.places(None)), ROWS)


def test_every_kind_of_file_gives_the_same_table(tmp_path):
    text = ("a,b,c\n" + lines()).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("set.csv", text)
    packed = {
        ".gz": gzip.compress(text),
        ".bz2": bz2.compress(text),
        ".xz": lzma.compress(text),
        ".zip": archive.getvalue(),
    }
    for suffix, data in packed.items():
        (tmp_path / f"set.csv{suffix}").write_bytes(data)
    frame = pl.DataFrame(ROWS, schema=list(ABC))
    frame.write_parquet(tmp_path / "set.parquet")
    for path in tmp_path.iterdir():
        table = read_table(path.name, lambda path=path: path.open("rb"))["rows"]
        assert table.columns == ABC
        np.testing.assert_array_equal(table.numbers([0, 1, 2]), ROWS)
    (tmp_path / "set.csv.gz").write_bytes(packed[".gz"][:50])
    with pytest.raises(UserError, match="damaged archive"):
        load_vectors("vectors", path=tmp_path / "set.csv.gz")


def test_columns_of_lists_and_bytes_are_named(tmp_path):
    path = tmp_path / "set.parquet"
    columns = {"x": [1.0, 2.0], "list": [[1.0], [2.0, 3.0]], "raw": [b"a", b"b"]}
    pl.DataFrame(columns).write_parquet(path)
    table = read_table(path.name, lambda: path.open("rb"))["rows"]
    assert table.numbers([0]).tolist() == [[1.0], [2.0]]
    assert table.texts(1) == ["[1.0]", "[2.0, 3.0]"]
    with pytest.raises(UserError, match=r"column list holds lists.*data.drop=list,raw"):
        table.numbers([0, 1, 2])


def test_the_first_line_is_names_if_the_person_says_so():
    text = b"1,2\n3,4\n5,6\n"
    for header, rows in {"auto": 3, "no": 3, "yes": 2}.items():
        table = read_text_table("a.csv", text, header)
        assert len(table) == rows
        assert table.columns == (("1", "2") if header == "yes" else ("0", "1"))
    wave = ",".join(f"{400.5 + i}" for i in range(10)) + "\n"
    rows = np.random.default_rng(1).normal(size=(9, 10))
    with pytest.warns(UserWarning, match="taken for names of columns.*data.header=no"):
        assert len(read_text_table("a.csv", (wave + lines(rows=rows)).encode())) == 9
    assert len(read_text_table("a.csv", (wave + lines(rows=rows)).encode(), "no")) == 10


def test_thousands_of_columns_are_read_at_once():
    wide = np.arange(4000.0)[None] + np.random.default_rng(0).normal(size=(20, 4000))
    names = ",".join(f"c{i}" for i in range(4000))
    table = read_text_table("a.csv", f"{names}\n{lines(rows=wide)}".encode())
    np.testing.assert_array_equal(
        table.numbers(table.places("c10:c3990")), wide[:, 10:3991]
    )


NUMBERS = {
    "thousands": ('a\n"1,234.5"\n"1,234,567"\n', [1234.5, 1234567]),
    "German thousands": ("a;b\n1.234,5;1\n1.234.567,25;1\n", [1234.5, 1234567.25]),
    "truth values": ("a,b\nTrue,1\nfalse,1\n", [1, 0]),
    "exponents": ("a,b\n+1.5E+05,1\n.5e-3,1\n", [1.5e5, 5e-4]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_are_read_as_people_write_them(kind):
    text, expected = NUMBERS[kind]
    table = read_text_table("a.csv", text.encode(), "yes")
    assert table.numbers([0])[:, 0].tolist() == expected


COLUMNS = {
    "a name": ("b", [1]),
    "a number": (2, [2]),
    "a number as text": ("2", [2]),
    "from the end": (-1, [5]),
    "a list": (["a", 2], [0, 2]),
    "a list as text": ("c, a", [2, 0]),
    "a list in a list": (("a,b",), [0, 1]),
    "a range": ("1:3", [1, 2]),
    "an open range": ("3:", [3, 4, 5]),
    "a range with its end": ("1-3", [1, 2, 3]),
    "a range of names": ("b:7", [1, 2, 3]),
    "a name with a comma": ("l, mm", [4]),
    "a quoted name in a list": ('"l, mm",a', [4, 0]),
    "a name that is a number": (7, [3]),
    "a name that looks like a range": ("0-1", [5]),
    "one twice": ("a,0,a", [0]),
}


@pytest.mark.parametrize("way", COLUMNS)
def test_columns_are_named_in_any_way(way):
    wanted, places = COLUMNS[way]
    head = 'a,b,c,7,"l, mm",0-1\n'
    text = head + lines(rows=np.random.default_rng(0).normal(size=(9, 6)))
    assert read_text_table("a.csv", text.encode()).places(wanted) == places


UNUSABLE = {
    "dates": (beside(f"2020-01-{i + 1:02}" for i in range(30)), "holds dates .*drop=d"),
    "times": (beside(f"12:{i + 1:02}" for i in range(30)), "holds dates .*drop=d"),
    "classes": (beside("MFI" * 10), "the classes F, I, M .*labels=d or data.context=d"),
    "text": (beside(f'"n {i}, jr"' for i in range(30)), "text .'n 0, jr' in line 2"),
    "units": (
        beside(["5 kg", *map(str, range(29))]),
        "numbers and text .'5 kg' in line 2",
    ),
    "a question mark": (
        beside(["?", *map(str, range(29))]),
        "d in 1 of 30 rows .line 2",
    ),
    "nothing": (beside(["", *map(str, range(29))]), "missing=drop"),
    "nan": (beside(["nan", *map(str, range(29))]), "missing values"),
    "a row too short": (beside(range(30)) + "\n1,2", "2 fields in line 32 where other"),
    "a row too long": (beside(range(30)) + "\n1,2,3,4,5", "5 fields in line 32"),
    "bare decimal commas": (
        lines(write=comma, rows=RNG_ROWS),
        "4 names for 6 columns; .*decimal comma",
    ),
    "no rows": ("", "names of columns and no rows"),
    "a workbook": (b"\xd0\xcf\x11\xe0" * 9, "Excel workbook; save"),
    "bytes": (b"\0\1\2" * 99, "no text"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_columns_are_named_with_a_remedy(kind, tmp_path):
    text, sentence = UNUSABLE[kind]
    data = text if isinstance(text, bytes) else f"d,a,b,c\n{text}".encode()
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(UserError, match=sentence):
        load_vectors("vectors", path=tmp_path / "a.csv", test=0.3)


def test_columns_of_one_name_are_renamed_aloud():
    text = b"a,b,a\n" + lines(rows=np.arange(12.0).reshape(4, 3)).encode()
    with pytest.warns(UserWarning, match=r"columns of the same name; .* called a\.1"):
        table = read_text_table("t.csv", text)
    assert table.columns == ("a", "b", "a.1")
    with pytest.raises(UserError, match="no column True"):
        table.places(True)


def test_names_that_rows_do_not_share_are_no_context(tmp_path):
    names = beside(f"n{i}" for i in range(30))
    (tmp_path / "a.csv").write_text("d,a,b,c\n" + names)
    with pytest.raises(UserError, match=r"column d .* takes 30 values in 30 rows"):
        load_vectors("vectors", path=tmp_path / "a.csv", context="d")


def test_rows_with_gaps_can_be_left_out(tmp_path):
    fields = ["?", "1.5", "", *(f"{i}.25" for i in range(27))]
    (tmp_path / "a.csv").write_text("d,a,b,c\n" + beside(fields))
    options = {
        "path": tmp_path / "a.csv",
        "missing": "drop",
        "validation": 0,
        "test": 5,
    }
    data = load_vectors("vectors", **options)
    assert len(data.train) == 23 and "without 2 rows" in data.source
    # Of a column that is not used nothing is missing.
    assert len(load_vectors("vectors", **options, drop="d").train) == 25


LABELS = {
    "letters": (["M", "F", "I"], ("F", "I", "M")),
    "long numbers": ([1000001, 1000002, 1000003], ("1000001", "1000002", "1000003")),
    "leading zeros": (["01", "02", "10"], ("01", "02", "10")),
    "whole floats": (["1.0", "2.0", "10.0"], ("1", "2", "10")),
    "none is a name": (["none", "mild", "high"], ("high", "mild", "none")),
    "dollars": (["$", "$$", "a b"], ("$", "$$", "a b")),
}


@pytest.mark.parametrize("kind", LABELS)
def test_classes_have_the_names_that_the_table_gives_them(kind, tmp_path):
    written, names = LABELS[kind]
    (tmp_path / "a.csv").write_text("k,a,b,c\n" + beside(written * 10))
    data = load_vectors("vectors", path=tmp_path / "a.csv", labels="0")
    assert data.context.classes == names and data.columns == ABC
    held_out = load_vectors(
        "vectors", path=tmp_path / "a.csv", labels="k", held_out=names[0]
    )
    assert held_out.context.classes == names[1:] and len(held_out.outside) == 10


def test_a_rare_class_is_trained_on(tmp_path):
    (tmp_path / "a.csv").write_text("k,a,b,c\n" + beside(["r", *"pq" * 14, "q"]))
    for seed in range(8):
        options = {"path": tmp_path / "a.csv", "labels": "k", "seed": seed, "test": 0.4}
        data = load_vectors("vectors", **options)
        assert 2 in data.given["train"] and sum(data.counts.values()) == 30


def test_an_identifier_is_no_class(tmp_path):
    (tmp_path / "a.csv").write_text("k,a,b,c\n" + beside(f"id{i}" for i in range(30)))
    with pytest.raises(UserError, match="takes 30 values in 30 rows"):
        load_vectors("vectors", path=tmp_path / "a.csv", labels="k")
