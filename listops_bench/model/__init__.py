"""Models: the looped family, the ladder of sizes, and checkpoint folders.

Importing this package makes `AutoConfig` and `AutoModelForCausalLM` know the model type ``listops_looped``.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from listops_bench.model.configuration_looped import LoopedConfig
from listops_bench.model.modeling_looped import LoopedForCausalLM

__all__ = ["LoopedConfig", "LoopedForCausalLM", "register"]


def register() -> None:
    """Makes the Auto classes of `transformers` know the looped family; calling it again changes nothing."""
    AutoConfig.register(LoopedConfig.model_type, LoopedConfig, exist_ok=True)
    AutoModelForCausalLM.register(LoopedConfig, LoopedForCausalLM, exist_ok=True)


register()
