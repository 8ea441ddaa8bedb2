"""Lists the packages: where Terrarium is installed, the top folders of the source are packages of `terrarium`."""

import setuptools

PARTS = ("app", "models", "resources")
FOUND = [name for part in PARTS for name in setuptools.find_packages(include=[part, f"{part}.*"])]

setuptools.setup(
    packages=["terrarium", *(f"terrarium.{name}" for name in FOUND)],
    package_dir={f"terrarium.{part}": part for part in PARTS},
)
