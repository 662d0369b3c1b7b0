"""Pictures and tables that a user brings: read right, or refused with where the fault is."""

import numpy as np
import pytest
import torch
from PIL import Image

from uninv_lib import Spec, data, run
from uninv_lib.data import folder


def image_folder(root, shapes=((6, 6), (6, 6), (6, 6), (6, 6)), classes=("a", "b")):
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i, shape in enumerate(shapes):
            Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(
                root / name / f"{i}.png"
            )
    return root


def test_an_image_folder_is_cut_in_three(tmp_path):
    found = data.load(f"imagefolder:{image_folder(tmp_path / 'x')}")
    assert found.input_shape == (3, 6, 6)
    assert found.class_names == ("a", "b")
    assert (len(found.public), len(found.private), len(found.test)) == (4, 2, 2)


def test_an_image_folder_with_train_and_test_keeps_them_apart(tmp_path):
    image_folder(tmp_path / "train", shapes=[(6, 6)] * 5)
    image_folder(tmp_path / "test")
    found = data.load(f"imagefolder:{tmp_path}")
    assert (len(found.public), len(found.private), len(found.test)) == (8, 2, 8)


def test_a_bad_image_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        data.load(f"imagefolder:{tmp_path / 'nowhere'}")
    with pytest.raises(ValueError, match="allowed: two or more"):
        data.load(f"imagefolder:{image_folder(tmp_path / 'one', classes=('a',))}")
    with pytest.raises(ValueError, match=r"4 images in .*; allowed: 5 or more"):
        data.load(f"imagefolder:{image_folder(tmp_path / 'few', shapes=((6, 6), (6, 6)))}")
    with pytest.raises(ValueError, match="resize all images to one size"):
        data.load(f"imagefolder:{image_folder(tmp_path / 'odd', shapes=((6, 6), (6, 7)))}")
    broken = image_folder(tmp_path / "broken")
    (broken / "a" / "0.png").write_text("no picture")
    with pytest.raises(ValueError, match="is not an image; remove it"):
        data.load(f"imagefolder:{broken}")


def test_what_was_edited_is_read_again_and_what_was_removed_is_missed(tmp_path):
    file = tmp_path / "x.csv"
    rows = [f"{i},{i % 2}" for i in range(20)]
    file.write_text("\n".join(["a,y", *rows]))
    name = f"csv:{file}"
    first = data.load(name)
    assert data.load(name) is first
    file.write_text("\n".join(["a,y", *rows, *(f"{100 + i},{i % 2}" for i in range(20))]))
    assert len(data.load(name).public) > len(first.public)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        data.load(name)


def test_train_and_test_have_pictures_of_one_shape(tmp_path):
    image_folder(tmp_path / "train", shapes=((6, 6),) * 8)
    image_folder(tmp_path / "test", shapes=((7, 7),) * 4)
    with pytest.raises(ValueError, match=r"\(3, 7, 7\); allowed: \(3, 6, 6\), as in train"):
        data.load(f"imagefolder:{tmp_path}")


def folder_of(root, image, name="0.png", **options):
    """A folder of two classes, in which every image is this one."""
    for kind in "ab":
        (root / kind).mkdir(parents=True)
        for i in range(4):
            image.save(root / kind / f"{i}{name}", **options)
    return f"imagefolder:{root}"


RAMP = np.linspace(0, 1, 36).reshape(6, 6)
GREY = {
    "one bit": (Image.fromarray(RAMP > 0.5), "x.png", (RAMP > 0.5) * 1.0),
    "8 bits": (Image.fromarray((255 * RAMP).astype(np.uint8)), "x.png", RAMP),
    "8 bits, opaque": (Image.fromarray((255 * RAMP).astype(np.uint8)).convert("LA"), "x.png", RAMP),
    "16 bits": (Image.fromarray((65535 * RAMP).astype(np.uint16)), "x.png", RAMP),
    "16 bits of TIFF": (Image.fromarray((65535 * RAMP).astype(np.uint16)), "x.tif", RAMP),
    "16 bits as 32": (Image.fromarray((65535 * RAMP).astype(np.uint16)), "x.pgm", RAMP),
    "floats": (Image.fromarray(RAMP.astype(np.float32)), "x.tiff", RAMP),
}


