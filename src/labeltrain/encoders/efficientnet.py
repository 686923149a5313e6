"""EfficientNet-Lite0, with pretrained weights, as an image encoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.assets import ASSETS, fetch, sha256_of, write_atomically
from labeltrain.data import Modality, square
from labeltrain.encoders.base import Encoder, choose_device, import_torch, major, refuse_no_list
from labeltrain.errors import BadInput, missing_extra

_BATCH = 32
_EPSILON = 1e-3  # of batch normalisation, as the network was trained
#: Kernel, expansion, output channels, repeats, stride of each stage; the stem has 32 channels.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
#: The weights as safetensors; the conversion copies bytes, so its checksum is known.
_CONVERTED_SHA256 = "13badca7f05595226fd5df1861c04c6a9e92854bffb31b67616e2a844a375bc0"


class EfficientNetLite0(Encoder):
    """ImageNet features of EfficientNet-Lite0: the global average of its last layer.

    Images are scaled to a square (bilinear), composited on white where transparent, and enter as
    ``(rgb - 127) / 128``. Batch normalisation is folded into the convolutions.

    Parameters
    ----------
    size : int
        Side of the square in pixels, a multiple of 32. 128 is fast, 224 is what the network was
        trained at.
    device : {"auto", "cpu", "cuda"}

    References
    ----------
    M. Tan, Q. Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019.
    The Lite variants drop squeeze-and-excitation and use ReLU6.
    """

    name = "efficientnet-lite0"
    modalities: frozenset[Modality] = frozenset({"image"})

    def __init__(self, *, size: int = 128, device: str = "auto") -> None:
        if not isinstance(size, int) or isinstance(size, bool) or size < 32 or size % 32:
            raise BadInput(f"size is {size!r}", "use a multiple of 32, such as 128 or 224")
        self.size = size
        self._device = device

    def fingerprint(self) -> dict[str, str | int | float]:
        torch = import_torch("the encoder 'efficientnet-lite0'")
        return {
            "encoder": "efficientnet-lite0",
            "version": 1,
            "weights": next(iter(ASSETS["efficientnet-lite0"].files.values()))[1],
            "size": self.size,
            "dtype": "float32",
            "device": choose_device(self._device, torch).partition(":")[0],
            "torch": major(torch.__version__),
        }

    @property
    def dimension(self) -> int | None:
        return 1280

    @cached_property
    def _loaded(self) -> tuple[Any, Any, str]:
        torch = import_torch("the encoder 'efficientnet-lite0'")
        device = choose_device(self._device, torch)
        network = build(load_weights())
        return torch, network.to(device).to(memory_format=torch.channels_last), device

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        refuse_no_list(self.name, items, "images")
        torch, network, device = self._loaded
        result = np.empty((len(items), 1280), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(items), _BATCH):
                pixels = np.stack([self._pixels(item) for item in items[start : start + _BATCH]])
                # (n, H, W, 3) in memory is channels_last as it is.
                batch = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
                result[start : start + _BATCH] = network(batch).cpu().numpy()
        return result

    def _pixels(self, item: Any) -> np.ndarray:
        return (square(item, self.size).astype(np.float32) - 127) / 128


def load_weights() -> dict[str, Any]:
    """Return the pretrained weights as tensors by name.

    The published file is a pickle: it is read once, after its checksum, by torch's restricted
    reader, and converted to safetensors; from then on only that is read.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise missing_extra("safetensors", "hf", "the encoder 'efficientnet-lite0'") from error
    converted = ASSETS["efficientnet-lite0"].directory / "weights.safetensors"
    present = converted.is_file()
    if not present or sha256_of(converted) != _CONVERTED_SHA256:
        if present:
            warnings.warn(f"{converted} does not match its checksum, made again", stacklevel=2)
        _convert(fetch("efficientnet-lite0") / "weights.pth", converted)
    return dict(safetensors.torch.load(converted.read_bytes()))


def _convert(pickled: Path, converted: Path) -> None:
    import safetensors.torch
    import torch

    weights = torch.load(pickled, map_location="cpu", weights_only=True)
    wanted = {
        name: tensor.contiguous()
        for name, tensor in weights.items()
        if not name.startswith("_fc") and not name.endswith("num_batches_tracked")
    }
    write_atomically(converted, safetensors.torch.save(wanted))


def build(weights: dict[str, Any]) -> Any:
    """Build the network, from image batch to features, out of its weights.

    Parameters
    ----------
    weights : dict of str to tensor
        Named as in the published file.

    Returns
    -------
    torch.nn.Module
        From (n, 3, H, W), H and W multiples of 32, to (n, 1280).
    """
    import torch
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]
        """Expand, filter each channel, project; add the input where the shape allows."""

        def __init__(self, layers: list[Any], residual: bool) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)
            self.residual = residual

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.residual else self.layers(x)

    def convolution(
        name: str, norm: str, *, stride: int = 1, depthwise: bool = False, active: bool = True
    ) -> list[Any]:
        kernel = weights[f"{name}.weight"]
        # Batch normalisation is linear once trained, so it becomes part of the convolution.
        scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        out, inside, width, _ = kernel.shape
        groups = out if depthwise else 1
        layer = nn.Conv2d(inside * groups, out, width, stride=stride, groups=groups)
        with torch.no_grad():
            layer.weight.copy_(kernel * scale[:, None, None, None])
            layer.bias.copy_(bias)
        # Padding as TensorFlow does it: the odd row goes below and to the right.
        total = width - stride if stride > 1 else width - 1
        before, after = total // 2, total - total // 2
        layers: list[Any] = [layer]
        if before == after:
            layer.padding = (before, before)
        else:
            layers.insert(0, nn.ZeroPad2d((before, after, before, after)))
        return [*layers, nn.ReLU6()] if active else layers

    modules = convolution("_conv_stem", "_bn0", stride=2)
    channels, number = 32, 0
    for _kernel, expansion, out, repeats, first_stride in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            at = f"_blocks.{number}."
            layers = convolution(at + "_expand_conv", at + "_bn0") if expansion > 1 else []
            layers += convolution(
                at + "_depthwise_conv", at + "_bn1", stride=stride, depthwise=True
            )
            layers += convolution(at + "_project_conv", at + "_bn2", active=False)
            modules.append(Block(layers, residual=stride == 1 and channels == out))
            channels, number = out, number + 1
    modules += convolution("_conv_head", "_bn1")
    modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*modules).eval().requires_grad_(False)
