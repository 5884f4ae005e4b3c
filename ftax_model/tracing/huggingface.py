"""Models of transformers from their configuration: built without weights, with the inputs that their class takes."""

from __future__ import annotations

import inspect
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ftax_model import files
from ftax_model.architectures._base import check_count
from ftax_model.errors import DataError, FtaxError, InputError, one_line
from ftax_model.operators import Trace
from ftax_model.tracing._bounds import bounded
from ftax_model.tracing.sweeps import ModuleSweep
from ftax_model.tracing.trace import trace

TOKENS, SECONDS, RATE = 128, 2, 16_000
"""Length of texts and sounds where the configuration does not tell them."""

MOST_BYTES = 1 << 22
"""Of a configuration."""

_LAW = "a model of transformers is told by its configuration: a config.json, or a folder that holds one"


def read_config(path: str | os.PathLike[str]) -> Any:
    """The configuration in a file or folder; where there is neither, that of this name on the hub.

    Runs no code of the model's, and what a file names on the hub is not asked for. Raises `DataError` where there is
    none, or it tells more than a model has.
    """
    from transformers import AutoConfig

    place = Path(path)
    file = place / "config.json" if place.is_dir() else place
    if not file.exists() and (place.suffix or len(place.parts) > 2 or place.is_dir()):
        raise DataError(_LAW, f"no file {file}", "check the path")
    try:
        if not file.exists():
            return AutoConfig.from_pretrained(str(path), trust_remote_code=False)
        values = json.loads(files.read(file, law=_LAW, most=MOST_BYTES))  # infinity is a value there
        with _offline(), bounded(seconds=_SECONDS):
            return AutoConfig.for_model(values["model_type"], **_plain(values))
    except FtaxError:
        raise
    except Exception as error:  # transformers raises anything
        raise DataError(
            _LAW, f"{path}: {one_line(error)}", "check the file, and the version of transformers"
        ) from error


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a configuration without those that say where to find code, or which of it to use."""
    waiting: list[Any] = [values]
    for one in waiting:
        waiting += [part for part in (one.values() if isinstance(one, dict) else one) if isinstance(part, dict | list)]
        for name in _OF_CODE & {*one} if isinstance(one, dict) else ():
            if name == "auto_map" or one[name] not in _ATTENTION:
                del one[name]
        for name, value in one.items() if isinstance(one, dict) else ():
            check_count(name, value)
    return {name: value for name, value in values.items() if name != "model_type"}


_OF_CODE = {"auto_map", "attn_implementation", "_attn_implementation", "experts_implementation", "kernel_config"}
_ATTENTION = ("eager", "sdpa", "flex_attention")
_SECONDS = 20  # to make a configuration of its values


@contextmanager
def _offline() -> Iterator[None]:
    """Have the hub not asked, whatever a configuration names, and the user's token for it not read."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, constants.HF_TOKEN_PATH
    constants.HF_HUB_OFFLINE, constants.HF_TOKEN_PATH = True, os.devnull
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_TOKEN_PATH = before


def build(config: Any, *, dtype: str | None = None) -> Any:
    """The model of a configuration, of the class that it names, else of its type's base class.

    It is on the meta device, or with a ``dtype`` has random weights of that on the current one. Raises `InputError`
    where transformers cannot build it.
    """
    import transformers

    from ftax_model.tracing._empty import built

    given = getattr(config, "architectures", None)
    config.architectures = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    named: Any = getattr(transformers, next(iter(config.architectures), ""), None)
    named = named if isinstance(named, type) and issubclass(named, transformers.PreTrainedModel) else None
    make = named._from_config if named else partial(transformers.AutoModel.from_config, trust_remote_code=False)
    try:
        with _offline():
            model = make(config, dtype=getattr(torch, dtype)) if dtype else built(lambda: (named or make)(config))
        return model.eval()
    except (FtaxError, MemoryError):
        raise
    except Exception as error:  # transformers raises anything
        law = "transformers builds the model of a configuration"
        raise InputError(law, f"{type(config).__name__}: {one_line(error)}", "mend the configuration") from error


def sweep(config: Any, *, tokens: int | None = None, batch_size: int = 1, dtype: str | None = None) -> ModuleSweep:
    """The traces of a configuration's model, as in `called`."""
    model, inputs, own = called(config, tokens=tokens, batch_size=batch_size, dtype=dtype)
    return ModuleSweep(model, inputs, own=own)


