import pytest
import torch

from uninv_lib import Spec, prepare
from uninv_lib.support.threads import OWN, wait_briefly

pytest_plugins = ["chromium"]


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory):
    """Caches of a test run live in its own folder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("UNINV_HOME", str(tmp_path_factory.mktemp("home")))
    torch.set_num_threads(1)  # beside another program two wait for each other, ten times as long
    yield
    patch.undo()


@pytest.fixture(scope="session")
def linear():
    """A linear model of digits, one sample forgotten by gradient ascent."""
    return prepare(Spec(dataset="digits", model="linear", budget="smoke"))


@pytest.fixture(scope="session")
def convnet():
    """A small convnet of digits, one sample forgotten by gradient ascent."""
    return prepare(Spec(dataset="digits", model="convnet", width=4, budget="smoke"))


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def brief(monkeypatch):
    """This process as it is where uninv_lib was imported first."""
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    wait_briefly()
