import pickle
from importlib import import_module

import numpy as np
import pytest
import torch

from uninv_lib import Spec, data, prepare
from uninv_lib.support.cache import digest, home, kept
from uninv_lib.support.torchvision import import_torchvision
from uninv_lib.training.pretraining import fast_in_bfloat16
from uninv_lib.types import Split

photos = import_module("uninv_lib.data.photos")
fetched = import_module("uninv_lib.data.torchvision")

SIZES = {
    "digits": (897, 600, 300),
    "faces": (100, 60, 40),
    "photos": (1170, 630, 450),
    "breast_cancer": (269, 200, 100),
}


@pytest.mark.parametrize("name", SIZES)
def test_embedded_sets_are_real_whole_and_in_range(name):
    found = data.load(name)
    assert (len(found.public), len(found.private), len(found.test)) == SIZES[name]
    for split in (found.public, found.private, found.test):
        assert split.inputs.dtype == torch.float32
        assert split.inputs.min() >= 0
        assert split.inputs.max() <= 1
        assert sorted(split.labels.unique().tolist()) == list(range(found.num_classes))


def test_photos_share_no_pixel_between_the_splits(monkeypatch):
    places = (
        torch.arange(photos.SIDE**2, dtype=torch.float32)
        .reshape(1, photos.SIDE, photos.SIDE)
        .expand(3, -1, -1)
    )
    monkeypatch.setattr(photos, "photo", lambda name: places / photos.SIDE**2)
    found = photos.photos()
    parts = [
        set((split.inputs[split.labels == 0] * photos.SIDE**2).round().flatten().tolist())
        for split in (found.public, found.private, found.test)
    ]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert sum(map(len, parts)) == photos.SIDE**2


@pytest.mark.parametrize("name", ["cats", "", "imagefolder"])
def test_an_unknown_set_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=r"allowed: digits, faces, .*imagefolder:PATH"):
        data.load(name)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5, -0.1])
def test_samples_out_of_range_are_refused(value):
    with pytest.raises(ValueError, match="inputs"):
        Split(torch.tensor([[0.5], [value]]), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="labels: shape"):
        Split(torch.rand(2, 1), torch.zeros(3, dtype=torch.int64))


def _cifar(folder, name):
    """The on-disk format of CIFAR, a few samples."""
    rng = np.random.default_rng(0)

    def batch(count):
        return {
            "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
            "labels": list(range(10)) * (count // 10),
        }

    if name == "cifar10":
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
        contents = [*(batch(10) for _ in range(6)), {"label_names": list("abcdefghij")}]
        folder = folder / "cifar-10-batches-py"
    else:
        contents = [batch(50), batch(10), {"fine_label_names": [str(i) for i in range(100)]}]
        contents = [{**c, "fine_labels": c.get("labels")} for c in contents]
        names, folder = ["train", "test", "meta"], folder / "cifar-100-python"
    folder.mkdir(parents=True)
    for file, content in zip(names, contents, strict=True):
        (folder / file).write_bytes(pickle.dumps(content))


def _stl10(folder):
    rng = np.random.default_rng(0)
    folder = folder / "stl10_binary"
    folder.mkdir(parents=True)
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))
    for part in ("train", "test"):
        (folder / f"{part}_X.bin").write_bytes(
            rng.integers(0, 256, (50, 3, 96, 96), dtype=np.uint8).tobytes()
        )
        (folder / f"{part}_y.bin").write_bytes(
            np.tile(np.arange(1, 11), 5).astype(np.uint8).tobytes()
        )


@pytest.mark.parametrize(
    ("name", "shape"), [("cifar10", (3, 32, 32)), ("cifar100", (3, 32, 32)), ("stl10", (3, 96, 96))]
)
def test_torchvision_sets_are_read_in_their_on_disk_format(name, shape, tmp_path, monkeypatch):
    monkeypatch.setenv("UNINV_HOME", str(tmp_path))
    _stl10(tmp_path / "data") if name == "stl10" else _cifar(tmp_path / "data", name)
    owner = getattr(import_torchvision("datasets"), name.upper())
    monkeypatch.setattr(owner, "_check_integrity", lambda self: True)
    monkeypatch.setattr(owner, "download", lambda self: None)
    if name != "stl10":
        monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    found = fetched._fetched(name, 20)
    assert found.input_shape == shape
    assert len(found.private) == 20
    assert len(found.public) == 30
    assert found.kind == "image"
    files = {"cifar10": "test_batch", "cifar100": "test", "stl10": "test_X.bin"}
    (file,) = (tmp_path / "data").glob(f"*/{files[name]}")
    stored = file.read_bytes() if name == "stl10" else pickle.loads(file.read_bytes())["data"]
    pixels = np.frombuffer(stored, np.uint8).reshape(-1, *shape)
    if name == "stl10":  # columns first
        pixels = pixels.swapaxes(2, 3)
    assert torch.equal(found.test.inputs, torch.from_numpy(pixels.copy()).float() / 255)
    assert found.test.labels.tolist() == list(range(10)) * (len(pixels) // 10)
    assert found.num_classes == (100 if name == "cifar100" else 10)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_torn_download_of_cifar_is_told(name, tmp_path, monkeypatch):
    """Files whose checksum is wrong are fetched again, here without a network."""
    monkeypatch.setenv("UNINV_HOME", str(tmp_path))
    _cifar(tmp_path / "data", name)

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(RuntimeError, match=f"dataset: {name} is not in .* could not be downloaded"):
        fetched._fetched(name, 20)


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("UNINV_HOME", str(tmp_path))

    def offline(self):
        raise OSError("no route to host")

    monkeypatch.setattr(import_torchvision("datasets").CIFAR10, "download", offline)
    with pytest.raises(
        RuntimeError,
        match=r"cifar10 is not in .* go online once, or use a set that needs no network",
    ):
        fetched._fetched("cifar10", 20)


def test_torchvision_imports_whatever_its_operators_do():
    assert import_torchvision("models").resnet18
    assert import_torchvision("datasets").CIFAR10
    assert import_torchvision().__name__ == "torchvision"


def test_a_kept_stage_is_computed_once_and_anew_when_torn():
    calls = []

    def compute():
        calls.append(1)
        return {"x": torch.arange(3)}

    key = digest("test", torch.zeros(2))
    assert torch.equal(kept("stage", key, compute)["x"], kept("stage", key, compute)["x"])
    assert len(calls) == 1
    file = home() / "stage" / f"{key}.safetensors"
    file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(kept("stage", key, compute)["x"], torch.arange(3))
    assert len(calls) == 2
    assert [f.name for f in file.parent.iterdir()] == [file.name]


def test_more_private_samples_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="allowed for faces: 1 to 60"):
        prepare(Spec(dataset="faces", private_size=61))


@pytest.mark.parametrize(
    ("capability", "fast"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)]
)
def test_a_cpu_that_would_emulate_16_bits_trains_in_32(capability, fast, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert fast_in_bfloat16(torch.device("cpu")) == fast
