"""Models whose linear layers are held in 4 bits (NF4, double quantization), and what such a layer computes with.

NF4 stands in QLoRA (Dettmers et al. 2023, arXiv 2305.14314, section 3). Knows nothing of adapters and stages.

Shapes: O outputs and I inputs of a linear layer.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.optional import require
from demiurgic.models.architectures import refuse_quantized
from demiurgic.models.load import read_weights, refuse_misfit, refuse_no_config
from demiurgic.models.lora import block_linears, quiet_bitsandbytes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

BLOCK = 64
"""Weights that share a scale."""
QUANT = "nf4"
CONVERSION = {"load_in_4bit": True, "bnb_4bit_quant_type": QUANT, "bnb_4bit_use_double_quant": True}


def load_nf4(folder: Path, *, device: str, dtype: str = "float32") -> "PreTrainedModel":
    """The model of a folder with its blocks' linear layers in NF4 and all else in `dtype`, in eval mode.

    Raises UserError when the folder holds no model, one whose weights are quantized already, or not exactly the weights
    that its config promises.
    """
    require("bitsandbytes", "transformers", "torch")
    refuse_no_config(folder)
    refuse_quantized(folder)
    quiet_bitsandbytes()
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        **CONVERSION, bnb_4bit_compute_dtype=getattr(torch, dtype), llm_int8_skip_modules=["lm_head"]
    )
    model = read_weights(folder, dtype=dtype, quantization_config=config, device_map={"": device})
    # transformers compares the shapes of all weights but those that it quantizes
    refuse_misfit(folder, {"mismatched_keys": _misshapen(model)})
    _keep_layout(model)
    model.eval()
    return model


def dequantized(weight_OI: "Tensor") -> "Tensor":
    """What a 4-bit layer made of this weight computes with: fp32 [O,I], of at most 16 values per block of 64.

    Made from the original weight, never from a layer: a layer that ran in eval mode on a CPU may have repacked its
    weight, which then dequantizes to something else without an error.
    """
    require("bitsandbytes")
    quiet_bitsandbytes()
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    codes, state = quantize_4bit(
        weight_OI.detach().float().contiguous(), quant_type=QUANT, blocksize=BLOCK, compress_statistics=True
    )
    found_OI: Tensor = dequantize_4bit(codes, state)
    return found_OI


def dequantize_blocks(model: "PreTrainedModel") -> None:
    """Give every linear layer of the blocks, in place, the weight that its 4-bit form computes with."""
    import torch

    with torch.no_grad():
        for name in block_linears(model):
            weight_OI: Any = model.get_submodule(name).weight
            weight_OI.copy_(dequantized(weight_OI))


def _misshapen(model: "Module") -> list[str]:
    """The 4-bit weights that were made of a tensor of another shape than their layer's."""
    from bitsandbytes.nn import Linear4bit

    return [
        f"{name}.weight"
        for name, layer in model.named_modules()
        if isinstance(layer, Linear4bit)
        and tuple(layer.weight.quant_state.shape) != (layer.out_features, layer.in_features)
    ]


def _keep_layout(model: "Module") -> None:
    """Let no layer repack its weight for fast inference: the repacked form passes no gradient on to its input."""
    from bitsandbytes.nn import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