def called(
    config: Any, *, tokens: int | None = None, batch_size: int = 1, dtype: str | None = None
) -> tuple[Any, dict[str, Any], Trace]:
    """The model of a configuration, the first inputs of its class's that it takes, and the trace of that call.

    Raises `InputError` with what it said to the first inputs where it takes none, and for sizes beyond all bounds.
    """
    first: InputError | None = None
    with bounded():
        model = build(config)
        model = model.to(getattr(torch, dtype)) if dtype else model
        try:
            for inputs in candidates(model, tokens=tokens, batch_size=batch_size):
                try:
                    return model, inputs, trace(model, inputs)
                except InputError as error:
                    first = first or error
        except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            law = "the inputs of a model have shapes that its configuration tells"
            raise InputError(law, f"{type(config).__name__}: {one_line(error)}", "mend the configuration") from error
    got = f"{type(model).__name__}, of neither"
    raise first or InputError("a model takes text, images or sound", got, "trace it by --module")


def candidates(model: Any, *, tokens: int | None = None, batch_size: int = 1) -> Iterator[dict[str, Any]]:
    """Inputs that a model may take, most likely first: its main one, text, images, sound, and what goes with them."""
    parameters = inspect.signature(model.forward).parameters
    made = _Inputs(model, tuple(parameters), tokens=tokens, batch_size=batch_size)
    needed = [name for name, one in parameters.items() if one.default is one.empty and name in made.known]
    main = getattr(model, "main_input_name", "input_ids")
    images = [name for name in made.known if name.startswith("pixel_values")]
    sounds = [name for name in made.known if name in ("input_features", "input_values")]
    groups = [[main] if isinstance(main, str) else [*main], needed, *([name] for name in made.known)]
    groups += [["input_ids", *needed, name] for name in (*images, *sounds)]
    mixed = ["input_ids", *images, *sounds]
    groups += [mixed, *([*mixed, *more] for more in _TOGETHER), list(made.known)]
    seen = []
    for group in groups:
        names = list(dict.fromkeys(name for name in (*group, *needed) if name in made.known))
        for inputs in made.of(names):
            form = sorted((name, tuple(getattr(value, "shape", ()))) for name, value in inputs.items())
            if inputs and form not in seen:
                seen.append(form)
                yield inputs


_TOGETHER = (
    ("attention_mask",),
    ("visual_feats", "visual_pos"),
    ("image_attention_mask",),
    ("image_embeds_position_mask",),
    ("target_sizes",),
    ("states", "actions", "rewards", "returns_to_go", "timesteps", "attention_mask"),
)
"""Inputs that some models take beside text, images and sound, or instead."""

_MOST = 12  # forms in which one group of inputs is tried


