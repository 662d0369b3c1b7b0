"""Where numbers come from."""

import subprocess

import pytest

from uninv_lib.support import provenance

ME = ["-c", "user.name=x", "-c", "user.email=x@x"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project with one commit, and the library's module as if it stood in a folder of it."""
    for words in (["init", "-q"], [*ME, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    package = tmp_path / "uninv_lib"
    (package / "support").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(provenance, "__file__", str(package / "support" / "provenance.py"))
    provenance.commit.cache_clear()
    yield tmp_path
    provenance.commit.cache_clear()


def test_a_library_installed_in_another_project_names_no_commit(checkout):
    assert provenance.commit() is None


def test_a_checkout_is_named_with_a_plus_where_it_changed(checkout):
    for words in (["add", "uninv_lib"], [*ME, "commit", "-q", "-m", "ours"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    found = provenance.commit()
    assert found is not None
    assert len(found) == 12
    (checkout / "uninv_lib" / "__init__.py").write_text("changed = True")
    provenance.commit.cache_clear()
    assert provenance.commit() == f"{found}+"
