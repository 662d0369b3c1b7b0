"""The gallery: what is recorded is what is said of it."""

import pytest
import torch

from uninv_lib import metrics
from uninv_lib.book.gallery import PLACES, ROWS, gallery, pictures, scene


@pytest.fixture(scope="module")
def held():
    return gallery()


def test_sixteen_pictures_each_of_its_photograph_s_class():
    own = pictures()
    assert own.inputs.shape == (len(PLACES), 3, 32, 32) == (16, 3, 32, 32)
    assert own.labels.tolist()[:10] == list(range(10))


def test_every_row_is_recorded_of_every_picture(held):
    assert {*held.rows} == {"forgotten", "class mean", *ROWS}
    assert {*held.gains} == {*held.rows} - {"forgotten"}
    assert {len(row) for row in [*held.rows.values(), *held.gains.values()]} == {len(PLACES)}
    assert torch.allclose(held.rows["forgotten"], pictures().inputs, atol=0.5 / 255 + 1e-6)


def test_a_recorded_gain_is_that_of_the_recorded_picture(held):
    def psnr(name):
        return metrics.psnr(held.rows[name], pictures().inputs)

    bar = psnr("class mean") - torch.tensor(held.gains["class mean"]).to(psnr("class mean"))
    for row in ROWS:
        assert torch.allclose((psnr(row) - bar).float(), torch.tensor(held.gains[row]), atol=0.1), (
            row
        )


@pytest.mark.parametrize("row", ROWS)
def test_a_scene_forgets_one_picture_beside_the_others_and_as_many_crops(row):
    made = scene(3, row)
    others = pictures().take(torch.tensor([i for i in range(16) if i != 3]))
    assert torch.equal(made.forget.inputs, pictures().inputs[3:4])
    assert torch.equal(made.retain.inputs[:15], others.inputs)
    assert len(made.private) == made.spec.private_size == 2 * len(PLACES)