class _Inputs:
    """Inputs by name, in the shapes that a configuration tells; where it does not tell, in each that there is.

    ``known`` makes each form of an input when it is called.
    """

    def __init__(self, model: Any, names: tuple[str, ...], *, tokens: int | None, batch_size: int) -> None:
        config = model.config
        self._dtype = next((one.dtype for one in model.parameters() if one.is_floating_point()), torch.float32)
        self._config, self._names, self._size, self._tokens = config, names, batch_size, tokens
        length, size = self._length(), batch_size
        side = self._number("image_size", "img_size", "max_img_size", "input_size", "crop_size", default=224)
        channels = self._number("num_channels", "in_channels", "in_chans", default=3)
        image = (channels, side, self._second("image_size") or side)
        frames = self._number("num_frames", "frames_per_clip", default=8)
        patch = self._number("patch_size", "spatial_patch_size", default=16)
        flat = channels * patch * patch
        stacked = flat * self._number("temporal_patch_size", default=2)
        bins = self._number("num_mel_bins", "input_feat_per_channel", "feature_size", "input_dim", default=80)
        spectra = self._number("max_source_positions", default=0) * 2 or 100 * SECONDS
        sound = SECONDS * RATE // 1920 * 1920
        width = self._number("hidden_size", "d_model", default=768)
        past, ahead = (
            self._number("context_length", "prediction_length", default=24),
            self._number("prediction_length", default=24),
        )
        lags = max(getattr(config, "lags_sequence", None) or [0])
        series = self._number("num_input_channels", default=1)
        first = _first_width(model)
        squares, grid = _GRID * _GRID, [[1, _GRID, _GRID]]
        text = self._words(size, length, self._number("vocab_size", default=_VARIED))
        self.known: dict[str, list[Callable[[], Any]]] = {
            "input_ids": [text],
            "pixel_values": [
                self._zeros(size, *image),
                self._zeros(size, frames, *image),
                self._zeros(size, 2, *image),
                self._zeros(squares, stacked),
                self._zeros(size, squares, flat),
                self._zeros(squares, flat),
                self._zeros(squares, channels, patch, patch),
                self._zeros(size, 1, *image),
                self._zeros(size, 1, 1, *image),
                self._zeros(size, channels, patch, patch * squares),
                self._zeros(size, channels, 4 * side, 4 * side),
            ],
            "pixel_values_videos": [self._zeros(size, frames, *image)],
            "pixel_values_images": [self._zeros(size, *image)],
            "input_features": [
                self._zeros(size, 100 * SECONDS, bins),
                self._zeros(size, bins, spectra),
                self._zeros(size, 100 * SECONDS, 2 * bins),
                self._zeros(size, 1, 1024, bins),
                self._zeros(size, 100 * SECONDS, 4 * bins),
                self._zeros(size, 100 * SECONDS, first),
                self._zeros(size, 100 * SECONDS, 128),
            ],
            "input_values": [
                self._zeros(size, sound),
                self._zeros(size, 1, sound),
                self._zeros(size, self._number("max_length", default=1024), 128),
                self._ones(size, length),
                self._zeros(size, length, first),
            ],
            "inputs_embeds": [self._zeros(size, length, width)],
            "hidden_states": [
                self._zeros(squares, stacked),
                self._zeros(size, length, width),
                self._zeros(squares, flat),
                self._zeros(squares, width),
                self._zeros(size, width, length),
                self._zeros(size, first, sound),
            ],
            "inputs": [self._zeros(size, length, width), self._ones(size, length)],
            "query_embeds": [self._zeros(size, 32, width)],
            "encoder_hidden_states": [
                self._zeros(size, length, self._number("encoder_hidden_size", "hidden_size", default=width))
            ],
            "past_values": [
                self._zeros(size, past + lags, series),
                self._zeros(size, past + lags),
            ],
            "past_time_features": [self._zeros(size, past + lags, self._number("num_time_features", default=1))],
            "past_observed_mask": [self._zeros(size, past + lags), self._zeros(size, past + lags, series)],
            "past_values_padding": [self._zeros(size, past + lags, whole=True)],
            "freq": [self._zeros(size, 1, whole=True)],
            "future_time_features": [self._zeros(size, ahead, self._number("num_time_features", default=1))],
            "future_values": [self._zeros(size, ahead)],
            "bbox": [self._ones(size, length, 4)],
            "grid_thw": [self._of(grid)],
            "image_grid_thw": [self._of(grid)],
            "merge_sizes": [self._of([1])],
            "spatial_shapes": [self._of([[_GRID, _GRID]] * size)],
            "pixel_attention_mask": [self._ones(size, squares)],
            "input_features_mask": [self._ones(size, 100 * SECONDS), self._ones(size, spectra)],
            "input_ids_mask": [self._ones(size, length)],
            "qformer_input_ids": [text],
            "task_inputs": [self._ones(size, 77)],
            "visual_feats": [self._zeros(size, 36, self._number("visual_feat_dim", default=2048))],
            "visual_pos": [self._zeros(size, 36, 4)],
            "prompt_pixel_values": [self._zeros(size, *image)],
            "prompt_masks": [self._zeros(size, *image)],
            "decoder_input_ids": [text, self._ones(size, length, self._number("num_channels", default=1))],
            "latents": [self._zeros(size, first, length)],
            "noise_embeds": [self._zeros(size, length, first)],
            "context_hidden_states": [self._zeros(size, length, first)],
            "action_embeds": [self._zeros(size, self._number("chunk_size", default=50), first)],
            "audio_mel": [self._zeros(size, 100 * SECONDS, 128)],
            "audio_mel_mask": [self._false(size, 100 * SECONDS)],
            "pixel_position_ids": [self._zeros(size, squares, 2, whole=True)],
            "target_sizes": [self._of([[_GRID, _GRID]] * size)],
            "image_attention_mask": [self._ones(size, length, frames)],
            "image_embeds_position_mask": [
                self._first_ones(size, length, self._number("latent_query_num", default=64))
            ],
            "states": [self._zeros(size, length, self._number("state_dim", default=17))],
            "actions": [self._zeros(size, length, self._number("act_dim", default=4))],
            "rewards": [self._zeros(size, length, 1)],
            "returns_to_go": [self._zeros(size, length, 1)],
            "timesteps": [self._ones(size, length)],
            "attention_mask": [self._ones(size, length)],
        }
        self.known = {name: forms for name, forms in self.known.items() if name in names}

    def of(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """The inputs of these names, in each of their forms, with what goes with them."""
        besides = []
        if names and getattr(self._config, "is_encoder_decoder", False):
            besides.append("decoder_input_ids")
        besides += ["bbox"] if "input_ids" in names else []
        besides += ["past_time_features", "past_observed_mask", "future_time_features", "future_values"] * (
            "past_values" in names
        )
        besides += ["grid_thw", "merge_sizes"] * ("hidden_states" in names or "pixel_values" in names)
        names = list(dict.fromkeys(name for name in (*names, *besides) if name in self.known))
        cache = {"use_cache": False} if "use_cache" in self._names else {}
        for forms in itertools.islice(itertools.product(*(self.known[name] for name in names)), _MOST):
            made = [form() for form in forms]
            made = [one.to(self._dtype) if one.is_floating_point() else one for one in made]
            yield {**dict(zip(names, made, strict=True)), **cache}

    def _configs(self) -> Iterator[Any]:
        yield self._config
        for name in vars(self._config):
            if name.endswith("config") and hasattr(inside := getattr(self._config, name), "to_dict"):
                yield inside

    def _number(self, *names: str, default: int) -> int:
        """The first of these that the configuration, or one inside it, holds as a number."""
        for config in self._configs():
            for name in names:
                value = getattr(config, name, None)
                if isinstance(value, list | tuple) and value:
                    value = value[0]
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    return value
        return default

    def _second(self, name: str) -> int | None:
        value = getattr(self._config, name, None)
        return value[1] if isinstance(value, list | tuple) and len(value) > 1 else None

    def _length(self) -> int:
        most = self._number("max_position_embeddings", "n_positions", "max_seq_len", default=TOKENS)
        return self._tokens or min(TOKENS, most)

    @staticmethod
    def _zeros(*shape: int, whole: bool = False) -> Callable[[], Any]:
        return lambda: torch.zeros(shape, dtype=torch.long if whole else torch.float32, device="cpu")

    @staticmethod
    def _ones(*shape: int) -> Callable[[], Any]:
        return lambda: torch.ones(shape, dtype=torch.long, device="cpu")

    @staticmethod
    def _words(rows: int, length: int, vocabulary: int) -> Callable[[], Any]:
        """Texts of many words, none of the first, which are often marks: experts are then asked for as in real ones."""
        words = max(min(vocabulary, _VARIED) - _MARKS, 1)
        return lambda: (
            (torch.arange(rows * length, device="cpu") % words + _MARKS).clamp(max=vocabulary - 1).view(rows, length)
        )

    @staticmethod
    def _false(*shape: int) -> Callable[[], Any]:
        return lambda: torch.zeros(shape, dtype=torch.bool, device="cpu")

    @staticmethod
    def _first_ones(rows: int, length: int, count: int) -> Callable[[], Any]:
        return lambda: (torch.arange(length, device="cpu") < count).long().expand(rows, length)

    @staticmethod
    def _of(values: list[Any]) -> Callable[[], Any]:
        return lambda: torch.tensor(values, dtype=torch.long, device="cpu")


def _first_width(model: Any) -> int:
    """The width that the first layer with weights takes; 1 where none tells it."""
    for part in model.modules():
        widths = (getattr(part, name, None) for name in ("in_channels", "in_features", "normalized_shape"))
        for width in (one[-1] if isinstance(one, tuple) else one for one in widths):
            if isinstance(width, int):
                return width
    return 1


_VARIED, _MARKS = 1000, 3  # words that texts are made of at most, and the first of a vocabulary that are none
_GRID = 12  # patches along each side of an image that comes in patches