@pytest.mark.parametrize("kind", GREY)
def test_grey_is_scaled_by_its_depth(tmp_path, kind):
    image, name, expected = GREY[kind]
    found = data.load(folder_of(tmp_path, image, name))
    assert found.input_shape == (1, 6, 6)
    assert found.public.inputs[0, 0].numpy() == pytest.approx(expected, abs=1 / 255)


def test_twelve_bits_of_a_tiff_are_twelve(tmp_path):
    image = Image.fromarray((4095 * RAMP).astype(np.uint16))
    image.save(tmp_path / "x.tif")
    with Image.open(tmp_path / "x.tif") as found:
        found.tag_v2[folder.BITS_PER_SAMPLE] = (12,)
        assert folder._pixels(found) == pytest.approx(RAMP, abs=1 / 4095)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "CMYK"])
def test_colour_is_three_channels_and_8_bits_are_what_they_were(tmp_path, mode):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).convert(mode)
    found = data.load(folder_of(tmp_path, image, "x.tif")).public.inputs[0]
    expected = np.array(image.convert("RGB"))
    assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1).float() / 255)


REFUSED = {
    "has integers of 32 bits": (Image.fromarray((1000 * RAMP).astype(np.int32)), "x.tif"),
    "has floats from 0 to 9; allowed: from 0 to 1": (
        Image.fromarray((9 * RAMP).astype(np.float32)),
        "x.tif",
    ),
    "is transparent .alpha from 0 of 255": (Image.new("RGBA", (6, 6)), "x.png"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_pixels_without_a_scale_or_a_colour_are_refused_with_the_file_s_name(tmp_path, message):
    image, name = REFUSED[message]
    with pytest.raises(ValueError, match=rf"a/0{name} {message}"):
        data.load(folder_of(tmp_path, image, name))


@pytest.mark.parametrize("broken", ["cut short", "empty", "no picture", "a folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, broken):
    name = folder_of(tmp_path, GREY["16 bits"][0], "x.png")
    file = tmp_path / "a" / "0x.png"
    whole = file.read_bytes()
    file.unlink()
    if broken == "a folder":
        file.mkdir()
    else:
        contents = {"cut short": whole[:-40], "empty": b"", "no picture": b"no picture"}
        file.write_bytes(contents[broken])
    with pytest.raises(ValueError, match=r"a/0x\.png (is not an image|cannot be read)"):
        data.load(name)


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    name = folder_of(tmp_path, GREY["8 bits"][0], "x.png")
    expected = data.load(name)
    for folder_name in ("__MACOSX", ".git", "a/.thumbnails", "b/@eaDir"):
        (tmp_path / folder_name).mkdir()
        (tmp_path / folder_name / "x").touch()
    for file in (".DS_Store", "Thumbs.db", "desktop.ini", "a/.DS_Store", "a/Thumbs.db"):
        (tmp_path / file).touch()
    for file in ("b/desktop.ini", "b/._0x.png"):
        (tmp_path / file).touch()
    found = data.load(name)
    assert found.class_names == expected.class_names == ("a", "b")
    assert torch.equal(found.public.inputs, expected.public.inputs)


def test_train_and_test_have_the_same_classes(tmp_path):
    image_folder(tmp_path / "train")
    image_folder(tmp_path / "test", classes=("a", "c"))
    with pytest.raises(ValueError, match="dataset: b, c: in one of train and test"):
        data.load(f"imagefolder:{tmp_path}")


ROWS = [f"{i},{10 - i},3,{'no' if i % 2 else 'yes'}" for i in range(10)]


def csv_file(folder, *lines, header="age,height,same,ill", encoding="utf-8"):
    file = folder / "people.csv"
    file.write_text("\n".join([header, *lines]), encoding=encoding)
    return f"csv:{file}"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_is_scaled_and_cut_in_three(tmp_path, separator, encoding):
    header, *rows = (line.replace(",", separator) for line in ["age,height,same,ill", *ROWS])
    found = data.load(csv_file(tmp_path, *rows, "", header=header, encoding=encoding))
    assert (len(found.public), len(found.private), len(found.test)) == (5, 3, 2)
    assert (found.class_names, found.kind, found.input_shape) == (("no", "yes"), "table", (3,))
    every = torch.cat([s.inputs for s in (found.public, found.private, found.test)])
    labels = torch.cat([s.labels for s in (found.public, found.private, found.test)])
    age = (9 * every[:, 0]).round().int()
    assert sorted(age.tolist()) == list(range(10))
    assert torch.allclose(every[:, 1], 1 - every[:, 0])
    assert torch.equal(every[:, 2], torch.zeros(10))
    assert labels.tolist() == [1 - i % 2 for i in age.tolist()]


def test_the_class_of_a_table_may_stand_in_any_column(tmp_path):
    name = csv_file(tmp_path, *(f"{'ab'[i % 2]},{i}" for i in range(10)), header="kind,size")
    assert data.load(name, class_column="kind").class_names == ("a", "b")
    with pytest.raises(
        ValueError, match=r"class_column: unknown column 'kin'; did you mean 'kind'"
    ):
        data.load(name, class_column="kin")
    with pytest.raises(
        ValueError, match="column 'size': 10 classes in 10 rows; allowed: 2 or more"
    ):
        data.load(name)


def test_the_name_of_a_table_may_say_the_column_of_the_class(tmp_path):
    name = csv_file(tmp_path, *(f"{'ab'[i % 2]},{i}" for i in range(10)), header="kind,size")
    found = data.load(f"{name}?target=kind")
    assert found.class_names == ("a", "b")
    assert found.name == f"{name}?target=kind"
    data.load(f"{name}?target=kind", class_column="kind")
    with pytest.raises(ValueError, match="'size' beside target=kind; allowed: one"):
        data.load(f"{name}?target=kind", class_column="size")
    with pytest.raises(ValueError, match="unknown column 'kin'; did you mean 'kind'"):
        data.load(f"{name}?target=kin")


def test_a_table_of_an_earlier_version_is_read_by_its_new_name(tmp_path):
    name = csv_file(tmp_path, *ROWS)
    old = name.replace("csv:", "table:")
    spec = Spec(dataset=old, class_column="ill", model="linear")
    assert spec.dataset == name
    assert spec.class_column == "ill"
    assert torch.equal(data.load(old).public.inputs, data.load(name).public.inputs)


def rows_of(found):
    """Every row of a data set, sorted."""
    every = torch.cat([s.inputs for s in (found.public, found.private, found.test)])
    return sorted(every.tolist())


COLOURS = [f"{c},{i % 2},{'xy'[i % 2]}" for i, c in enumerate(["red", "blue", "red"] * 4)]


def test_categories_are_a_feature_each_by_their_sorted_values(tmp_path):
    found = data.load(csv_file(tmp_path, *COLOURS, header="colour,n,kind"))
    assert found.input_shape == (3,)  # blue, red, n
    assert rows_of(found) == sorted(
        [float("blue" in row), float("red" in row), float(row.split(",")[1])] for row in COLOURS
    )


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NaN", "?", "n/a", "null", " ? "])
def test_missing_values_are_refused_filled_or_a_category_of_their_own(tmp_path, cell):
    name = csv_file(tmp_path, *COLOURS, f"{cell},{cell},x", header="colour,n,kind")
    with pytest.raises(ValueError, match=r"(?s)missing values; .*row 14, column 'colour'"):
        data.load(name)
    filled = rows_of(data.load(name, missing="fill"))
    assert [0.0, 1.0, 0.5] in filled  # red is most frequent; the median
    assert len(filled[0]) == 3
    own = data.load(name, missing="category")
    assert own.input_shape == (5,)  # missing, blue, red; n, missing
    assert [1.0, 0.0, 0.0, 0.5, 1.0] in rows_of(own)


def test_a_column_without_any_value_is_refused(tmp_path):
    name = csv_file(tmp_path, *(f"{i},?,{'ab'[i % 2]}" for i in range(10)), header="a,b,c")
    with pytest.raises(ValueError, match=r"columns \['b'\]: no value at all; leave them out"):
        data.load(name, missing="fill")


@pytest.mark.parametrize("count", [64, 65])
def test_a_column_of_names_is_refused_by_its_own(tmp_path, count):
    rows = [f"p{i % count},{i},{'ab'[i % 2]}" for i in range(4 * count)]
    name = csv_file(tmp_path, *rows, header="person,n,kind")
    if count == 64:
        assert data.load(name).input_shape == (65,)
        return
    with pytest.raises(ValueError, match=r"column 'person': 65 categories in 260 rows; allowed"):
        data.load(name)


BAD_CELLS = {
    ",5,3,yes": r"missing values; .*\nrow 12, column 'age': nothing$",
    "7,NA,3,no": r"row 12, column 'height': NA$",
    "7,1,inf,no": r"allowed: finite numbers\nrow 12, column 'same': inf$",
    "7,tall,3,no": r"column 'height': 11 categories in 11 rows; .*\nrow 12, column 'height': tall$",
    "?,?,?,no\n?,?,?,no": r"row 12, column 'age': \?\nrow 13, column 'age': \?\n.*\nand 3 more$",
    "7,3,3,": "row 12, column 'ill': nothing: no class; allowed: a class in each row",
    "7,3,3,?": r"row 12, column 'ill': \?: no class; allowed: a class in each row",
    "7,3,yes": "row 12: 3 cells; allowed: 4, as in row 1",
    '"7\n",x,3,yes': r"row 12, column 'height': x$",
    "\n7,x,3,yes": r"row 13, column 'height': x$",
}


@pytest.mark.parametrize("lines", BAD_CELLS)
def test_a_cell_that_is_no_number_is_named_by_row_and_column(tmp_path, lines):
    with pytest.raises(ValueError, match=f"(?s)people.csv.*{BAD_CELLS[lines]}"):
        data.load(csv_file(tmp_path, *ROWS, lines))


def test_a_bad_table_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a file; csv:PATH takes a CSV file"):
        data.load(f"csv:{tmp_path}")
    with pytest.raises(ValueError, match="4 rows below a header; allowed: 5 or more"):
        data.load(csv_file(tmp_path, *ROWS[:4]))
    with pytest.raises(ValueError, match=r"row 1: columns \['a'\]; allowed: a name each, once"):
        data.load(csv_file(tmp_path, *ROWS, header="a,a,b,ill"))
    with pytest.raises(ValueError, match=r"row 1: .*, numbers; allowed: the columns' names"):
        data.load(csv_file(tmp_path, *ROWS, header="1,2,3,0"))
    with pytest.raises(ValueError, match="allowed: two or more, one with the class"):
        data.load(csv_file(tmp_path, *"121212", header="ill"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        data.load(csv_file(tmp_path, *ROWS, "ä,1,1,1", encoding="latin-1"))


def test_a_table_of_a_user_s_is_attacked(tmp_path):
    rng = np.random.default_rng(0)
    rows = [",".join(f"{x:.3f}" for x in rng.random(6)) + f",{'ab'[i % 2]}" for i in range(60)]
    name = csv_file(tmp_path, *rows, header="p,q,r,s,t,u,kind")
    spec = Spec(dataset=name, model="linear", budget="smoke", private_size=8, class_column="kind")
    assert run(spec.but(device="cpu")).metrics["psnr"] > 40


def test_a_quote_that_is_never_closed_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('a,b\n1,"' + "2,x\n" * 50_000)
    with pytest.raises(ValueError, match=r"people\.csv, line \d+: .*; allowed: cells whose quotes"):
        data.load(f"csv:{path}")
