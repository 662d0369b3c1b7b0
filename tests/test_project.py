"""What a newcomer is told to type exists: targets of the Makefile, extras, scripts."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "WRITING.md", ".ci/run")),
    *WORKFLOWS,
]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_has_jobs_whose_needs_exist(file):
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    for job in found["jobs"].values():
        assert set(job.get("needs", [])) <= set(found["jobs"])
        assert all(step.keys() & {"uses", "run"} for step in job["steps"])


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_every_target_that_is_named_is_one(file):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"(?:^|`|run: )make ([a-z]+)", file.read_text(encoding="utf-8"), re.M)
    assert set(named) <= set(targets)


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_every_file_that_is_named_is_there(file):
    text = file.read_text(encoding="utf-8")
    folders = r"(?:uninv_lib|tests|benchmarks|book|sweeps|\.ci|\.github)"
    named = re.findall(rf"[(`\s]({folders}/[\w/.-]+\.(?:py|md|ipynb|yaml|png|css))", text)
    invented = {"uninv_lib/unlearning/fisher.py", "book/NN_name.ipynb"}
    assert {name for name in named if not (ROOT / name).exists()} <= invented


def test_the_readme_is_read_at_once():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_every_hook_is_of_a_package_that_is_pinned():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for hook in hooks["repos"][0]["hooks"]]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    modules = [words[1] for entry in entries if len(words := entry.split(" -m ")) > 1]
    assert entries
    assert all(f"\n{module.split()[0]}==" in pinned for module in modules)
    assert "\nnbstripout==" in pinned
    assert "\npre-commit-hooks==" in pinned
