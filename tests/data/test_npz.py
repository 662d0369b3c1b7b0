"""npz files in MedMNIST's format: read right, or refused with the array's name."""

import io
import zipfile

import numpy as np
import pytest
import torch

from uninv_lib import Spec, data, run

SIZES = {"train": 20, "val": 6, "test": 8}


def arrays(side=28, channels=()):
    rng = np.random.default_rng(0)
    found = {}
    for part, n in SIZES.items():
        found[f"{part}_images"] = rng.integers(0, 256, (n, side, side, *channels), dtype=np.uint8)
        found[f"{part}_labels"] = (np.arange(n, dtype=np.uint8) % 2)[:, None]
    return found


def npz_file(folder, **changes):
    """A file with these arrays changed, or left out where they are None."""
    found = {n: a for n, a in (arrays() | changes).items() if a is not None}
    np.savez(folder / "x.npz", **found)
    return f"npz:{folder / 'x.npz'}"


@pytest.mark.parametrize("side", [28, 64, 128, 224])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_an_npz_file_is_cut_as_its_parts_say(tmp_path, side, channels):
    given = arrays(side, channels)
    found = data.load(npz_file(tmp_path, **given))
    assert found.input_shape == (3 if channels else 1, side, side)
    assert (len(found.public), len(found.private), len(found.test)) == (16 + 6, 4, 8)
    assert (found.kind, found.class_names) == ("image", ("0", "1"))
    test = np.moveaxis(given["test_images"].reshape(8, side, side, -1), 3, 1)
    assert torch.equal(found.test.inputs, torch.from_numpy(test.copy()).float() / 255)
    assert found.test.labels.tolist() == given["test_labels"][:, 0].tolist()
    val = np.moveaxis(given["val_images"].reshape(6, side, side, -1), 3, 1)
    assert torch.equal(found.public.inputs[16:], torch.from_numpy(val.copy()).float() / 255)


def test_labels_may_be_a_plain_row(tmp_path):
    name = npz_file(tmp_path, test_labels=np.arange(8, dtype=np.int64) % 2)
    assert data.load(name).test.labels.tolist() == [0, 1] * 4


IMAGES = np.zeros((20, 28, 28), np.uint8)
BAD = {
    "missing": ({"val_labels": None, "test_images": None}, "without val_labels, test_images"),
    "floats": ({"train_images": IMAGES / 2}, r"train_images: float64 of shape \(20, 28, 28\)"),
    "volumes": ({"train_images": np.zeros((20, 8, 8, 8), np.uint8)}, "train_images: uint8 of"),
    "other size": (
        {"test_images": np.zeros((8, 64, 64), np.uint8)},
        r"test_images: of \(64, 64\); allowed: \(28, 28\), as in train",
    ),
    "several labels": (
        {"train_labels": np.zeros((20, 14), np.uint8)},
        "train_labels: 14 columns, several labels a picture; allowed: one",
    ),
    "too few labels": (
        {"val_labels": np.zeros((5, 1), np.uint8)},
        r"val_labels: uint8 of shape \(5, 1\); allowed: an integer for each of 6 images",
    ),
    "text": ({"val_labels": np.array(["a"] * 6)[:, None]}, "val_labels: <U1 of shape"),
    "one class": ({"train_labels": np.zeros((20, 1), np.uint8)}, r"train_labels: classes \[0\]"),
    "a gap": ({"train_labels": 2 * arrays()["train_labels"]}, r"train_labels: classes \[0, 2\]"),
    "unknown class": ({"test_labels": np.full((8, 1), 2)}, "test_labels: 2; allowed: 0 to 1"),
    "none": (
        {"val_images": IMAGES[:0], "val_labels": np.zeros((0, 1), np.uint8)},
        "val_images: 0 of them; allowed: 1 or more",
    ),
    "few": (
        {"train_images": IMAGES[:4], "train_labels": np.array([0, 1, 0, 1])},
        "train_images: 4 of them; allowed: 5 or more",
    ),
    "no pixels": (
        {"train_images": IMAGES[:, :0, :0]},
        r"train_images: uint8 of shape \(\d+, 0, 0\)",
    ),
    "pickled": ({"train_labels": np.array([[{}]] * 20)}, "unpickled"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_npz_file_is_refused_by_the_array_s_name(tmp_path, kind):
    changes, message = BAD[kind]
    with pytest.raises(ValueError, match=rf"x\.npz: .*{message}"):
        data.load(npz_file(tmp_path, **changes))


@pytest.mark.parametrize("content", ["", "no npz", "one array", "torn"])
def test_another_file_is_refused(tmp_path, content):
    name, file = npz_file(tmp_path), tmp_path / "x.npz"
    if content == "one array":
        with file.open("wb") as opened:
            np.save(opened, np.zeros(3))
    elif content == "torn":
        file.write_bytes(file.read_bytes()[:-200])
    else:
        file.write_text(content)
    with pytest.raises(ValueError, match=r"x\.npz: (no npz file|one array|.*pickle)"):
        data.load(name)


@pytest.mark.parametrize("harm", ["a member that is no array", "a broken header", "torn data"])
def test_a_file_that_is_broken_inside_is_refused(tmp_path, harm):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays().items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            raw = buffer.getvalue()
            if name == "val_images":
                raw = {
                    "a member that is no array": b"text",
                    "a broken header": b"\x93NUMPY\x01\x00\x04\x00{'('",
                }.get(harm, raw)
            file.writestr(f"{name}.npy", raw)
    if harm == "torn data":
        whole = (tmp_path / "x.npz").read_bytes()
        (tmp_path / "x.npz").write_bytes(whole[:200] + bytes(400) + whole[600:])
    with pytest.raises(ValueError, match=r"x.npz: "):
        data.load(f"npz:{tmp_path / 'x.npz'}")


def test_a_missing_npz_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a file; npz:PATH takes an npz file"):
        data.load(f"npz:{tmp_path}")


def test_pictures_of_an_npz_file_are_attacked(tmp_path):
    name = npz_file(tmp_path, **arrays(8))
    spec = Spec(dataset=name, model="linear", budget="smoke", private_size=4, device="cpu")
    assert run(spec).metrics["psnr"] > 40
