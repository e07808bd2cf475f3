"""The map that the field is drawn from: read by pytmx, and looked through before it is used.

Layer 4. Runs on: the game thread. No pygame.

It is a map of Tiled, https://www.mapeditor.org. Where one can walk is the server's to say, so a
map whose walls are others than those of :mod:`gamenet.demo.field` is refused: heroes would run
against what is not seen, and through what is.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytmx

from gamenet.demo.field import TILES_HIGH, TILES_WIDE, is_open
from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSETS: Final = Path(__file__).resolve().parent / "assets"
FIELD: Final = ASSETS / "field.tmx"
GROUND: Final = "ground"
WALLS: Final = "walls"
ABOVE: Final = "above"
LAYERS: Final = (GROUND, WALLS, ABOVE)
"""What a map must have, from the lowest to the highest; it may have more between them."""
STANDING: Final = "standing"
"""What a map may have: tiles with a foot, which only hide heroes who stand further back."""

# It tells of what it does not like before it raises, and the refusal says that already.
logging.getLogger("pytmx").addHandler(logging.NullHandler())


class Frame(NamedTuple):
    """A picture of a tile."""

    picture: str
    """The file of the sheet that it is on."""
    area: tuple[int, int, int, int] | None
    """Left, top, width and height there, in pixels; None is all of it."""
    flips: Any
    """How it is turned, as pytmx has it."""
    seconds: float
    """How long it is shown, if the tile has others."""


class Placed(NamedTuple):
    """A tile somewhere on the map."""

    column: int
    row: int
    frames: tuple[Frame, ...]
    """Shown in turn; most have one."""


class FieldMap(NamedTuple):
    """A map that can be drawn."""

    tile_side: int
    """Pixels in the side of a tile, as it is on the sheet."""
    below: tuple[Placed, ...]
    """What heroes stand in front of, in the order in which it is drawn."""
    standing: tuple[Placed, ...]
    """What they stand behind if their feet are above its lower edge."""
    above: tuple[Placed, ...]
    """What they always stand behind."""


def load(path: str | Path = FIELD) -> FieldMap:
    """Read a map.

    :raises ConfigError: in one sentence, if it is none, or does not fit the demo's field.
    """
    tiled = _read(Path(path))
    name = Path(path).name
    layers = {
        layer.name: layer for layer in tiled.layers if isinstance(layer, pytmx.TiledTileLayer)
    }
    for needed in LAYERS:
        if needed not in layers:
            raise ConfigError(
                "map", f"{name} has no tile layer {needed!r}; a map needs {', '.join(LAYERS)}"
            )
    for layer in layers.values():
        _check_size(layer, name)
    if tiled.tilewidth != tiled.tileheight:
        raise ConfigError(
            "map",
            f"{name} has tiles of {tiled.tilewidth} x {tiled.tileheight} pixels; use square ones",
        )
    _check_walls(layers[WALLS], name)
    frames = _frames(tiled)
    order = [layer for layer in layers if layer != STANDING]
    over = order.index(ABOVE)

    def placed(names: list[str]) -> tuple[Placed, ...]:
        return tuple(tile for one in names for tile in _placed(layers[one], frames))

    return FieldMap(
        tiled.tilewidth,
        placed(order[:over]),
        placed([STANDING] if STANDING in layers else []),
        placed(order[over:]),
    )


def _read(path: Path) -> Any:
    try:
        return pytmx.TiledMap(str(path))
    except OSError as error:
        raise ConfigError("map", f"cannot read {path}: {error.strerror}") from None
    except Exception as error:  # for all that can be wrong with it, pytmx has no class of its own
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError("map", f"{path} is no map of Tiled that can be read: {why}") from None


def _check_size(layer: Any, name: str) -> None:
    lengths = {len(row) for row in layer.data} or {0}
    if len(layer.data) != TILES_HIGH or lengths != {TILES_WIDE}:
        raise ConfigError(
            "map",
            f"the layer {layer.name!r} of {name} is {max(lengths)} x {len(layer.data)} tiles, and "
            f"the field of the game is {TILES_WIDE} x {TILES_HIGH}",
        )


def _check_walls(layer: Any, name: str) -> None:
    wrong = [
        (column, row)
        for row in range(TILES_HIGH)
        for column in range(TILES_WIDE)
        if bool(layer.data[row][column]) is is_open(column, row)
    ]
    if wrong:
        column, row = wrong[0]
        here, there = ("open", "closed") if is_open(column, row) else ("closed", "open")
        raise ConfigError(
            "map",
            f"the layer {WALLS!r} of {name} does not have the walls of the game's field: column "
            f"{column}, row {row} is {here} there and {there} on the map",
        )


def _placed(layer: Any, frames: dict[int, tuple[Frame, ...]]) -> Iterator[Placed]:
    return (Placed(column, row, frames[gid]) for column, row, gid in layer if gid in frames)


def _frames(tiled: Any) -> dict[int, tuple[Frame, ...]]:
    """The pictures of every tile, by its number."""
    found = {}
    for gid, image in enumerate(tiled.images):
        if image is None:
            continue
        turns = (tiled.tile_properties.get(gid) or {}).get("frames") or []
        shown = [
            (tiled.images[turn.gid], turn.duration / 1000)
            for turn in turns
            if tiled.images[turn.gid] is not None
        ]
        found[gid] = tuple(
            Frame(picture, area, flips, seconds)
            for (picture, area, flips), seconds in shown or [(image, 0.0)]
        )
    return found
