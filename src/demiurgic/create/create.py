"""The stage `create`: a new model of a given shape, with random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PositiveInt, ValidationError
from pydantic_core import PydanticCustomError

from demiurgic.core.artifacts import Model, Tokenizer
from demiurgic.core.errors import unknown
from demiurgic.core.metric import Metric, Summary
from demiurgic.models.build import build_model
from demiurgic.models.load import save_model
from demiurgic.models.shape import K_QUANT_BLOCK, Shape, parameters, takes_k_quants
from demiurgic.models.shapes import SHAPES
from demiurgic.models.tokenizer import load_tokenizer
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig


def _known_shape(value: Any) -> Any:
    """The dimensions, of a name in the table or written out; one clear reason where it is neither.

    The dimensions enter the key, not the name: a shape that changes in the table makes another model.
    """
    if isinstance(value, str):
        if value not in SHAPES:
            raise PydanticCustomError("shape", "{reason}", {"reason": unknown("shape", value, SHAPES)})
        return _dimensions(SHAPES[value])
    if not isinstance(value, Mapping):
        return value
    try:
        return _dimensions(Shape.model_validate(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PydanticCustomError(
            "shape", "{reason}", {"reason": f"{where}: {first['msg']}" if where else first["msg"]}
        ) from None


def _dimensions(shape: Shape) -> Shape:
    return shape.model_copy(update={"description": ""})


ShapeOrName = Annotated[Shape, BeforeValidator(_known_shape)]


class CreateConfig(StageConfig):
    tokenizer: Tokenizer
    shape: ShapeOrName
    """A name of `demiurgic list shapes`, or the dimensions written out."""
    context: PositiveInt | None = None
    """Tokens the model can attend to; the shape's own when left out."""


def run(config: CreateConfig, out: Path, context: Context) -> Summary:
    """Build a LLaMA-style model of a shape, with random weights and the tokenizer beside them."""
    shape = config.shape
    tokenizer = load_tokenizer(config.tokenizer.path)
    model = build_model(shape, tokenizer, seed=context.random.number("weights"), context=config.context)
    save_model(model, config.tokenizer.path, out / "model")

    if not takes_k_quants(shape):
        context.console.say(
            f"hidden ({shape.hidden}), heads * head_dim ({shape.heads * shape.head_dim}) and intermediate "
            f"({shape.intermediate}) are not all multiples of {K_QUANT_BLOCK}: k-quants of GGUF will not fit this model"
        )
    counts = parameters(shape, vocab=len(tokenizer))
    by_part = {f"parameters_{part}": Metric.exact(count) for part, count in counts.model_dump().items()}
    return Summary(
        {"parameters": Metric.exact(counts.total), **by_part},
        {
            "shape": next((name for name, known in SHAPES.items() if _dimensions(known) == shape), "own"),
            "dimensions": shape.model_dump(mode="json", exclude={"description", "vocab"}),
            "vocab_size": len(tokenizer),
            "context": config.context or shape.context,
            "k_quants": takes_k_quants(shape),
        },
    )


STAGE = Stage(
    "create", CreateConfig, run, makes={"model": Model}, uses_seed=True, needs=("torch", "transformers", "safetensors")
)
