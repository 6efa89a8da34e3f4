"""Build entry point. All metadata is in pyproject.toml; a native build would be wired here, today there is none."""

from setuptools import setup

setup()
