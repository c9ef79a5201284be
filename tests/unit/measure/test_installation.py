from __future__ import annotations

from compress.measure import installation
from compress.measure.installation import Package, extras, needed


def test_what_the_project_asks_for_is_listed():
    names = {one.name for one in needed()}
    assert {"torch", "onnxruntime", "numpy"} <= names
    assert "pytest" not in names
    assert all(one.fits for one in needed())


def test_extras_say_how_they_are_installed():
    found = {one.name: one for one in extras()}
    assert found["openvino"].command == "pip install 'compress-models[openvino]'"
    assert "test" not in found


def test_versions_are_compared():
    assert Package(name="a", wanted=">=2,<3", found="2.5+cpu").fits
    assert not Package(name="a", wanted=">=2,<3", found="3.0").fits
    assert not Package(name="a", wanted="", found=None).fits
    assert Package(name="a", wanted="", found="1").fits


def test_a_package_that_is_absent_has_no_version(monkeypatch):
    lines = ["no-such-package>=1", "other-missing>=2; extra == 'more'"]
    monkeypatch.setattr(installation, "requires", lambda name: lines)
    (package,) = needed()
    assert (package.name, package.found, package.fits) == ("no-such-package", None, False)
    (extra,) = extras()
    assert (extra.name, extra.fits) == ("more", False)
