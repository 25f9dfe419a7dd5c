"""Modules with a twin in C: the source is taken, whatever stands beside it."""

import importlib.util
from pathlib import Path
from types import ModuleType


def source_of(module: ModuleType) -> ModuleType:
    """The same module by its source, even where Python takes the twin."""
    assert module.__file__ is not None
    name = module.__name__.rpartition(".")[2]
    path = Path(module.__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"{name}_by_source", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
