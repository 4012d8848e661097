"""Paths of OBS: what is read, and what could lead out of its folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.obs import paths

FOLDER = paths.folder("obs://lake/results/a")

BAD = {
    "another scheme": "s3://lake/results/a/x.csv",
    "no bucket": "obs:///results/a/x.csv",
    "a bucket that is a step up": "obs://../results/a/x.csv",
    "a bucket with two dots": "obs://la..ke/results/a/x.csv",
    "a bucket with a user": "obs://me@lake/results/a/x.csv",
    "a bucket with a port": "obs://lake:80/results/a/x.csv",
    "capitals": "obs://Lake/results/a/x.csv",
    "no object": "obs://lake",
    "a folder": "obs://lake/results/a/",
    "a step up": "obs://lake/results/a/../b/x.csv",
    "a step up at the end": "obs://lake/results/a/..",
    "a step that stays": "obs://lake/results/./a/x.csv",
    "an empty step": "obs://lake/results//a/x.csv",
    "an escaped step up": "obs://lake/results/a/%2e%2e/b/x.csv",
    "a backslash": "obs://lake/results/a/..\\b\\x.csv",
    "a query": "obs://lake/results/a/x.csv?versionId=1",
    "a line break": "obs://lake/results/a/x.csv\n",
    "a very long key": "obs://lake/" + "x" * 1200,
}


@pytest.mark.parametrize("path", BAD.values(), ids=BAD.keys())
def test_path_that_could_lead_elsewhere_is_refused(path: str) -> None:
    """Each of them, before anything is read."""
    with pytest.raises(ValueError, match=r"expected|could|character"):
        paths.parse(path)


def test_object_below_a_folder_is_known_by_whole_steps() -> None:
    """A folder whose name begins alike is another one, and so is that of another bucket."""
    assert paths.is_below(paths.parse("obs://lake/results/a/1_2/x.csv"), FOLDER)
    for other in ("obs://lake/results/ab/x.csv", "obs://lake/results/b/x.csv", "obs://pond/results/a/x.csv"):
        assert not paths.is_below(paths.parse(other), FOLDER)
    assert paths.is_below(FOLDER, FOLDER)


def test_path_is_used_below_its_folder_alone() -> None:
    """An object of it, and a folder with a slash at its end; the error says why another path is not."""
    above = str(FOLDER)
    assert paths.below("obs://lake/results/a/x.csv", above) == paths.Place("lake", "results/a/x.csv")
    assert paths.below("obs://lake/results/a/b/", above) == paths.Place("lake", "results/a/b/")
    assert paths.below(above, above) == FOLDER
    for other in ("obs://lake/results/ab/x.csv", "obs://lake/results/b/", "obs://pond/results/a/x.csv", "obs://lake/"):
        with pytest.raises(ValueError, match="outside of obs://lake/results/a/"):
            paths.below(other, above)
    for path in BAD.values():
        if path != above:
            with pytest.raises(ValueError, match=r"it |its "):
                paths.below(path, above)


def test_folder_is_the_same_with_a_slash_at_its_end() -> None:
    """A whole bucket is one, too."""
    assert paths.folder("obs://lake/results/a/") == FOLDER == paths.Place("lake", "results/a/")
    assert paths.folder("obs://lake") == paths.folder("obs://lake/") == paths.Place("lake", "")
    assert str(paths.parse("obs://lake/x y.csv")) == "obs://lake/x y.csv"


@given(st.text(alphabet="ab./\\%.", max_size=20))
def test_no_path_that_is_taken_leads_out_of_its_folder(rest: str) -> None:
    """Whatever is written after the folder: resolved as a file system would, it lies in it."""
    try:
        place = paths.parse(f"obs://lake/results/a/{rest}")
    except ValueError:
        return
    if paths.is_below(place, FOLDER):
        resolved: list[str] = []
        for step in place.key.replace("\\", "/").split("/"):
            if step == "..":
                resolved = resolved[:-1]
            elif step not in {"", "."}:
                resolved.append(step)
        assert resolved[:2] == ["results", "a"]
