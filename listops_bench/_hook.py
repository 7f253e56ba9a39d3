"""Makes our names known to `datasets` and `transformers` once one of them has been imported.

``import listops_bench`` makes ``load_dataset("listops_bench", ...)`` and ``AutoModelForCausalLM.from_pretrained(...)``
know our names, and imports neither `datasets` nor torch for that; see `_base.import_hook`.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

from listops_bench._base.import_hook import after_import, enabled, is_being_imported

_AUTO_CONFIG = "transformers.models.auto.configuration_auto"


def install() -> None:
    """Registers our names with the libraries that are there, and later with those that come."""
    if not enabled():
        return
    after_import("datasets", _register_dataset)
    # transformers imports its parts when they are first used: this one with any Auto class.
    after_import(_AUTO_CONFIG, _register_model_when_needed)


def _register_dataset() -> None:
    """Calls `dataset.register`.

    Where the import of that very module has brought us here (it imports `datasets`, which calls back), the function is
    not there yet: the module calls it itself as its last statement.
    """
    dataset = importlib.import_module("listops_bench.dataset.builder")
    if not is_being_imported(dataset):
        dataset.register()


def _register_model_when_needed() -> None:
    """Has `AutoConfig` import `listops_bench.model`, which registers itself, when it is first asked for a config.

    Not at once: transformers is in the middle of its own circular imports here. All Auto classes and pipelines find out
    what kind of model they have before them through these two methods.
    """
    auto = sys.modules[_AUTO_CONFIG].AutoConfig
    originals = {name: vars(auto)[name] for name in ("from_pretrained", "for_model")}

    def wrap(name: str) -> classmethod[Any, Any, Any]:
        @functools.wraps(originals[name].__func__)
        def method(cls: Any, *args: Any, **options: Any) -> Any:
            for other, original in originals.items():
                setattr(auto, other, original)
            importlib.import_module("listops_bench.model")
            return getattr(cls, name)(*args, **options)

        return classmethod(method)

    for name in originals:
        setattr(auto, name, wrap(name))
