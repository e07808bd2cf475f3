"""The map as Tiled has it, https://www.mapeditor.org: one file that names the sheet of tiles.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from gamenet.demo.field import TILES_HIGH, TILES_WIDE
from gamenet.play.art import layout, water
from gamenet.play.art.pixels import TILE
from gamenet.play.art.sheet import COLUMNS

if TYPE_CHECKING:
    from gamenet.play.art.sheet import Sheet


def text_of(sheet: Sheet, picture: str) -> str:
    """The map's file.

    :param picture: the name of the sheet's, in the same folder.
    """
    whole = {"width": str(TILES_WIDE), "height": str(TILES_HIGH)}
    square = {"tilewidth": str(TILE), "tileheight": str(TILE)}
    root = ElementTree.Element(
        "map",
        {
            "version": "1.10",
            "orientation": "orthogonal",
            "renderorder": "right-down",
            **whole,
            **square,
            "infinite": "0",
        },
    )
    _add_tiles(root, sheet, picture, square)
    for number, (name, layer) in enumerate(layout.layers().items(), 1):
        element = ElementTree.SubElement(root, "layer", {"id": str(number), "name": name, **whole})
        data = ElementTree.SubElement(element, "data", {"encoding": "csv"})
        # A tile's number in a map is one more than on its sheet; 0 is none.
        rows = [
            ",".join(
                str(sheet.names[layer[column, row]] + 1 if (column, row) in layer else 0)
                for column in range(TILES_WIDE)
            )
            for row in range(TILES_HIGH)
        ]
        data.text = "\n" + ",\n".join(rows) + "\n"
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def _add_tiles(
    root: ElementTree.Element, sheet: Sheet, picture: str, square: dict[str, str]
) -> None:
    tiles = ElementTree.SubElement(
        root,
        "tileset",
        {
            "firstgid": "1",
            "name": "tiles",
            **square,
            "tilecount": str(sheet.rows * COLUMNS),
            "columns": str(COLUMNS),
        },
    )
    size = {"width": str(COLUMNS * TILE), "height": str(sheet.rows * TILE)}
    ElementTree.SubElement(tiles, "image", {"source": picture, **size})
    for name, number in sheet.names.items():
        if name.startswith("water/") and name.endswith("/0"):
            tile = ElementTree.SubElement(tiles, "tile", {"id": str(number)})
            animation = ElementTree.SubElement(tile, "animation")
            for frame in range(water.FRAMES):
                turn = {"tileid": str(number + frame), "duration": str(water.FRAME_MS)}
                ElementTree.SubElement(animation, "frame", turn)
